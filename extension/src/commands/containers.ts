// Running images in terminals, and stopping, killing, inspecting and removing containers.

import * as vscode from "vscode";
import type { NotificationType } from "vscode-languageclient/node";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { asFailure, call, newToken, request, showError } from "../rpc";
import { SessionTerminal } from "../terminal/session";
import { sentence } from "../util/format";
import { ContainerNode } from "../views/containers";

/** Runs an image in a terminal of its own; the container goes when it ends. */
export function run(ctx: Ctx, image: string, interactive: boolean): void {
  const session = new Session(ctx, image, interactive);
  const terminal = vscode.window.createTerminal({
    name: image,
    iconPath: new vscode.ThemeIcon(interactive ? "terminal" : "play"),
    isTransient: true,
    pty: session.terminal,
  });
  terminal.show(!interactive);
}

/** One `container/run` request and the terminal it streams into. */
class Session {
  readonly terminal: SessionTerminal;
  private readonly token = newToken();
  private readonly cancel = new vscode.CancellationTokenSource();
  private container: string | undefined;
  private interrupts = 0;

  constructor(
    private readonly ctx: Ctx,
    private readonly image: string,
    private readonly interactive: boolean,
  ) {
    this.terminal = new SessionTerminal(interactive, {
      opened: (columns, rows) => void this.start(columns, rows),
      input: (data) => void this.notify(proto.sessionInput, { token: this.token, data }),
      resize: (columns, rows) => void this.notify(proto.sessionResize, { token: this.token, columns, rows }),
      interrupt: () => void this.interrupt(),
      closed: () => void this.kill(),
    });
  }

  private async start(columns: number, rows: number): Promise<void> {
    let listener: vscode.Disposable | undefined;
    try {
      const client = await this.ctx.server.client();
      listener = client.onProgress(proto.containerRunProgress, this.token, (events) => {
        this.show(events);
      });
      const { exitCode } = await request(
        this.ctx,
        proto.containerRun,
        {
          image: this.image,
          tty: this.interactive,
          interactive: this.interactive,
          remove: true,
          columns,
          rows,
          partialResultToken: this.token,
        },
        this.cancel.token,
      );
      const message = vscode.l10n.t("The container ended with exit code {0}.", exitCode ?? 0);
      this.terminal.end(message, this.interactive && exitCode === 0);
    } catch (error) {
      const failure = asFailure(error);
      const message = failure.cancelled ? vscode.l10n.t("Stopped.") : sentence(failure.message, failure.hint);
      this.terminal.end(message, false);
      await showError(this.ctx, error);
    } finally {
      listener?.dispose();
      this.cancel.dispose();
    }
  }

  private show(events: proto.ContainerRunEvent[]): void {
    let characters = 0;
    for (const event of events) {
      if (event.kind === "opened") {
        this.container = event.id;
        continue;
      }
      this.terminal.write(event.text);
      characters += event.text.length;
    }
    if (characters > 0) void this.notify(proto.streamAck, { token: this.token, characters });
  }

  /** The first Ctrl+C asks the container to stop, the second does not ask. */
  private async interrupt(): Promise<void> {
    this.interrupts += 1;
    if (this.container === undefined) this.cancel.cancel();
    else if (this.interrupts > 1) await this.kill();
    else await call(this.ctx, proto.containerStop, { container: this.container });
  }

  private async kill(): Promise<void> {
    try {
      if (this.container !== undefined) await request(this.ctx, proto.containerKill, { container: this.container });
    } catch (error) {
      // It may have ended in this very moment.
      this.ctx.log.debug(String(error));
    }
    this.cancel.cancel();
  }

  private async notify<P>(type: NotificationType<P>, params: P): Promise<void> {
    const client = await this.ctx.server.client();
    await client.sendNotification(type, params as never);
  }
}

/** Shows Docker's document about a container. */
export async function inspect(ctx: Ctx, node: unknown): Promise<void> {
  if (node instanceof ContainerNode) {
    await ctx.documents.open("container", node.containerId, `${node.container.name}.json`);
  }
}

/** Asks to end, kindly. */
export async function stop(ctx: Ctx, node: unknown, nodes: unknown): Promise<void> {
  for (const { containerId, container } of selected(node, nodes)) {
    const title = vscode.l10n.t("Stopping {0}", container.name);
    await call(ctx, proto.containerStop, { container: containerId }, { title });
  }
}

/** Ends at once. */
export async function kill(ctx: Ctx, node: unknown, nodes: unknown): Promise<void> {
  for (const { containerId } of selected(node, nodes)) {
    await call(ctx, proto.containerKill, { container: containerId });
  }
}

/** Removes, after asking; running ones are killed first, and the question says so. */
export async function remove(ctx: Ctx, node: unknown, nodes: unknown): Promise<void> {
  const chosen = selected(node, nodes);
  if (chosen.length === 0) return;
  const running = chosen.filter(({ container }) => container.state === "running" || container.state === "paused");
  const names = chosen.map(({ container }) => container.name).join(", ");
  const button = vscode.l10n.t("Remove");
  const detail =
    running.length === 0
      ? vscode.l10n.t("What it has written outside of mounts is lost.")
      : vscode.l10n.t("It is running and will be killed. What it has written outside of mounts is lost.");
  const answer = await vscode.window.showWarningMessage(
    vscode.l10n.t("Remove {0}?", names),
    { modal: true, detail },
    button,
  );
  if (answer !== button) return;
  const containers = chosen.map(({ containerId }) => containerId);
  await call(ctx, proto.containerRemove, { containers, force: running.length > 0 });
}

function selected(node: unknown, nodes: unknown): ContainerNode[] {
  const all: unknown[] = Array.isArray(nodes) && nodes.length > 0 ? nodes : [node];
  return all.filter((item) => item instanceof ContainerNode);
}
