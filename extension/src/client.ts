// The server process: started when first needed, restarted in a queue, and frank about why it is not there.

import * as path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type CloseHandlerResult,
} from "vscode-languageclient/node";
import * as config from "./config";
import * as proto from "./protocol.gen";
import { findPython, libraryPath, type Found, type Interpreter } from "./python";

const MOST_CRASHES = 3;
const CRASH_WINDOW_MS = 180_000;
const STOP_MS = 3000;

/** `noPython`, `notLinux`, `untrusted`: cannot start; `stopped`: did, and ended or failed. */
export type ServerState = "starting" | "ready" | "stopped" | "noPython" | "notLinux" | "untrusted";

/** Why there is no server, for people; `buttons` are titles with commands. */
export class NoServer extends Error {
  constructor(
    message: string,
    readonly state: ServerState,
  ) {
    super(message);
  }
}

/** The one server of this window. */
export class Server implements vscode.Disposable {
  private current: Promise<LanguageClient> | undefined;
  private running: LanguageClient | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private crashes: number[] = [];
  private launched = "";
  private readonly subscriptions: vscode.Disposable[] = [];
  private readonly stateEmitter = new vscode.EventEmitter<ServerState>();
  private readonly storeEmitter = new vscode.EventEmitter<proto.StoreDidChange>();

  readonly onDidChangeState = this.stateEmitter.event;
  readonly onDidChangeStore = this.storeEmitter.event;

  constructor(
    private readonly extensionPath: string,
    private readonly log: vscode.LogOutputChannel,
    /** Tells a fresh process what it cannot know by itself, before anything else is asked. */
    private readonly prepare: (client: LanguageClient) => Promise<void>,
  ) {}

  /** The client, started if need be; rejects with `NoServer`. */
  client(): Promise<LanguageClient> {
    this.current ??= this.enqueue(() => this.start());
    return this.current;
  }

  /** The client if there is one; starts none. */
  get ready(): LanguageClient | undefined {
    return this.running;
  }

  /** Stops the process if there is one and starts another; calls while one is under way wait their turn. */
  async restart(): Promise<void> {
    this.crashes = [];
    const next = this.enqueue(async () => {
      await this.stop();
      return this.start();
    });
    this.current = next;
    await next;
  }

  /** Restarts if the settings now say otherwise than when the process was started; does nothing before that. */
  async settingsChanged(): Promise<void> {
    if (this.launched !== "" && this.launched !== config.launchSettings()) await this.restart();
  }

  async dispose(): Promise<void> {
    await this.enqueue(() => this.stop());
    for (const subscription of this.subscriptions) subscription.dispose();
    this.stateEmitter.dispose();
    this.storeEmitter.dispose();
  }

  private enqueue<T>(work: () => Promise<T>): Promise<T> {
    const next = this.queue.then(work);
    this.queue = next.catch(() => undefined);
    return next;
  }

  private async start(): Promise<LanguageClient> {
    if (process.platform !== "linux") {
      throw this.none("notLinux", vscode.l10n.t("Orlop builds and runs containers on Linux; open this folder there."));
    }
    if (!vscode.workspace.isTrusted) {
      throw this.none("untrusted", vscode.l10n.t("Orlop does nothing in a folder that is not trusted."));
    }
    this.stateEmitter.fire("starting");
    this.launched = config.launchSettings();
    const found = await findPython(config.pythonPath(), process.env["PATH"]);
    if (found.kind !== "found") throw this.none("noPython", explain(found));
    const { executable, major, minor, micro } = found.interpreter;
    this.log.info(`Python ${major}.${minor}.${micro}: ${executable}`);
    const client = this.makeClient(found.interpreter);
    try {
      await client.start();
      checkProtocol(client);
      await this.prepare(client);
    } catch (error) {
      this.log.error(error instanceof Error ? error : String(error));
      void client.dispose(STOP_MS).catch(() => undefined);
      if (error instanceof NoServer) throw this.none("stopped", error.message);
      throw this.none("stopped", vscode.l10n.t("Orlop's server did not start; the log says why."));
    }
    this.running = client;
    client.onDidChangeState((change) => {
      if (client !== this.running) return;
      if (change.newState === State.Running) void this.prepareAgain(client);
      else if (change.newState === State.Starting) this.stateEmitter.fire("starting");
    });
    this.stateEmitter.fire("ready");
    return client;
  }

  /** After a crash, when the library has started another process by itself. */
  private async prepareAgain(client: LanguageClient): Promise<void> {
    try {
      await this.prepare(client);
    } catch (error) {
      this.log.error(error instanceof Error ? error : String(error));
    }
    this.stateEmitter.fire("ready");
  }

  private async stop(): Promise<void> {
    const client = this.running;
    this.running = undefined;
    this.current = undefined;
    if (client === undefined) return;
    try {
      await client.dispose(STOP_MS);
    } catch (error) {
      this.log.warn(`the server did not stop by itself: ${String(error)}`);
    }
  }

  private none(state: ServerState, message: string): NoServer {
    this.current = undefined;
    this.log.warn(message);
    this.stateEmitter.fire(state);
    return new NoServer(message, state);
  }

