// Image names while they are typed: an instant check, and which part people want to overwrite first.

export type Translate = (message: string, ...args: (string | number | boolean)[]) => string;

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const HOST =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?";
const NAME = new RegExp(`^(?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^\w[\w.-]{0,127}$/;

/** What is wrong with a name, at once; undefined when it looks right (the server has the last word). */
export function quickProblem(text: string, t: Translate): string | undefined {
  if (text === "") return t("Enter a name such as myapp:latest.");
  if (/\s/.test(text)) return t("An image name has no spaces.");
  const { name, tag } = split(text);
  const path = name.slice(name.lastIndexOf("/") + 1);
  if (/[A-Z]/.test(path)) return t("Repository names are lower-case: {0}", text.replace(path, path.toLowerCase()));
  if (tag !== undefined && !TAG.test(tag)) {
    return tag === ""
      ? t("Enter a tag after the colon, such as latest.")
      : t("A tag has up to 128 letters, digits, underscores, dots and dashes, and starts with none of the last two.");
  }
  if (!NAME.test(name)) {
    return t("Write [host[:port]/]name[:tag] with lower-case letters, digits, dots, dashes, underscores and slashes.");
  }
  return undefined;
}

/** The part to preselect: the text before the last slash (the account people replace), or nothing. */
export function prefixSelection(text: string): [number, number] {
  const slash = split(text).name.lastIndexOf("/");
  return slash < 0 ? [text.length, text.length] : [0, slash];
}

/** Name and tag; a colon before a slash belongs to a port. */
function split(text: string): { name: string; tag: string | undefined } {
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  return colon < 0 ? { name: text, tag: undefined } : { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}
