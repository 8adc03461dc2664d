// The Images view: repositories, and under each its tags with age and size.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { imageList, type ImageSummary, type ImageTag } from "../protocol.gen";
import { request } from "../rpc";
import { formatAge, formatSize } from "../util/format";
import { Provider, escape, type Node } from "./provider";

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
    item.description = [age, bytes].filter((part) => part !== "").join(" · ");
    item.iconPath = new vscode.ThemeIcon("bookmark");
    item.contextValue = ["image", this.tag ? "tagged" : "dangling", ...(containers > 0 ? ["used"] : [])].join(";");
    item.accessibilityInformation = { label: [this.fullTag, age, bytes].filter((part) => part !== "").join(", ") };
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
    const table = rows.map(([name, value]) => `| ${name} | ${value} |`).join("\n");
    return new vscode.MarkdownString(`**${escape(this.fullTag)}**\n\n|  |  |\n|---|---|\n${table}`);
  }
}

/** The view with its switch for nameless images. */
export class ImagesView implements vscode.Disposable {
  private readonly provider = new Provider(() => this.list());
  private readonly view: vscode.TreeView<Node>;
  private roots: RepositoryNode[] = [];
  private wanted: string | undefined;

  constructor(
    private readonly memento: vscode.Memento,
    private readonly ctx: () => Ctx,
  ) {
    this.view = vscode.window.createTreeView("orlop.images", {
      treeDataProvider: this.provider,
      canSelectMany: true,
      showCollapseAll: true,
    });
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
    this.view.dispose();
    this.provider.dispose();
  }

  private get danglingShown(): boolean {
    return this.memento.get(DANGLING_KEY, false);
  }

  private async tellDangling(): Promise<void> {
    await vscode.commands.executeCommand("setContext", "orlop.danglingShown", this.danglingShown);
  }

  private async list(): Promise<RepositoryNode[]> {
    let images: ImageSummary[];
    try {
      images = await this.fetch();
    } catch (error) {
      // The welcome text of the view says why there is nothing; a popup for each redraw would not help.
      this.ctx().log.warn(`images: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
    this.roots = group(images, this.danglingShown);
    const state = this.roots.length > 0 ? "some" : images.length > 0 ? "hidden" : "none";
    await vscode.commands.executeCommand("setContext", "orlop.images", state);
    if (this.wanted !== undefined) setTimeout(() => void this.revealWanted(), 0);
    return this.roots;
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
