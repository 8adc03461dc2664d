// What can be done to an image of the view or of a picker: run, inspect, history, tag, copy, save, load, remove.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askAll } from "../prompts/steps";
import { askTag } from "../prompts/tag";
import { asFailure, call, request, showError, type Failure } from "../rpc";
import { formatAge, formatSize } from "../util/format";
import { ImageNode, PullNode, RepositoryNode, group } from "../views/images";
import { run } from "./sessions";

/** The clicked node, or one that is picked from a list. */
export async function target(ctx: Ctx, node: unknown): Promise<ImageNode | undefined> {
  if (node instanceof ImageNode) return node;
  let images: proto.ImageSummary[];
  try {
    images = await ctx.images.fetch();
  } catch (error) {
    await showError(ctx, error);
    return undefined;
  }
  const nodes = group(images, true).flatMap((repository) => repository.images);
  if (nodes.length === 0) {
    await vscode.window.showInformationMessage(vscode.l10n.t("There are no images yet; build one first."));
    return undefined;
  }
  const items = nodes.map((image) => ({
    label: image.tag?.fullTag ?? image.image.shortId,
    description: formatAge(image.image.created, Date.now(), vscode.env.language),
    detail: formatSize(image.image.size, vscode.env.language),
    image,
  }));
  return (await vscode.window.showQuickPick(items, { placeHolder: vscode.l10n.t("Choose an image") }))?.image;
}

export async function runImage(ctx: Ctx, node: unknown, interactive: boolean): Promise<void> {
  const image = await target(ctx, node);
  if (image !== undefined) run(ctx, image.tag?.fullTag ?? image.imageId, interactive);
}

export async function inspect(ctx: Ctx, node: unknown): Promise<void> {
  const image = await target(ctx, node);
  if (image !== undefined) await ctx.documents.open("image", image.name, `${title(image)}.json`);
}

export async function history(ctx: Ctx, node: unknown): Promise<void> {
  const image = await target(ctx, node);
  if (image === undefined) return;
  await ctx.documents.open("history", image.name, vscode.l10n.t("{0} (history)", title(image)));
}

export async function copyFullTag(node: unknown): Promise<void> {
  if (node instanceof ImageNode) await vscode.env.clipboard.writeText(node.fullTag);
}

/** Stops the push or pull of a row. */
export function cancelTransfer(node: unknown): void {
  if (node instanceof ImageNode) node.push?.cancel();
  if (node instanceof PullNode) node.transfer.cancel();
}

export async function tag(ctx: Ctx, node: unknown): Promise<void> {
  const image = await target(ctx, node);
  if (image === undefined) return;
  const name = await askAll(vscode.l10n.t("Tag Image"), image.tag?.fullTag ?? "", [
    async (state, place) => {
      const answer = await askTag(ctx, state, place);
      return typeof answer === "object" ? { state: answer.text } : answer;
    },
  ]);
  if (name === undefined) return;
  const tagged = await call(ctx, proto.imageTag, { image: image.name, target: name });
  if (tagged !== undefined) ctx.images.reveal(tagged.reference);
}

/** Writes an image into an archive that `docker load` reads. */
export async function save(ctx: Ctx, node: unknown): Promise<void> {
  const image = await target(ctx, node);
  if (image === undefined) return;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file("/tmp");
  const chosen = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.joinPath(folder, `${title(image).replaceAll(/[^\w.-]+/g, "-")}.tar`),
    filters: { [vscode.l10n.t("Image archives")]: ["tar"] },
    title: vscode.l10n.t("Save Image"),
  });
  if (chosen === undefined) return;
  await call(
    ctx,
    proto.imageSave,
    { images: [image.name], path: chosen.fsPath },
    { title: vscode.l10n.t("Saving {0}", title(image)), cancellable: true },
  );
}

