// The rows of the Containers view: groups, containers, and under each its files and what it changed.

import * as path from "node:path";
import * as vscode from "vscode";
import { fileType, fileUri } from "../containerFiles";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { asFailure, request } from "../rpc";
import { browserPorts, portsText, stateText } from "../util/containers";
import { formatSize } from "../util/format";
import { escape, facts, type Node } from "./provider";

const ICONS: Record<proto.ContainerSummary["state"], [string, string | undefined]> = {
  running: ["debug-start", "debugIcon.startForeground"],
  created: ["circle-outline", undefined],
  paused: ["debug-pause", "debugIcon.pauseForeground"],
  restarting: ["debug-restart", "debugIcon.restartForeground"],
  exited: ["debug-stop", "disabledForeground"],
  dead: ["error", "problemsErrorIcon.foreground"],
};
const MOST_CHANGES = 1000;

/** The containers of one image, by the name they were made from. */
export class GroupNode implements Node {
  readonly parent = undefined;
  readonly id: string;
  containers: ContainerNode[] = [];

  constructor(readonly image: string) {
    this.id = `group:${image}`;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.image, vscode.TreeItemCollapsibleState.Expanded);
    const running = this.containers.filter(({ alive }) => alive).length;
    const stopped = this.containers.length - running;
    const told = [
      ...(running > 0 ? [vscode.l10n.t("{0} running", running)] : []),
      ...(stopped > 0 ? [vscode.l10n.t("{0} stopped", stopped)] : []),
    ].join(" · ");
    item.description = told;
    item.iconPath = new vscode.ThemeIcon("package");
    item.contextValue = [
      "containerGroup",
      ...(running > 0 ? ["some-running"] : []),
      ...(stopped > 0 ? ["some-stopped"] : []),
    ].join(";");
    item.accessibilityInformation = { label: `${this.image}, ${told}` };
    return item;
  }

  children(): Node[] {
    return this.containers;
  }
}

/** One container; `containerId` is there for other extensions, too. Stays the same object while the container lives. */
export class ContainerNode implements Node {
  readonly id: string;
  readonly containerId: string;
  readonly files: DirectoryNode;
  readonly changes: ChangesNode;
  parent: GroupNode | undefined;

  constructor(
    readonly ctx: () => Ctx,
    public container: proto.ContainerSummary,
  ) {
    this.containerId = container.id;
    this.id = `container:${container.id}`;
    this.files = new DirectoryNode(this, this, "/");
    this.changes = new ChangesNode(this);
  }

  get alive(): boolean {
    return ["running", "paused", "restarting"].includes(this.container.state);
  }

  item(): vscode.TreeItem {
    const { name, image, ports } = this.container;
    const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.Collapsed);
    const told = [...(this.parent === undefined ? [image] : []), portsText(ports), this.stateText()];
    item.description = told.filter((part) => part !== "").join(" · ");
    item.iconPath = this.icon();
    item.contextValue = this.contextValue();
    item.accessibilityInformation = { label: [name, image, this.stateText(), portsText(ports)].join(", ") };
    return item;
  }

  children(): Node[] {
    return [this.files, this.changes];
  }

  tooltip(): vscode.MarkdownString {
    const { name, image, command, id, ports, created } = this.container;
    const rows: [string, string][] = [
      [vscode.l10n.t("Container ID"), `\`${id.slice(0, 12)}\``],
      [vscode.l10n.t("Image"), escape(image)],
      [vscode.l10n.t("Command"), escape(command)],
      [vscode.l10n.t("State"), escape(this.stateText())],
      [vscode.l10n.t("Created"), escape(new Date(created).toLocaleString(vscode.env.language))],
    ];
    if (ports.length > 0) rows.push([vscode.l10n.t("Ports"), escape(portsText(ports))]);
    return facts(name, rows);
  }

  private stateText(): string {
    return stateText(this.container, Date.now(), vscode.env.language, vscode.l10n.t);
  }

  private icon(): vscode.ThemeIcon {
    const { state, exitCode } = this.container;
    const health = state === "running" ? this.container.health : null;
    if (health === "unhealthy") return themed("warning", "problemsWarningIcon.foreground");
    if (health === "starting") return themed("debug-rerun", "debugIcon.restartForeground");
    if (state === "exited" && exitCode !== 0) return themed("debug-stop", "problemsErrorIcon.foreground");
    return themed(...ICONS[state]);
  }

  private contextValue(): string {
    const { state, ports, autoRemove } = this.container;
    const flags = [
      ...(state === "running" && browserPorts(ports).length > 0 ? ["web"] : []),
      ...(autoRemove ? ["autoRemove"] : []),
    ];
    return ["container", state, ...flags].join(";");
  }
}

/** A directory of a container; the root is the row "Files". Listed once, and again when somebody asks for it. */
export class DirectoryNode implements Node {
  readonly id: string;
  private listed: Promise<Node[]> | undefined;

  constructor(
    readonly parent: Node,
    readonly owner: ContainerNode,
    readonly path: string,
    private readonly link: string | null = null,
  ) {
    this.id = `files:${owner.containerId}:${path}`;
  }

  get uri(): vscode.Uri {
    return fileUri(this.owner.containerId, this.path);
  }

