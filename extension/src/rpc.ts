// One way to ask the server: progress, cancel, and errors shown once, with what to do next.

import * as vscode from "vscode";
import {
  ErrorCodes,
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type RequestType,
} from "vscode-languageclient/node";
import { NoServer, explainNoServer } from "./client";
import type { Ctx } from "./ctx";
import type { ErrorData, TextLocation } from "./protocol.gen";
import { fit } from "./terminal/ansi";
import { sentence } from "./util/format";

/** A longer progress message would make its notification grow over the terminal. */
const MOST_COLUMNS = 40;

/** What is over sooner shows no progress: it would only flash, and count among the three messages that VS Code shows in 800 ms. */
const PROGRESS_DELAY_MS = 400;

/** The kind of a failure whose reason is that the server is gone; another one is there in a moment. */
export const SERVER_ENDED = "server-ended";

let tokens = 0;

/** A token for a stream or for progress; unique in this window. */
export function newToken(): string {
  tokens += 1;
  return `orlop-${tokens}`;
}

/** An error of the server as a value. */
export class Failure extends Error {
  readonly kind: string;
  readonly hint: string | null;
  readonly detail: string | null;
  readonly actions: readonly string[];
  readonly location: TextLocation | null;
  readonly retryable: boolean;

  constructor(message: string, data: Partial<ErrorData> = {}) {
    super(message);
    this.kind = data.kind ?? "internal";
    // What a terminal would be typed into is offered by a button here.
    this.hint = /`orlop login/.test(data.hint ?? "") ? null : (data.hint ?? null);
    this.detail = data.detail ?? null;
    this.actions = data.actions ?? [];
    this.location = data.location ?? null;
    this.retryable = data.retryable ?? false;
  }

  /** Whether logging in, perhaps as somebody else, may help. */
  get wantsLogin(): boolean {
    return this.kind === "registry-unauthorized" || this.kind === "registry-denied";
  }

  get cancelled(): boolean {
    return this.kind === "cancelled";
  }
}

/** Asks; throws `Failure` or `NoServer`. */
export async function request<P, R>(
  ctx: Ctx,
  type: RequestType<P, R, ErrorData>,
  params: P,
  token?: vscode.CancellationToken,
): Promise<R> {
  const client = await ctx.server.client();
  try {
    // The library's types cannot follow a generic parameter; the table's own types stand around this call.
    return await client.sendRequest(type, params as never, token);
  } catch (error) {
    throw asFailure(error);
  }
}

export interface CallOptions {
  /** Shows progress under this title. */
  title?: string;
  /** Whether the progress has a cancel button; then `workDoneToken` is sent, and the server's messages are shown. */
  cancellable?: boolean;
}

/** Asks, and shows what went wrong; undefined then, and when it was canceled. */
export async function call<P extends object, R>(
  ctx: Ctx,
  type: RequestType<P, R, ErrorData>,
  params: P,
  options: CallOptions = {},
): Promise<R | undefined> {
  try {
    if (options.title === undefined) return await request(ctx, type, params);
    return await withNotification(options.title, options.cancellable ?? false, async (progress, token) => {
      if (options.cancellable !== true) return request(ctx, type, params);
      return withReports(ctx, progress, (workDoneToken) => request(ctx, type, { ...params, workDoneToken }, token));
    });
  } catch (error) {
    await showError(ctx, error);
    return undefined;
  }
}

/** A part of the work that was done, in VS Code's terms. */
export interface Step {
  message?: string;
  increment?: number;
}

/** Does `work`, with a notification while it goes on longer than a blink; its button cancels the token. */
export async function withNotification<R>(
  title: string,
  cancellable: boolean,
  work: (progress: vscode.Progress<Step>, token: vscode.CancellationToken) => Promise<R>,
): Promise<R> {
  const cancel = new vscode.CancellationTokenSource();
  const early: Step[] = [];
  let shown: vscode.Progress<Step> | undefined;
  const done = work(
    {
      report: (step) => {
        if (shown === undefined) early.push(step);
        else shown.report(step);
      },
    },
    cancel.token,
  );
  const delay = setTimeout(() => {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable };
    void vscode.window.withProgress(options, async (progress, token) => {
      token.onCancellationRequested(() => {
        cancel.cancel();
      });
      for (const step of early) progress.report(step);
      shown = progress;
      await done.catch(() => undefined);
    });
  }, PROGRESS_DELAY_MS);
  try {
    return await done;
  } finally {
    clearTimeout(delay);
    cancel.dispose();
  }
}

/** Shows the server's progress messages for a token while `work` is under way. */
export async function withReports<R>(
  ctx: Ctx,
  progress: vscode.Progress<Step>,
  work: (workDoneToken: string) => Promise<R>,
): Promise<R> {
  const client = await ctx.server.client();
  const workDoneToken = newToken();
  const listener = client.onProgress(WorkDoneProgress.type, workDoneToken, (value) => {
    if (value.message !== undefined) progress.report({ message: fit(value.message, MOST_COLUMNS) });
  });
  try {
    return await work(workDoneToken);
  } finally {
    listener.dispose();
  }
}

/** A button of an error's message. */
export interface Button {
  title: string;
  run(): unknown;
}

/** Shows an error as one message with its hint and its buttons, `more` of them first; a cancellation is silent. */
export async function showError(ctx: Ctx, error: unknown, more: readonly Button[] = []): Promise<void> {
  if (error instanceof NoServer) return explainNoServer(error);
  const failure = asFailure(error);
  if (failure.cancelled) return;
  ctx.log.error(failure.detail === null ? failure.message : `${failure.message}\n${failure.detail}`);
  const buttons = [...more, ...helpfulButtons(failure, more.length === 0)];
  const chosen = await vscode.window.showErrorMessage(
    sentence(failure.message, failure.hint),
    ...buttons.map((button) => button.title),
  );
  await buttons.find(({ title }) => title === chosen)?.run();
}

/** Whatever was thrown, as a `Failure`. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof vscode.CancellationError) return new Failure("cancelled", { kind: "cancelled" });
  if (error instanceof ResponseError) {
    const data = (error as ResponseError<Partial<ErrorData> | undefined>).data;
    if (error.code === ErrorCodes.PendingResponseRejected) {
      return new Failure(vscode.l10n.t("Orlop's server ended while it was at work; try again."), {
        kind: SERVER_ENDED,
      });
    }
    if (error.code === LSPErrorCodes.RequestCancelled) return new Failure("cancelled", { kind: "cancelled" });
    return new Failure(error.message, data ?? {});
  }
  return new Failure(error instanceof Error ? error.message : String(error));
}

/** Only these commands may be offered by the server; `alone` when nobody offers anything better. */
function helpfulButtons(failure: Failure, alone: boolean): Button[] {
  const known: Record<string, string> = {
    "orlop.system.doctor": vscode.l10n.t("Check This Computer"),
    "orlop.system.usage": vscode.l10n.t("Show Disk Use"),
    "orlop.server.restart": vscode.l10n.t("Restart Server"),
  };
  const button = (title: string, command: string): Button => ({
    title,
    run: () => vscode.commands.executeCommand(command),
  });
  const offered = failure.actions.flatMap((command) => {
    const title = known[command];
    return title === undefined ? [] : [button(title, command)];
  });
  if (failure.wantsLogin && alone) offered.push(button(vscode.l10n.t("Log In..."), "orlop.registry.connect"));
  if (failure.kind === "unavailable" && offered.length === 0) {
    offered.push(button(vscode.l10n.t("Check This Computer"), "orlop.system.doctor"));
  }
  if (failure.kind === "internal" || failure.kind === SERVER_ENDED || failure.detail !== null) {
    offered.push(button(vscode.l10n.t("Show Log"), "orlop.log.show"));
  }
  return offered;
}
