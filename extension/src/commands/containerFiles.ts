// Files of containers: open, compare with the image, make, rename, delete, download and upload.

import * as path from "node:path";
import * as vscode from "vscode";
import { fileUri } from "../containerFiles";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askAll, askText } from "../prompts/steps";
import { call } from "../rpc";
import { ChangeNode, ContainerNode, DirectoryNode, FileNode } from "../views/containerNodes";

/** Opens the row of a container's files, or of what it changed. */
export async function showFiles(ctx: Ctx, node: unknown): Promise<void> {
  if (node instanceof ContainerNode) await ctx.containers.reveal(node.files, true);
}

export async function showChanges(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof ContainerNode)) return;
  node.changes.forget();
  ctx.containers.redraw(node.changes);
  await ctx.containers.reveal(node.changes, true);
}

/** What was changed beside what it was; what was added or deleted alone. */
export async function openChange(node: unknown): Promise<void> {
  if (!(node instanceof ChangeNode)) return;
  const { owner, change } = node;
  const side = change.kind === "deleted" ? "image" : "container";
  const now = fileUri(owner.containerId, change.path, side);
  const { type } = await vscode.workspace.fs.stat(now);
  if ((type & vscode.FileType.File) === 0) {
    const message = vscode.l10n.t(
      "{0} is a directory or no regular file; there is nothing to show in it.",
      change.path,
    );
    await vscode.window.showInformationMessage(message);
    return;
  }
  if (change.kind !== "changed") {
    await vscode.commands.executeCommand("vscode.open", now);
    return;
  }
  const before = fileUri(owner.containerId, change.path, "image");
  const title = vscode.l10n.t("{0} (image ↔ {1})", path.posix.basename(change.path), owner.container.name);
  await vscode.commands.executeCommand("vscode.diff", before, now, title, { preview: true });
}

export async function download(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof FileNode || node instanceof DirectoryNode)) return;
  const name = path.posix.basename(node.path) || node.owner.container.name;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file("/tmp");
  const target = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.joinPath(folder, name),
    title: vscode.l10n.t("Download {0}", name),
  });
  if (target === undefined) return;
  await call(
    ctx,
    proto.fileCopy,
    { container: node.owner.containerId, path: node.path, hostPath: target.fsPath, direction: "download" },
    { title: vscode.l10n.t("Downloading {0}", name) },
  );
}

export async function upload(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof DirectoryNode)) return;
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    openLabel: vscode.l10n.t("Upload"),
    title: vscode.l10n.t("Upload into {0}", node.path),
  });
  for (const { fsPath } of chosen ?? []) {
    await call(
      ctx,
      proto.fileCopy,
      { container: node.owner.containerId, path: node.path, hostPath: fsPath, direction: "upload" },
      { title: vscode.l10n.t("Uploading {0}", path.basename(fsPath)) },
    );
  }
  redraw(ctx, node);
}

export async function newFile(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof DirectoryNode)) return;
  const uri = await askName(vscode.l10n.t("New File"), node, "");
  if (uri === undefined) return;
  await vscode.workspace.fs.writeFile(uri, new Uint8Array());
  redraw(ctx, node);
  await vscode.commands.executeCommand("vscode.open", uri);
}

export async function newFolder(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof DirectoryNode)) return;
  const uri = await askName(vscode.l10n.t("New Folder"), node, "");
  if (uri === undefined) return;
  await vscode.workspace.fs.createDirectory(uri);
  redraw(ctx, node);
}

export async function renameFile(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof FileNode || node instanceof DirectoryNode) || !(node.parent instanceof DirectoryNode)) return;
  const uri = await askName(vscode.l10n.t("Rename"), node.parent, path.posix.basename(node.path));
  if (uri === undefined || uri.path === node.path) return;
  await vscode.workspace.fs.rename(node.uri, uri, { overwrite: false });
  redraw(ctx, node.parent);
}

export async function deleteFile(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof FileNode || node instanceof DirectoryNode) || !(node.parent instanceof DirectoryNode)) return;
  const button = vscode.l10n.t("Delete");
  const message = vscode.l10n.t("Delete {0} from {1}?", node.path, node.owner.container.name);
  const detail = vscode.l10n.t("The image keeps its own; nothing of it is deleted.");
  if ((await vscode.window.showWarningMessage(message, { modal: true, detail }, button)) !== button) return;
  await vscode.workspace.fs.delete(node.uri, { recursive: true });
  redraw(ctx, node.parent);
}

export function refresh(ctx: Ctx, node: unknown): void {
  if (node instanceof DirectoryNode) redraw(ctx, node);
  else ctx.containers.refreshAll();
}

export async function copyPath(node: unknown): Promise<void> {
  if (node instanceof FileNode || node instanceof DirectoryNode) await vscode.env.clipboard.writeText(node.path);
  if (node instanceof ChangeNode) await vscode.env.clipboard.writeText(node.change.path);
}

async function askName(title: string, folder: DirectoryNode, value: string): Promise<vscode.Uri | undefined> {
  const problem = (text: string): string | undefined =>
    text === "" || text.includes("/") || text === "." || text === ".."
      ? vscode.l10n.t("A name without a slash is wanted.")
      : undefined;
  const prompt = vscode.l10n.t("Name in {0}", folder.path);
  const name = await askAll(title, value, [
    async (state, place) => {
      const answer = await askText({ prompt, value: state, problem }, place);
      return typeof answer === "object" ? { state: answer.text } : answer;
    },
  ]);
  return name === undefined ? undefined : fileUri(folder.owner.containerId, path.posix.join(folder.path, name));
}

function redraw(ctx: Ctx, node: DirectoryNode): void {
  node.forget();
  node.owner.changes.forget();
  ctx.containers.redraw(node);
}
