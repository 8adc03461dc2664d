// Terminals of containers: runs, shells, attached programs and logs; they come back when the window was reloaded.

import * as vscode from "vscode";
import type { NotificationType } from "vscode-languageclient/node";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { SERVER_ENDED, asFailure, call, newToken, request, showError, type Failure } from "../rpc";
import { SessionTerminal } from "../terminal/session";
import { sentence } from "../util/format";

const REMEMBERED = "containerTerminals";
const LOG_TAIL = 10_000;
const REPLAY = 1000;
const MOST_RETRIES = 5;

/** What a terminal shows. */
export type Plan =
  | { kind: "run"; image: string; interactive: boolean }
  | {
      kind: "attach";
      container: string;
      name: string;
      tty: boolean;
      interactive: boolean;
      replay: boolean;
      owned: boolean;
    }
  | { kind: "shell"; container: string; name: string }
  | { kind: "logs"; container: string; name: string };

const ICONS: Record<Plan["kind"], string> = { run: "play", attach: "plug", shell: "terminal", logs: "output" };

/** Runs an image in a terminal of its own; the container goes when it ends. */
export function run(ctx: Ctx, image: string, interactive: boolean): void {
  openSession(ctx, { kind: "run", image, interactive });
}

/** Opens a terminal; `quiet` leaves what is in front there. */
export function openSession(ctx: Ctx, plan: Plan, quiet = false): void {
  const session = new Session(ctx, plan);
  const terminal = vscode.window.createTerminal({
    name: titleOf(plan),
    iconPath: new vscode.ThemeIcon(plan.kind === "run" && plan.interactive ? "terminal" : ICONS[plan.kind]),
    isTransient: true,
    pty: session.terminal,
  });
  const closing = vscode.window.onDidCloseTerminal((closed) => {
    if (closed !== terminal) return;
    closing.dispose();
    session.closed(closed.exitStatus?.reason);
  });
  if (!quiet) terminal.show(plan.kind === "logs" || (plan.kind === "run" && !plan.interactive));
}

/** Opens again what the window showed when it was reloaded or closed, as far as its containers are there still. */
export async function restore(ctx: Ctx): Promise<void> {
  const plans = remembered(ctx);
  if (plans.length === 0) return;
  await ctx.extension.workspaceState.update(REMEMBERED, []);
  try {
    const { containers } = await request(ctx, proto.containerList, { all: true });
    const found = new Map(containers.map((container) => [container.id, container]));
    for (const plan of plans) {
      const container = "container" in plan ? found.get(plan.container) : undefined;
      if (container === undefined) continue;
      if (plan.kind === "logs" || container.state === "running") openSession(ctx, plan, true);
    }
  } catch (error) {
    ctx.log.warn(`terminals: ${asFailure(error).message}`);
  }
}

function remembered(ctx: Ctx): Plan[] {
  return ctx.extension.workspaceState.get<Plan[]>(REMEMBERED, []);
}

function titleOf(plan: Plan): string {
  if (plan.kind === "run") return plan.image;
  return plan.kind === "logs" ? vscode.l10n.t("{0} (log)", plan.name) : plan.name;
}

/** One request and the terminal it streams into. */
class Session {
  readonly terminal: SessionTerminal;
  private token = newToken();
  private readonly cancel = new vscode.CancellationTokenSource();
  private size: [number, number] = [80, 24];
  private interrupts = 0;
  private ended = false;
  /** What to ask when the server, or the window, has to begin anew. */
  private again: Plan | undefined;

  constructor(
    private readonly ctx: Ctx,
    private plan: Plan,
  ) {
    const tty =
      plan.kind === "shell" || (plan.kind === "run" && plan.interactive) || (plan.kind === "attach" && plan.tty);
    this.terminal = new SessionTerminal(tty, {
      opened: (columns, rows) => {
        this.size = [columns, rows];
        void this.start();
      },
      input: (data) => void this.notify(proto.sessionInput, { token: this.token, data }),
      resize: (columns, rows) => {
        this.size = [columns, rows];
        void this.notify(proto.sessionResize, { token: this.token, columns, rows });
      },
      interrupt: () => void this.interrupt(),
      shown: (characters) => void this.notify(proto.streamAck, { token: this.token, characters }),
    });
    if (plan.kind !== "run") this.remember(plan);
  }

  /** The terminal is gone. A person who closes it ends what runs for it; the end of the window ends nothing. */
  closed(reason: vscode.TerminalExitReason | undefined): void {
    if (this.ended) return;
    if (reason === vscode.TerminalExitReason.Shutdown || reason === undefined) return;
    this.remember(undefined);
    if (this.plan.kind === "run" || (this.plan.kind === "attach" && this.plan.owned)) void this.kill();
    else this.cancel.cancel();
  }

