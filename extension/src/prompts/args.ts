// Which build arguments a person is asked for, and which of them are secret.

import type { ArgInfo } from "../protocol.gen";

const SECRET = /pass|token|secret|credential|private|api_?key/i;

/** The names to ask for, each once, in the file's order. */
export function requiredArgs(args: readonly ArgInfo[]): string[] {
  return [...new Set(args.filter((arg) => arg.required).map((arg) => arg.name))];
}

/** Whether a value looks like one that must be neither shown nor remembered. */
export function isSecret(name: string): boolean {
  return SECRET.test(name);
}
