// A real VS Code for a browser: fresh settings, the packaged extension, a store of its own with a base image in it.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";

/** An environment variable that scripts/e2e sets. */
export function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set: run scripts/e2e`);
  return value;
}

export interface ServerOptions {
  settings?: Record<string, unknown>;
  /** Whether every folder is trusted without a question. */
  trusted?: boolean;
  locale?: string;
  /** The text of the engine's config.toml. */
  config?: () => string;
}

const SETTINGS = {
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Light Modern",
  "workbench.tips.enabled": false,
  "workbench.layoutControl.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.settings.showAISearchToggle": false,
  "chat.disableAIFeatures": true,
  "window.commandCenter": false,
  "window.menuBarVisibility": "compact",
  "editor.minimap.enabled": false,
  "editor.fontFamily": "DejaVu Sans Mono",
  "explorer.confirmDelete": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "git.openRepositoryInParentFolders": "never",
  "telemetry.telemetryLevel": "off",
  // Drawn as text that a test can read.
  "terminal.integrated.gpuAcceleration": "off",
  "terminal.integrated.fontFamily": "DejaVu Sans Mono",
  "terminal.integrated.enablePersistentSessions": false,
};

/** One code-server process. */
export class CodeServer {
  readonly home = mkdtempSync(path.join(tmpdir(), "orlop-e2e-"));
  readonly store = path.join(this.home, "store");
  port = 0;
  private process: ChildProcess | undefined;
  private output = "";

  /** Starts it and waits until it answers. */
  static async start(options: ServerOptions = {}): Promise<CodeServer> {
    const server = new CodeServer();
    await server.launch(options);
    return server;
  }

  get pid(): number {
    return this.process?.pid ?? 0;
  }

  /** Makes a project folder with these files. */
  project(name: string, files: Record<string, string>): string {
    const folder = path.join(this.home, "projects", name);
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), text);
    }
    return folder;
  }

  /** Runs a verb of the terminal program that came with the extension on the same store, as another process would. */
  orlop(...args: string[]): string {
    const extensions = path.join(this.home, "extensions");
    const name = readdirSync(extensions).find((folder) => folder.startsWith("orlop.orlop-")) ?? "";
    const server = path.join(extensions, name, "server");
    return execFileSync(required("ORLOP_PYTHON"), ["-P", "-m", "orlop", ...args], {
      env: { ...this.environment, ORLOP_ROOT: this.store, PYTHONPATH: `${server}:${path.join(server, "libs")}` },
      encoding: "utf8",
    });
  }

  /** Settings and logins of this machine's user stay out of it. */
  private get environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      CODE_SERVER_CONFIG: path.join(this.home, "config.yaml"),
      XDG_CONFIG_HOME: path.join(this.home, "config"),
      DOCKER_CONFIG: path.join(this.home, "docker"),
    };
  }

  /** The processes of our server that belong to this editor. */
  servers(): number[] {
    const rows = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).split("\n");
    return rows
      .filter((row) => row.includes(" -m orlop serve"))
      .map((row) => Number.parseInt(row, 10))
      .filter((pid) => readlink(`/proc/${pid}/cwd`).startsWith(this.home));
  }

  /** The address of a window: a folder, a workspace file, or any other file in a window without a folder. */
  address(place: string): string {
    const here = `127.0.0.1:${this.port}`;
    const query = new URLSearchParams();
    if (place.endsWith(".code-workspace")) query.set("workspace", place);
    else if (statSync(place).isDirectory()) query.set("folder", place);
    else {
      query.set("ew", "true");
      query.set("payload", JSON.stringify([["openFile", `vscode-remote://${here}${place}`]]));
    }
    return `http://${here}/?${query.toString()}`;
  }

  async stop(): Promise<void> {
    const child = this.process;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 10_000))]);
    }
    rmSync(this.home, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }

  private async launch({ settings = {}, trusted = true, locale, config }: ServerOptions): Promise<void> {
    this.configure("User", SETTINGS);
    this.configure("Machine", { "orlop.storePath": this.store, ...settings });
    const shared = [
      "--user-data-dir",
      path.join(this.home, "data"),
      "--extensions-dir",
      path.join(this.home, "extensions"),
    ];
    const run = (args: string[]): [string, string[]] => [
      required("ORLOP_NODE"),
      [required("ORLOP_CODESERVER"), ...shared, ...args],
    ];
    writeFileSync(path.join(this.home, "config.yaml"), "auth: none\n");
    mkdirSync(path.join(this.home, "config", "orlop"), { recursive: true });
    writeFileSync(path.join(this.home, "config", "orlop", "config.toml"), config?.() ?? "");
    const env = this.environment;
    execFileSync(...run(["--install-extension", required("ORLOP_VSIX"), "--force"]), { env, stdio: "pipe" });
    if (locale !== undefined) this.languagePack(locale);
    this.port = await freePort();
    const options = ["--auth", "none", "--bind-addr", `127.0.0.1:${this.port}`];
    options.push("--disable-telemetry", "--disable-update-check", "--disable-getting-started-override");
    if (trusted) options.push("--disable-workspace-trust");
    if (locale !== undefined) options.push("--locale", locale);
    this.process = spawn(...run(options), { env, stdio: ["ignore", "pipe", "pipe"] });
    const keep = (data: Buffer): void => {
      this.output = (this.output + data.toString()).slice(-20_000);
    };
    this.process.stdout?.on("data", keep);
    this.process.stderr?.on("data", keep);
    await this.answers();
  }

  /** Settings of one level; those that name programs and paths count on the machine's level only. */
  private configure(level: string, settings: Record<string, unknown>): void {
    const folder = path.join(this.home, "data", level);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "settings.json"), JSON.stringify(settings, null, 2));
  }

  /** An empty language pack: VS Code's own texts stay English, extensions show theirs of that language. */
  private languagePack(locale: string): void {
    const texts = path.join(this.home, "texts.json");
    writeFileSync(texts, JSON.stringify({ version: "1.0.0", contents: {} }));
    const extensions = [{ extensionIdentifier: { id: "orlop.language-pack" }, version: "1.0.0" }];
    const pack = { hash: "empty", label: locale, extensions, translations: { vscode: texts } };
    writeFileSync(path.join(this.home, "data", "languagepacks.json"), JSON.stringify({ [locale]: pack }));
  }

  private async answers(): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt += 1) {
      if (this.process?.exitCode !== null) break;
      try {
        if ((await fetch(`http://127.0.0.1:${this.port}/healthz`)).ok) return;
      } catch {
        // Not yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`VS Code did not start:\n${this.output}`);
  }
}

function readlink(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

/** A port of 127.0.0.1 that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}