  private async start(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const code = await this.ask();
        this.end(code);
        return;
      } catch (error) {
        const failure = asFailure(error);
        if (failure.kind !== SERVER_ENDED || this.again === undefined || attempt >= MOST_RETRIES) {
          this.fail(failure);
          if (failure.kind !== "container-not-found") await showError(this.ctx, error);
          return;
        }
        this.plan = this.again;
        this.token = newToken();
        this.terminal.clear();
      }
    }
  }

  private async ask(): Promise<number | null> {
    const { plan, token } = this;
    const [columns, rows] = this.size;
    const client = await this.ctx.server.client();
    const stream = { columns, rows, partialResultToken: token };
    const show = (events: proto.SessionExecEvent[]): void => {
      for (const event of events) this.show(event);
    };
    const listener = client.onProgress(proto.sessionExecProgress, token, show);
    try {
      if (plan.kind === "run") {
        const { image, interactive } = plan;
        const params = { image, tty: interactive, interactive, remove: true, ...stream };
        return (await request(this.ctx, proto.containerRun, params, this.cancel.token)).exitCode;
      }
      const { container } = plan;
      if (plan.kind === "shell") {
        return (await request(this.ctx, proto.sessionExec, { container, ...stream }, this.cancel.token)).exitCode;
      }
      if (plan.kind === "attach") {
        const params = { container, replay: plan.replay ? REPLAY : 0, ...stream };
        return (await request(this.ctx, proto.sessionAttach, params, this.cancel.token)).exitCode;
      }
      const params = { container, tail: LOG_TAIL, follow: true, partialResultToken: token };
      return (await request(this.ctx, proto.containerLogs, params, this.cancel.token)).exitCode;
    } finally {
      listener.dispose();
    }
  }

  private show(event: proto.SessionExecEvent): void {
    if (event.kind === "output") this.terminal.write(event.text);
    else if (this.plan.kind === "logs") {
      const text =
        event.kind === "ended"
          ? vscode.l10n.t("The container ended with exit code {0}.", event.exitCode)
          : vscode.l10n.t("The container was started again.");
      this.terminal.note(text);
    } else if (event.kind === "opened" && this.plan.kind === "run") {
      const { id: container, name } = event;
      const { interactive } = this.plan;
      this.remember({ kind: "attach", container, name, tty: interactive, interactive, replay: true, owned: true });
    }
  }

  private end(code: number | null): void {
    this.ended = true;
    this.remember(undefined);
    if (this.plan.kind === "logs") {
      this.terminal.end(vscode.l10n.t("The container was removed."), false);
      return;
    }
    const message = vscode.l10n.t("The container ended with exit code {0}.", code ?? "?");
    const interactive = this.plan.kind === "shell" || this.plan.interactive;
    const own =
      this.plan.kind === "shell" ? vscode.l10n.t("The shell ended with exit code {0}.", code ?? "?") : message;
    this.terminal.end(own, interactive && code === 0);
  }

  private fail(failure: Failure): void {
    this.ended = true;
    this.remember(undefined);
    const message = failure.cancelled ? vscode.l10n.t("Stopped.") : sentence(failure.message, failure.hint);
    this.terminal.end(message, false);
  }

  /** The first Ctrl+C asks the container to stop, the second does not ask; a log or a look only ends. */
  private async interrupt(): Promise<void> {
    this.interrupts += 1;
    const container = this.container;
    if (this.plan.kind === "logs" || (this.plan.kind === "attach" && !this.plan.owned) || container === undefined) {
      this.cancel.cancel();
    } else if (this.interrupts > 1) await this.kill();
    else await call(this.ctx, proto.containerStop, { container });
  }

  private async kill(): Promise<void> {
    const container = this.container;
    try {
      if (container !== undefined) await request(this.ctx, proto.containerKill, { container });
    } catch (error) {
      // It may have ended in this very moment.
      this.ctx.log.debug(String(error));
    }
    this.cancel.cancel();
  }

  private get container(): string | undefined {
    const known = this.again ?? this.plan;
    return "container" in known ? known.container : undefined;
  }

  /** Keeps what this terminal shows for a window that comes back; undefined forgets it. */
  private remember(plan: Plan | undefined): void {
    const before = JSON.stringify(this.again);
    this.again = plan === undefined ? undefined : plan.kind === "attach" ? { ...plan, replay: true } : plan;
    const plans = remembered(this.ctx);
    const at = plans.findIndex((each) => JSON.stringify(each) === before);
    if (at >= 0) plans.splice(at, 1);
    if (this.again !== undefined) plans.push(this.again);
    void this.ctx.extension.workspaceState.update(REMEMBERED, plans);
  }

  private async notify<P>(type: NotificationType<P>, params: P): Promise<void> {
    try {
      const client = await this.ctx.server.client();
      await client.sendNotification(type, params as never);
    } catch (error) {
      this.ctx.log.debug(String(error));
    }
  }
}
