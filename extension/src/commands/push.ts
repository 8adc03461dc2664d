// Push...: one question, a terminal that shows the layers, and the digest at the end.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askPush, type PushChoice } from "../prompts/push";
import { showError, type Failure } from "../rpc";
import { familiar, registryOf } from "../util/reference";
import { login } from "./connect";
import { target } from "./images";
import { carryOut } from "./transfer";

/** The command; without a node the image is picked from a list. */
export async function push(ctx: Ctx, node: unknown): Promise<void> {
  const image = await target(ctx, node);
  const choice = image === undefined ? undefined : await askPush(ctx, image);
  if (choice !== undefined) await pushChoice(ctx, choice);
}

/** Pushes; who is not let in may log in, and then it goes on. */
async function pushChoice(ctx: Ctx, choice: PushChoice): Promise<void> {
  for (;;) {
    const { reference, target: as, allTags, name } = choice;
    const done = await carryOut(ctx, {
      kind: "push",
      name,
      method: { request: proto.imagePush, progress: proto.imagePushProgress },
      params: { reference, target: as, allTags },
      tell: told,
    });
    if (done === undefined) return;
    if ("result" in done) return arrived(ctx, done.result.pushed);
    if (!(await recovered(ctx, done.failure, as ?? reference))) return;
  }
}

/** Shows a failure of a registry with what helps; true when the person has logged in and it may go on. */
export async function recovered(ctx: Ctx, failure: Failure, reference: string): Promise<boolean> {
  let again = false;
  await showError(ctx, failure, [
    ...(failure.wantsLogin
      ? [
          {
            title: vscode.l10n.t("Log In..."),
            run: async (): Promise<void> => {
              again = await login(ctx, registryOf(reference));
            },
          },
        ]
      : []),
    ...(failure.kind === "registry-unreachable" || failure.retryable
      ? [
          {
            title: vscode.l10n.t("Try Again"),
            run: (): void => {
              again = true;
            },
          },
        ]
      : []),
  ]);
  return again;
}

function told({ pushed }: proto.ImagePushResult): [string, string[]] {
  const { t } = vscode.l10n;
  const [first] = pushed;
  const headline =
    pushed.length === 1 && first !== undefined
      ? t("Pushed {0}", familiar(first.reference))
      : t("Pushed {0} tags", pushed.length);
  return [headline, pushed.map(({ reference, digest }) => pinned(reference, digest))];
}

/** `name@digest`, which means this very image for ever. */
function pinned(reference: string, digest: string): string {
  const name = familiar(reference);
  const colon = name.indexOf(":", name.lastIndexOf("/") + 1);
  return `${colon < 0 ? name : name.slice(0, colon)}@${digest}`;
}

async function arrived(ctx: Ctx, pushed: readonly proto.PushedImage[]): Promise<void> {
  const [first] = pushed;
  if (first === undefined) return;
  ctx.registries.arrived(first.reference);
  const { t } = vscode.l10n;
  const copyDigest = t("Copy Digest");
  const copyName = t("Copy Name with Digest");
  const short = `${first.digest.slice(0, "sha256:".length + 12)}…`;
  const message =
    pushed.length === 1
      ? t("Pushed {0} ({1}).", familiar(first.reference), short)
      : t("Pushed {0} tags.", pushed.length);
  const buttons = pushed.length === 1 ? [copyDigest, copyName] : [];
  const chosen = await vscode.window.showInformationMessage(message, ...buttons);
  if (chosen === copyDigest) await vscode.env.clipboard.writeText(first.digest);
  if (chosen === copyName) await vscode.env.clipboard.writeText(pinned(first.reference, first.digest));
}
