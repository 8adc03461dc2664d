// Pull Image...: a name, a terminal that shows the layers, and the image in its view.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askPull, askRemoteTag } from "../prompts/pull";
import { familiar } from "../util/reference";
import { RemoteRepositoryNode, RemoteTagNode } from "../views/registryNodes";
import { run } from "./sessions";
import { recovered } from "./push";
import { carryOut } from "./transfer";

/** The command: of a tag at its registry, of a repository, or of whatever is searched or typed. */
export async function pull(ctx: Ctx, node: unknown): Promise<void> {
  const name = await nameOf(ctx, node);
  if (name !== undefined) await pullName(ctx, name, false);
}

async function nameOf(ctx: Ctx, node: unknown): Promise<string | undefined> {
  if (node instanceof RemoteTagNode) return node.reference;
  if (!(node instanceof RemoteRepositoryNode)) return askPull(ctx);
  const answer = await askRemoteTag(ctx, node.name, false);
  return typeof answer === "object" ? answer.reference : undefined;
}

/** Pulls every tag of a repository. */
export async function pullAll(ctx: Ctx, node: unknown): Promise<void> {
  if (node instanceof RemoteRepositoryNode) await pullName(ctx, node.name, true);
}

async function pullName(ctx: Ctx, reference: string, allTags: boolean): Promise<void> {
  for (;;) {
    const done = await carryOut(ctx, {
      kind: "pull",
      name: familiar(reference),
      method: { request: proto.imagePull, progress: proto.imagePullProgress },
      params: { reference, allTags },
      tell: told,
    });
    if (done === undefined) return;
    if ("result" in done) return arrived(ctx, done.result.pulled);
    if (!(await recovered(ctx, done.failure, reference))) return;
  }
}

function told({ pulled }: proto.ImagePullResult): [string, string[]] {
  return [message(pulled), pulled.map(({ digest }) => digest)];
}

function message(pulled: readonly proto.PulledImage[]): string {
  const { t } = vscode.l10n;
  const [first] = pulled;
  if (pulled.length !== 1 || first === undefined) return t("Pulled {0} tags", pulled.length);
  const name = familiar(first.reference);
  return first.status === "newer" ? t("Pulled {0}", name) : t("{0} is up to date", name);
}

async function arrived(ctx: Ctx, pulled: readonly proto.PulledImage[]): Promise<void> {
  const [first] = pulled;
  if (first === undefined) return;
  ctx.images.reveal(first.reference);
  const runIt = vscode.l10n.t("Run");
  const copy = vscode.l10n.t("Copy Digest");
  const buttons = pulled.length === 1 ? [runIt, copy] : [];
  const chosen = await vscode.window.showInformationMessage(`${message(pulled)}.`, ...buttons);
  if (chosen === runIt) run(ctx, first.reference, false);
  if (chosen === copy) await vscode.env.clipboard.writeText(first.digest);
}
