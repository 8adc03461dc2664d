// The texts as they stand, placeholders filled: what `vscode.l10n.t` does without a bundle.

export function english(message: string, ...args: (string | number | boolean)[]): string {
  return message.replace(/\{(\d+)\}/g, (_, index: string) => String(args[Number(index)]));
}