/** Reads an archive; `clicked` comes from the explorer. */
export async function load(ctx: Ctx, clicked?: vscode.Uri): Promise<void> {
  const file =
    clicked instanceof vscode.Uri
      ? clicked
      : (
          await vscode.window.showOpenDialog({
            title: vscode.l10n.t("Load Image"),
            openLabel: vscode.l10n.t("Load"),
            filters: { [vscode.l10n.t("Image archives")]: ["tar", "tgz", "gz", "zst"] },
          })
        )?.[0];
  if (file === undefined) return;
  const result = await call(
    ctx,
    proto.imageLoad,
    { path: file.fsPath },
    { title: vscode.l10n.t("Loading {0}", vscode.workspace.asRelativePath(file)), cancellable: true },
  );
  const first = result?.loaded[0];
  if (result === undefined || first === undefined) return;
  ctx.images.reveal(first);
  void vscode.window.showInformationMessage(vscode.l10n.t("Loaded {0}.", result.loaded.join(", ")));
}

/** Removes tags or images after a question that tells exactly what goes. */
export async function remove(ctx: Ctx, node: unknown, nodes: unknown): Promise<void> {
  const chosen = await selected(ctx, node, nodes);
  if (chosen.length === 0) return;
  const images = chosen.map((image) => image.name);
  const names = chosen.length > 3 ? vscode.l10n.t("{0} images", chosen.length) : chosen.map(title).join(", ");
  try {
    await removeAfterAsking(ctx, images, names, false);
  } catch (error) {
    const failure = asFailure(error);
    if (failure.kind === "conflict") await removeByForce(ctx, images, names, failure);
    else await showError(ctx, error);
  }
}

async function removeByForce(ctx: Ctx, images: string[], names: string, failure: Failure): Promise<void> {
  const button = vscode.l10n.t("Show What Force Would Remove");
  const answer = await vscode.window.showWarningMessage(failure.message, button);
  if (answer !== button) return;
  try {
    await removeAfterAsking(ctx, images, names, true);
  } catch (error) {
    await showError(ctx, error);
  }
}

async function removeAfterAsking(ctx: Ctx, images: string[], names: string, force: boolean): Promise<void> {
  const plan = await request(ctx, proto.imageRemove, { images, force, dryRun: true });
  const button = vscode.l10n.t("Remove");
  const message = vscode.l10n.t("Remove {0}?", names);
  const answer = await vscode.window.showWarningMessage(message, { modal: true, detail: effect(plan) }, button);
  if (answer === button) await request(ctx, proto.imageRemove, { images, force });
}

/** What a removal does, line by line, as the server announced it. */
function effect({ untagged, deleted, reclaimed }: proto.ImageRemoveResult): string {
  const lines = [
    ...untagged.map((name) => vscode.l10n.t("Untagged: {0}", name)),
    ...deleted.map((id) => vscode.l10n.t("Deleted: {0}", id.slice(0, "sha256:".length + 12))),
  ];
  const shown = lines.length > 12 ? [...lines.slice(0, 12), vscode.l10n.t("and {0} more", lines.length - 12)] : lines;
  const size = formatSize(reclaimed, vscode.env.language);
  const freed =
    deleted.length > 0 ? vscode.l10n.t("Frees {0}.", size) : vscode.l10n.t("Only the names go; the images stay.");
  return [...shown, "", freed].join("\n");
}

async function selected(ctx: Ctx, node: unknown, nodes: unknown): Promise<ImageNode[]> {
  const all: unknown[] = Array.isArray(nodes) && nodes.length > 0 ? nodes : [node];
  const images = all.flatMap((item) =>
    item instanceof RepositoryNode ? item.images : item instanceof ImageNode ? [item] : [],
  );
  if (images.length > 0) return [...new Map(images.map((image) => [image.id, image])).values()];
  const picked = await target(ctx, undefined);
  return picked === undefined ? [] : [picked];
}

function title(image: ImageNode): string {
  return image.tag?.fullTag ?? image.image.shortId;
}
