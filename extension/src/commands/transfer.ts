// One push or pull: its terminal, its row in the views, and what went wrong with it.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import type { ImagePullEvent } from "../protocol.gen";
import { asFailure, type Failure } from "../rpc";
import { TransferText } from "../terminal/transferText";
import type { Transfer } from "../transfers";
import { formatSize } from "../util/format";
import { LayerSum } from "../util/layerSum";
import { openTerminal, stream, type StreamOptions, type Streaming } from "./stream";

/** What to do and how to speak of it. */
export interface Order<P, R> {
  kind: "push" | "pull";
  /** The full tag, or the repository when all its tags go. */
  name: string;
  method: Streaming<P, R, ImagePullEvent>;
  params: P;
  /** The headline and the lines below it, once it is done. */
  tell: (result: R) => [string, string[]];
}

/** Does it; a failure is returned as it is, to be shown with what can be done. Undefined when it was canceled. */
export async function carryOut<P extends object, R>(
  ctx: Ctx,
  { kind, name, method, params, tell }: Order<P, R>,
): Promise<{ result: R } | { failure: Failure } | undefined> {
  const push = kind === "push";
  const text = new TransferText(kind, vscode.env.language, vscode.l10n.t);
  const title = push ? vscode.l10n.t("Push {0}", name) : vscode.l10n.t("Pull {0}", name);
  const screen = openTerminal(title, push ? "cloud-upload" : "cloud-download");
  const cancel = new vscode.CancellationTokenSource();
  const transfer: Transfer = {
    kind,
    name,
    sum: new LayerSum(),
    cancel: () => {
      cancel.cancel();
    },
  };
  const headline = push ? vscode.l10n.t("Pushing {0}", name) : vscode.l10n.t("Pulling {0}", name);
  screen.write(text.begin(headline));
  ctx.transfers.begin(transfer);
  try {
    const show = (events: ImagePullEvent[]): void => {
      for (const event of events) if (event.kind === "layer") transfer.sum.add(event);
      ctx.transfers.move(transfer);
      text.columns = screen.columns ?? text.columns;
      screen.write(text.add(events));
    };
    const reports: StreamOptions["reports"] = (report) =>
      ctx.transfers.onDidMove((moved) => {
        if (moved === transfer) report(amount(transfer.sum), transfer.sum.percent ?? 0);
      });
    const result = await stream(ctx, screen, headline, method, params, show, { cancel, reports });
    screen.write(text.succeeded(...tell(result)));
    return { result };
  } catch (error) {
    const failure = asFailure(error);
    if (failure.cancelled) {
      screen.write(
        text.cancelled(
          push
            ? vscode.l10n.t("Push canceled; no tag was changed.")
            : vscode.l10n.t("Pull canceled; no tag was changed."),
        ),
      );
      return undefined;
    }
    screen.write(
      text.failed(push ? vscode.l10n.t("Push failed") : vscode.l10n.t("Pull failed"), failure.message, failure.hint),
    );
    return { failure };
  } finally {
    ctx.transfers.end(transfer);
    screen.finish();
  }
}

/** `12 MB / 40 MB`. */
function amount({ done, total }: LayerSum): string {
  return `${formatSize(done, vscode.env.language)} / ${formatSize(total, vscode.env.language)}`;
}
