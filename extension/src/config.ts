// The settings, typed.

import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";

export const SECTION = "orlop";

/** A build's defaults, which a folder may set for itself. */
export interface BuildConfig {
  network: "default" | "none" | "host";
  noCache: boolean;
}

/** Path of the interpreter that was chosen by hand, or undefined. */
export function pythonPath(): string | undefined {
  return chosenPath("pythonPath");
}

/** Where images are kept when it is not the usual place, or undefined. */
export function storePath(): string | undefined {
  return chosenPath("storePath");
}

/** Defaults of builds for a Dockerfile. */
export function buildConfig(dockerfile: vscode.Uri): BuildConfig {
  const config = vscode.workspace.getConfiguration(SECTION, dockerfile);
  return {
    network: config.get<BuildConfig["network"]>("build.network", "default"),
    noCache: config.get<boolean>("build.noCache", false),
  };
}

/** How the Containers view groups its rows. */
export function containersGroupBy(): "image" | "none" {
  return vscode.workspace.getConfiguration(SECTION).get<"image" | "none">("containers.groupBy", "image");
}

/** What a server process is started with, to tell whether a change of settings needs another one. */
export function launchSettings(): string {
  return JSON.stringify([pythonPath(), storePath()]);
}

function chosenPath(key: string): string | undefined {
  const text = vscode.workspace.getConfiguration(SECTION).get<string>(key, "").trim();
  if (text === "") return undefined;
  return text.startsWith("~/") ? path.join(os.homedir(), text.slice(2)) : text;
}
