// Text for a terminal: colors, display width, and logs made harmless line by line.

const paint =
  (open: string, close: string) =>
  (text: string): string =>
    `\u001b[${open}m${text}\u001b[${close}m`;

export const bold = paint("1", "22");
export const dim = paint("2", "22");
export const red = paint("31", "39");
export const green = paint("32", "39");
export const yellow = paint("33", "39");
export const cyan = paint("36", "39");

export const RESET = "\u001b[0m";

// Colors stay; every other control sequence (cursor, title, modes) would draw over what stands there already.
const CONTROL =
  // eslint-disable-next-line no-control-regex
  /\u001b\[(?![0-9;]*m)[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b(?!\[[0-9;]*m)[^[\]]?|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g;

// As the command line's: controls but for tab and line feed, and the marks that turn the direction of text.
// eslint-disable-next-line no-control-regex
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** What an image or a registry says, with the characters spelled out that would steer the terminal. */
export function harmless(text: string): string {
  return text.replace(STEERING, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** One line of a log: what a progress bar showed last, colors kept, no other control characters. */
export function cleanLine(line: string): string {
  const shown = line.replace(/\r+$/, "");
  const last = shown.slice(shown.lastIndexOf("\r") + 1);
  return last.replaceAll("\t", "    ").replace(CONTROL, "");
}

/** Columns that a text takes; Chinese, Japanese and Korean characters and emoji take two. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) columns += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  return columns;
}

/** The text cut to at most so many columns, with an ellipsis when something is missing. */
export function fit(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let used = 0;
  let kept = "";
  for (const character of text) {
    used += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
    if (used > columns - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}
