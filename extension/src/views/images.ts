// The Images view: repositories, and under each its tags with age and size.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { imageList, type ImageSummary, type ImageTag } from "../protocol.gen";
import { request } from "../rpc";
import type { Transfer, Transfers } from "../transfers";
import { formatAge, formatSize } from "../util/format";
import { Provider, escape, facts, type Node } from "./provider";

const DANGLING_KEY = "danglingShown";
const PAGE = 500;

/** A repository; `name` is null for images without any name. */
export class RepositoryNode implements Node {
  readonly parent = undefined;
  readonly id: string;
  readonly images: ImageNode[] = [];

  constructor(readonly name: string | null) {
    this.id = `repository:${name ?? ""}`;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.name ?? vscode.l10n.t("<none>"), vscode.TreeItemCollapsibleState.Collapsed);
    item.iconPath = new vscode.ThemeIcon("repo");
    item.contextValue = this.name === null ? "repository;nameless" : "repository";
    item.accessibilityInformation = {
      label: vscode.l10n.t("Repository {0}, {1} images", this.name ?? vscode.l10n.t("<none>"), this.images.length),
    };
    return item;
  }

  children(): Node[] {
    return this.images;
  }
}

/** One name of an image, or an image without any. `fullTag` and `imageId` are there for other extensions, too. */
export class ImageNode implements Node {
  readonly id: string;
  readonly imageId: string;
  readonly fullTag: string;
  /** The push that is under way. */
  push: Transfer | undefined;

  constructor(
    readonly parent: RepositoryNode,
    readonly image: ImageSummary,
    readonly tag: ImageTag | undefined,
  ) {
    this.imageId = image.id;
    this.fullTag = tag?.fullTag ?? image.id;
    this.id = `image:${image.id}:${tag?.reference ?? ""}`;
  }

  /** The name to ask the server with. */
  get name(): string {
    return this.tag?.reference ?? this.imageId;
  }

  item(): vscode.TreeItem {
    const { size, created, containers, shortId } = this.image;
    const item = new vscode.TreeItem(this.tag?.tag ?? shortId, vscode.TreeItemCollapsibleState.None);
    const age = formatAge(created, Date.now(), vscode.env.language);
    const bytes = formatSize(size, vscode.env.language);
    const pushing = this.push === undefined ? "" : moving(this.push);
    const told = pushing === "" ? [age, bytes] : [pushing, bytes];
    item.description = told.filter((part) => part !== "").join(" · ");
    item.iconPath = new vscode.ThemeIcon(pushing === "" ? "bookmark" : "sync~spin");
    item.contextValue = [
      "image",
      this.tag ? "tagged" : "dangling",
      ...(containers > 0 ? ["used"] : []),
      ...(pushing === "" ? [] : ["transfer"]),
    ].join(";");
    item.accessibilityInformation = { label: [this.fullTag, ...told].filter((part) => part !== "").join(", ") };
    return item;
  }

  children(): Node[] {
    return [];
  }

  tooltip(): vscode.MarkdownString {
    const { image } = this;
    const rows: [string, string][] = [
      [vscode.l10n.t("Image ID"), `\`${image.shortId}\``],
      [vscode.l10n.t("Size"), formatSize(image.size, vscode.env.language)],
      [vscode.l10n.t("Platform"), escape(image.platform)],
    ];
    if (image.created !== null) {
      rows.push([vscode.l10n.t("Created"), escape(new Date(image.created).toLocaleString(vscode.env.language))]);
    }
    if (image.exposedPorts.length > 0) rows.push([vscode.l10n.t("Ports"), escape(image.exposedPorts.join(", "))]);
    if (image.containers > 0) rows.push([vscode.l10n.t("Containers"), String(image.containers)]);
    const others = image.tags.filter((tag) => tag.reference !== this.tag?.reference).map((tag) => tag.fullTag);
    if (others.length > 0) rows.push([vscode.l10n.t("Other tags"), escape(others.join(", "))]);
    return facts(this.fullTag, rows);
  }
}

/** An image that is being pulled. */
export class PullNode implements Node {
  readonly parent = undefined;
  readonly id: string;

  constructor(readonly transfer: Transfer) {
    this.id = `pull:${transfer.name}`;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.transfer.name, vscode.TreeItemCollapsibleState.None);
    item.description = moving(this.transfer);
    item.iconPath = new vscode.ThemeIcon("sync~spin");
    item.contextValue = "pull;transfer";
    item.accessibilityInformation = { label: `${this.transfer.name}, ${moving(this.transfer)}` };
    return item;
  }

  children(): Node[] {
    return [];
  }
}