  private makeClient(interpreter: Interpreter): LanguageClient {
    const store = config.storePath();
    const env = {
      ...process.env,
      PYTHONPATH: libraryPath(this.extensionPath, interpreter),
      PYTHONNOUSERSITE: "1",
      PYTHONUTF8: "1",
      ...(store === undefined ? {} : { ORLOP_ROOT: store }),
    };
    const client = new LanguageClient(
      config.SECTION,
      "Orlop",
      {
        command: interpreter.executable,
        // -P keeps the working directory out of the module search path.
        args: ["-P", "-m", "orlop", "serve"],
        options: { env, cwd: path.join(this.extensionPath, "server") },
      },
      {
        documentSelector: [{ language: "dockerfile", scheme: "file" }],
        outputChannel: this.log,
        traceOutputChannel: this.log,
        revealOutputChannelOn: RevealOutputChannelOn.Never,
        initializationFailedHandler: () => false,
        stdioOptions: { stdout: logLines, stderr: logLines },
        errorHandler: {
          error: () => ({ action: ErrorAction.Continue }),
          closed: () => this.closed(),
        },
      },
    );
    client.onNotification(proto.storeDidChange, (change) => {
      this.storeEmitter.fire(change);
    });
    client.onNotification(proto.serverDidLog, ({ level, message }) => {
      this.log[level === "warning" ? "warn" : level](message);
    });
    return client;
  }

  /** The process ended by itself: start it again, but not for ever. */
  private closed(): CloseHandlerResult {
    const now = Date.now();
    this.crashes = [...this.crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
    if (this.crashes.length < MOST_CRASHES) return { action: CloseAction.Restart, handled: true };
    this.running = undefined;
    this.none("stopped", vscode.l10n.t("Orlop's server ended {0} times in three minutes.", this.crashes.length));
    void offerRestart(vscode.l10n.t("Orlop's server ended {0} times in three minutes.", this.crashes.length));
    return { action: CloseAction.DoNotRestart, handled: true };
  }
}

const LOG_LINE = /^\d{4}-\d\d-\d\d [\d:,.]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)$/;

/** What the server writes to its standard error, under the level it says. */
function logLines(input: Readable, log: vscode.LogOutputChannel): void {
  createInterface({ input }).on("line", (line) => {
    const [, level, text = ""] = LOG_LINE.exec(line) ?? [];
    if (level === "DEBUG") log.debug(text);
    else if (level === "WARNING") log.warn(text);
    else if (level === "ERROR" || level === "CRITICAL") log.error(text);
    else log.info(level === undefined ? line : text);
  });
}

/** Shows why there is no server, with what can be done about it. */
export async function explainNoServer(error: NoServer): Promise<void> {
  if (error.state === "untrusted") {
    const trust = vscode.l10n.t("Manage Workspace Trust");
    if ((await vscode.window.showWarningMessage(error.message, trust)) === trust) {
      await vscode.commands.executeCommand("workbench.trust.manage");
    }
  } else if (error.state === "noPython") {
    const settings = vscode.l10n.t("Open Settings");
    const again = vscode.l10n.t("Try Again");
    const chosen = await vscode.window.showErrorMessage(error.message, settings, again);
    if (chosen === settings) await vscode.commands.executeCommand("workbench.action.openSettings", "orlop.pythonPath");
    if (chosen === again) await vscode.commands.executeCommand("orlop.server.restart");
  } else if (error.state === "notLinux") {
    await vscode.window.showErrorMessage(error.message);
  } else {
    await offerRestart(error.message);
  }
}

async function offerRestart(message: string): Promise<void> {
  const restart = vscode.l10n.t("Restart Server");
  const log = vscode.l10n.t("Show Log");
  const chosen = await vscode.window.showErrorMessage(message, restart, log);
  if (chosen === restart) await vscode.commands.executeCommand("orlop.server.restart");
  if (chosen === log) await vscode.commands.executeCommand("orlop.log.show");
}

function explain(found: Exclude<Found, { kind: "found" }>): string {
  switch (found.kind) {
    case "tooOld": {
      const { executable, major, minor } = found.interpreter;
      return vscode.l10n.t(
        "Orlop needs Python 3.11 or newer; {0} is {1}. Install a newer one, or choose one in the settings.",
        executable,
        `${major}.${minor}`,
      );
    }
    case "broken":
      return vscode.l10n.t("The Python of the setting orlop.pythonPath does not work: {0}", found.reason);
    case "none":
      return vscode.l10n.t(
        "Orlop needs Python 3.11 or newer and found none. Install it (Debian, Ubuntu: sudo apt install python3).",
      );
  }
}

/** The shell and the server must come from one package. */
function checkProtocol(client: LanguageClient): void {
  const experimental = client.initializeResult?.capabilities.experimental as
    { orlop?: { protocol?: string } } | undefined;
  const theirs = experimental?.orlop?.protocol ?? "";
  if (theirs === proto.PROTOCOL_HASH) return;
  throw new NoServer(
    vscode.l10n.t(
      "Orlop's two halves do not match ({0}, {1}); install the extension again.",
      proto.PROTOCOL_HASH,
      theirs,
    ),
    "stopped",
  );
}