  item(): vscode.TreeItem {
    const root = this.path === "/";
    const name = root ? vscode.l10n.t("Files") : path.posix.basename(this.path);
    const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.Collapsed);
    if (!root) item.resourceUri = this.uri;
    item.iconPath = root ? new vscode.ThemeIcon("files") : vscode.ThemeIcon.Folder;
    if (this.link !== null) item.description = `→ ${this.link}`;
    item.contextValue = root ? "containerDirectory;root" : "containerDirectory";
    return item;
  }

  children(): Promise<Node[]> {
    this.listed ??= this.list();
    return this.listed;
  }

  /** Looks again when next shown. */
  forget(): void {
    this.listed = undefined;
  }

  private async list(): Promise<Node[]> {
    const params = { container: this.owner.containerId, path: this.path };
    return orTrouble(this, async () => {
      const { entries } = await request(this.owner.ctx(), proto.fileList, params);
      const here = (name: string): string => path.posix.join(this.path, name);
      const folders = entries.filter((entry) => (fileType(entry) & vscode.FileType.Directory) !== 0);
      const files = entries.filter((entry) => (fileType(entry) & vscode.FileType.Directory) === 0);
      return [
        ...folders.map((entry) => new DirectoryNode(this, this.owner, here(entry.name), entry.target)),
        ...files.map((entry) => new FileNode(this, this.owner, here(entry.name), entry)),
      ];
    });
  }
}

/** A file of a container, which a click opens. */
export class FileNode implements Node {
  readonly id: string;

  constructor(
    readonly parent: DirectoryNode,
    readonly owner: ContainerNode,
    readonly path: string,
    private readonly entry: proto.FileEntry,
  ) {
    this.id = `file:${owner.containerId}:${path}`;
  }

  get uri(): vscode.Uri {
    return fileUri(this.owner.containerId, this.path);
  }

  item(): vscode.TreeItem {
    const { name, kind, target, size } = this.entry;
    const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.None);
    const bytes = kind === "file" ? formatSize(size, vscode.env.language) : "";
    item.description = target === null ? bytes : `→ ${target}`;
    item.resourceUri = this.uri;
    item.iconPath = kind === "file" ? vscode.ThemeIcon.File : new vscode.ThemeIcon("symbol-misc");
    item.contextValue = "containerFile";
    if (kind === "file") item.command = { title: "", command: "vscode.open", arguments: [this.uri] };
    return item;
  }

  children(): Node[] {
    return [];
  }
}

/** The row "Changes": what the container did to its image's files. */
export class ChangesNode implements Node {
  readonly id: string;
  private listed: Promise<Node[]> | undefined;

  constructor(readonly parent: ContainerNode) {
    this.id = `changes:${parent.containerId}`;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(vscode.l10n.t("Changes"), vscode.TreeItemCollapsibleState.Collapsed);
    item.iconPath = new vscode.ThemeIcon("diff");
    item.contextValue = "containerChanges";
    item.tooltip = vscode.l10n.t("What it changed against its image");
    return item;
  }

  children(): Promise<Node[]> {
    this.listed ??= this.list();
    return this.listed;
  }

  forget(): void {
    this.listed = undefined;
  }

  private list(): Promise<Node[]> {
    const { ctx, containerId } = this.parent;
    return orTrouble(this, async () => {
      const { changes } = await request(ctx(), proto.containerDiff, { container: containerId });
      const rows = ownChanges(changes);
      const shown = rows.slice(0, MOST_CHANGES).map((change) => new ChangeNode(this, this.parent, change));
      if (rows.length === 0) return [new NoteNode(this, vscode.l10n.t("Nothing was changed."), "info")];
      const more = rows.length - shown.length;
      return more > 0 ? [...shown, new NoteNode(this, vscode.l10n.t("and {0} more", more), "ellipsis")] : shown;
    });
  }
}

/** Without directories that only count because something in them changed. */
export function ownChanges(changes: readonly proto.ContainerChange[]): proto.ContainerChange[] {
  const parents = new Set(changes.map((change) => path.posix.dirname(change.path)));
  return changes.filter((change) => change.kind !== "changed" || !parents.has(change.path));
}

const CHANGE_ICONS: Record<proto.ContainerChange["kind"], [string, string]> = {
  added: ["diff-added", "gitDecoration.addedResourceForeground"],
  changed: ["diff-modified", "gitDecoration.modifiedResourceForeground"],
  deleted: ["diff-removed", "gitDecoration.deletedResourceForeground"],
};

/** One path that changed; a click shows how. */
export class ChangeNode implements Node {
  readonly id: string;

  constructor(
    readonly parent: ChangesNode,
    readonly owner: ContainerNode,
    readonly change: proto.ContainerChange,
  ) {
    this.id = `change:${owner.containerId}:${change.path}`;
  }

  item(): vscode.TreeItem {
    const { kind, path: file } = this.change;
    const item = new vscode.TreeItem(file, vscode.TreeItemCollapsibleState.None);
    const words = {
      added: vscode.l10n.t("added"),
      changed: vscode.l10n.t("changed"),
      deleted: vscode.l10n.t("deleted"),
    };
    item.description = words[kind];
    item.iconPath = themed(...CHANGE_ICONS[kind]);
    item.contextValue = `containerChange;${kind}`;
    item.command = { title: "", command: "orlop.container.openChange", arguments: [this] };
    item.accessibilityInformation = { label: `${file}, ${words[kind]}` };
    return item;
  }

  children(): Node[] {
    return [];
  }
}

/** A row that only says something. */
export class NoteNode implements Node {
  readonly id: string;

  constructor(
    readonly parent: Node,
    private readonly text: string,
    private readonly icon: string,
  ) {
    this.id = `note:${parent.id}`;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.text, vscode.TreeItemCollapsibleState.None);
    item.iconPath = new vscode.ThemeIcon(this.icon);
    item.tooltip = this.text;
    return item;
  }

  children(): Node[] {
    return [];
  }
}

async function orTrouble(node: DirectoryNode | ChangesNode, work: () => Promise<Node[]>): Promise<Node[]> {
  try {
    return await work();
  } catch (error) {
    node.forget();
    return [new NoteNode(node, asFailure(error).message, "error")];
  }
}

function themed(icon: string, color: string | undefined): vscode.ThemeIcon {
  return new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
}
