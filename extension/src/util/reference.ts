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

const HUB = "docker.io";

/** The registry of a name: what stands before the first slash if it looks like a host, else Docker Hub. */
export function registryOf(name: string): string {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  return /[.:]/.test(first) || first === "localhost" ? first : HUB;
}

/** How people call a registry. */
export function registryTitle(host: string): string {
  if (host === HUB) return "Docker Hub";
  return host === "ghcr.io" ? "GitHub" : host;
}

/** A name as people write it: without Docker Hub's host, and without the account of its official images. */
export function familiar(name: string): string {
  const bare = name.startsWith(`${HUB}/`) ? name.slice(HUB.length + 1) : name;
  return bare === name ? name : bare.replace(/^library\//, "");
}

/** Whether a name says which tag or digest of its repository is meant. */
export function saysWhich(name: string): boolean {
  return name.includes("@") || split(name).tag !== undefined;
}

/** A name of Docker Hub without an account, as `myapp:latest`: nobody but Docker may push it. */
export function isBare(name: string): boolean {
  return registryOf(name) === HUB && !familiar(name).includes("/");
}

/** The registry that a person typed: without scheme and path; undefined when it cannot be one. */
export function typedRegistry(text: string): string | undefined {
  const host = text
    .trim()
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
  if (host === "") return undefined;
  if (/^(index|registry-1|hub|www)\.docker\.(io|com)$|^docker\.com$/.test(host)) return HUB;
  return new RegExp(`^${HOST}$`).test(host) ? host : undefined;
}

/** An order of tags for people: `latest`, then versions from the highest down, so 1.10 before 1.9. */
export function compareTags(one: string, other: string): number {
  const latest = Number(other === "latest") - Number(one === "latest");
  return latest !== 0 ? latest : other.localeCompare(one, "en", { numeric: true });
}
