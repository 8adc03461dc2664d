// Finds a Python that can run the server; nothing is installed, the libraries travel with the extension.

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";

const OLDEST_MINOR = 11;
const NAMES = ["python3.14", "python3.13", "python3.12", "python3.11", "python3", "python"];
const FOLDERS = ["/usr/bin", "/usr/local/bin"];
const PROBE = "import sys; print(sys.version_info[0], sys.version_info[1], sys.version_info[2], sys.executable)";

/** An interpreter that was tried; `executable` is the one behind links and shims. */
export interface Interpreter {
  executable: string;
  major: number;
  minor: number;
  micro: number;
}

/** What the search found: one that fits, or what was met instead. */
export type Found =
  | { kind: "found"; interpreter: Interpreter }
  | { kind: "tooOld"; interpreter: Interpreter }
  | { kind: "broken"; path: string; reason: string }
  | { kind: "none" };

/** The interpreter of the setting and no other when there is one; else the first on PATH or in /usr/bin that fits. */
export async function findPython(chosen: string | undefined, searchPath: string | undefined): Promise<Found> {
  if (chosen !== undefined) return judge(chosen, await probe(chosen));
  let tooOld: Interpreter | undefined;
  for (const candidate of candidates(searchPath)) {
    const result = await probe(candidate);
    if (typeof result === "string") continue;
    if (fits(result)) return { kind: "found", interpreter: result };
    tooOld ??= result;
  }
  return tooOld === undefined ? { kind: "none" } : { kind: "tooOld", interpreter: tooOld };
}

/** PYTHONPATH of the server: its package, its libraries, and the compiled ones for this very version if they came along. */
export function libraryPath(extensionPath: string, interpreter: Interpreter): string {
  const server = path.join(extensionPath, "server");
  const compiled = path.join(server, "libs", `cp${interpreter.major}${interpreter.minor}`);
  const folders = [server, path.join(server, "libs"), compiled];
  return folders.filter((folder) => existsSync(folder)).join(path.delimiter);
}

function candidates(searchPath: string | undefined): string[] {
  const folders = [
    ...new Set([...(searchPath ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder)), ...FOLDERS]),
  ];
  const present = new Map(folders.map((folder) => [folder, new Set(listing(folder))]));
  return NAMES.flatMap((name) =>
    folders.filter((folder) => present.get(folder)?.has(name)).map((folder) => path.join(folder, name)),
  );
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function judge(candidate: string, result: Interpreter | string): Found {
  if (typeof result === "string") return { kind: "broken", path: candidate, reason: result };
  return { kind: fits(result) ? "found" : "tooOld", interpreter: result };
}

function fits(interpreter: Interpreter): boolean {
  return interpreter.major === 3 && interpreter.minor >= OLDEST_MINOR;
}

/** Asks an interpreter for its version; a string is the reason why it has none. */
function probe(candidate: string): Promise<Interpreter | string> {
  return new Promise((resolve) => {
    execFile(candidate, ["-I", "-S", "-c", PROBE], { timeout: 10_000, cwd: "/" }, (error, stdout) => {
      const match = /^(\d+) (\d+) (\d+) (.+)$/.exec(stdout.trim());
      if (error !== null) resolve(error.message);
      else if (match === null) resolve(`unexpected answer: ${stdout.slice(0, 100)}`);
      else {
        const [, major, minor, micro, executable = candidate] = match;
        resolve({ executable, major: Number(major), minor: Number(minor), micro: Number(micro) });
      }
    });
  });
}
