// One long request that shows what it does in a terminal, in a notification, and stops by either.

import * as vscode from "vscode";
import type { ProgressType, RequestType } from "vscode-languageclient/node";
import type { Ctx } from "../ctx";
import type { ErrorData } from "../protocol.gen";
import { newToken, request, withNotification, withReports, type Step } from "../rpc";
import { OutputTerminal } from "../terminal/output";

const terminals = new WeakMap<OutputTerminal, vscode.Terminal>();

/** A terminal that shows and takes no focus. */
export function openTerminal(name: string, icon: string): OutputTerminal {
  const screen = new OutputTerminal();
  const terminal = vscode.window.createTerminal({
    name,
    iconPath: new vscode.ThemeIcon(icon),
    isTransient: true,
    pty: screen,
  });
  terminals.set(screen, terminal);
  terminal.show(true);
  return screen;
}

/** Brings a terminal to the front. */
export function showTerminal(screen: OutputTerminal): void {
  terminals.get(screen)?.show();
}

/** A method whose events stream while it is at work. */
export interface Streaming<P, R, E> {
  request: RequestType<P, R, ErrorData>;
  progress: ProgressType<E[]>;
}

export interface StreamOptions {
  cancel?: vscode.CancellationTokenSource;
  /** Fills the notification in place of the server's messages. */
  reports?: (report: (text: string, percent: number) => void) => vscode.Disposable;
}

/** Asks under one cancel token: the notification's button, Ctrl+C in the terminal, closing it, or `cancel`. */
export async function stream<P extends object, R, E>(
  ctx: Ctx,
  screen: OutputTerminal,
  title: string,
  method: Streaming<P, R, E>,
  params: P,
  show: (events: E[]) => void,
  { cancel = new vscode.CancellationTokenSource(), reports }: StreamOptions = {},
): Promise<R> {
  const client = await ctx.server.client();
  const partialResultToken = newToken();
  const stop = (): void => {
    cancel.cancel();
  };
  const subscriptions = vscode.Disposable.from(
    cancel,
    screen.onCancel(stop),
    client.onProgress(method.progress, partialResultToken, show),
  );
  try {
    return await withNotification(title, true, async (progress, token) => {
      token.onCancellationRequested(stop);
      if (reports !== undefined) {
        const listener = reports(reporter(progress));
        const asked = request(ctx, method.request, { ...params, partialResultToken }, cancel.token);
        return asked.finally(() => {
          listener.dispose();
        });
      }
      return withReports(ctx, progress, (workDoneToken) =>
        request(ctx, method.request, { ...params, workDoneToken, partialResultToken }, cancel.token),
      );
    });
  } finally {
    subscriptions.dispose();
  }
}

/** VS Code wants to be told how much was added. */
function reporter(progress: vscode.Progress<Step>) {
  let told = 0;
  return (message: string, percent: number): void => {
    const increment = Math.max(0, percent - told);
    told += increment;
    progress.report({ message, increment });
  };
}