/** How far a push or pull is. */
function moving({ kind, sum }: Transfer): string {
  const { t } = vscode.l10n;
  const words = kind === "push" ? t("pushing") : t("pulling");
  return sum.percent === undefined ? `${words}…` : `${words} ${sum.percent}%`;
}

/** The view with its switch for nameless images. */
export class ImagesView implements vscode.Disposable {
  private readonly provider = new Provider<Node>(() => this.list());
  private readonly view: vscode.TreeView<Node>;
  private readonly subscriptions: vscode.Disposable[];
  private roots: RepositoryNode[] = [];
  private pulls: PullNode[] = [];
  private wanted: string | undefined;

  constructor(
    private readonly memento: vscode.Memento,
    private readonly transfers: Transfers,
    private readonly ctx: () => Ctx,
  ) {
    this.view = vscode.window.createTreeView("orlop.images", {
      treeDataProvider: this.provider,
      canSelectMany: true,
      showCollapseAll: true,
    });
    this.subscriptions = [
      transfers.onDidChangeList(() => {
        this.refresh();
      }),
      transfers.onDidMove((transfer) => {
        this.moved(transfer);
      }),
    ];
    void this.tellDangling();
  }

  refresh(): void {
    this.provider.refresh();
  }

  async showDangling(shown: boolean): Promise<void> {
    await this.memento.update(DANGLING_KEY, shown);
    await this.tellDangling();
    this.refresh();
  }

  /** Opens the repository of a fresh image and marks its tag, if the view is on the screen; never takes the focus. */
  reveal(reference: string): void {
    this.wanted = reference;
    if (this.view.visible) this.refresh();
  }

  /** The images as the server tells them now. */
  async fetch(): Promise<ImageSummary[]> {
    const images: ImageSummary[] = [];
    let cursor: string | null = null;
    do {
      const page: { images: ImageSummary[]; cursor: string | null } = await request(this.ctx(), imageList, {
        limit: PAGE,
        cursor,
      });
      images.push(...page.images);
      cursor = page.cursor;
    } while (cursor !== null);
    return images;
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.view.dispose();
    this.provider.dispose();
  }

  /** Redraws the rows of a push or pull and no others. */
  private moved(transfer: Transfer): void {
    const pushed = this.roots.flatMap((root) => root.images).filter((image) => image.push === transfer);
    const pulled = this.pulls.filter((pull) => pull.transfer === transfer);
    for (const node of [...pushed, ...pulled]) this.provider.refresh(node);
  }

  private get danglingShown(): boolean {
    return this.memento.get(DANGLING_KEY, false);
  }

  private async tellDangling(): Promise<void> {
    await vscode.commands.executeCommand("setContext", "orlop.danglingShown", this.danglingShown);
  }

  private async list(): Promise<Node[]> {
    let images: ImageSummary[];
    try {
      images = await this.fetch();
    } catch (error) {
      // The welcome text of the view says why there is nothing; a popup for each redraw would not help.
      this.ctx().log.warn(`images: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
    this.roots = group(images, this.danglingShown);
    for (const image of this.roots.flatMap((root) => root.images)) {
      image.push = image.tag === undefined ? undefined : this.transfers.pushOf(image.tag);
    }
    const pulls = this.transfers.list().filter(({ kind }) => kind === "pull");
    this.pulls = pulls.map((transfer) => new PullNode(transfer));
    const state = this.roots.length > 0 ? "some" : images.length > 0 ? "hidden" : "none";
    await vscode.commands.executeCommand("setContext", "orlop.images", state);
    if (this.wanted !== undefined) setTimeout(() => void this.revealWanted(), 0);
    return [...this.pulls, ...this.roots];
  }

  private async revealWanted(): Promise<void> {
    const wanted = this.wanted;
    const nodes = this.roots.flatMap((root) => root.images);
    const node = nodes.find((image) => image.tag?.reference === wanted || image.tag?.fullTag === wanted);
    if (node === undefined || !this.view.visible) return;
    this.wanted = undefined;
    await this.view.reveal(node, { select: true, focus: false });
  }
}

/** Repositories by name, tags newest first, nameless images last. */
export function group(images: readonly ImageSummary[], dangling: boolean): RepositoryNode[] {
  const repositories = new Map<string | null, RepositoryNode>();
  const place = (name: string | null, image: ImageSummary, tag: ImageTag | undefined): void => {
    const repository = repositories.get(name) ?? new RepositoryNode(name);
    repositories.set(name, repository);
    repository.images.push(new ImageNode(repository, image, tag));
  };
  for (const image of images) {
    for (const tag of image.tags) place(tag.repository, image, tag);
    if (image.tags.length === 0 && dangling) place(null, image, undefined);
  }
  const last = "\uffff";
  return [...repositories.values()].sort((a, b) => ((a.name ?? last) < (b.name ?? last) ? -1 : 1));
}
