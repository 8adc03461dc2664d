// The rows of the Registries view: registry, repository, tag, and those that say more or what went wrong.

import * as vscode from "vscode";
import { registryManifest, registryRepositories, registryTags, type RegistryInfo } from "../protocol.gen";
import type { Ctx } from "../ctx";
import { asFailure, request, type Failure } from "../rpc";
import { formatAge, formatSize, sentence } from "../util/format";
import { compareTags, familiar, registryTitle } from "../util/reference";
import { escape, facts, type Node } from "./provider";

/** Rows that are shown at once. */
const PAGE = 100;
/** Tags that are asked for at once: with fewer, the latest would often not be among them. */
const TAGS = 1000;

/** A registry that is listed, with or without an account. */
export class RegistryNode implements Node {
  readonly parent = undefined;
  readonly id: string;
  readonly pages: Pages;

  constructor(
    readonly ctx: Ctx,
    readonly info: RegistryInfo,
    /** Whether it was connected here, and not by Docker's settings. */
    readonly connected: boolean,
  ) {
    const { host } = info;
    this.id = `registry:${host}:${info.username ?? ""}`;
    this.pages = new Pages(this, async (cursor) => {
      const page = await request(ctx, registryRepositories, { host, cursor, limit: PAGE });
      const rows = page.repositories.map((name) => new RemoteRepositoryNode(ctx, this, name, false));
      return { rows, cursor: page.cursor };
    });
  }

  get title(): string {
    return registryTitle(this.info.host);
  }

  item(): vscode.TreeItem {
    const { host, username, kept } = this.info;
    const item = new vscode.TreeItem(this.title, vscode.TreeItemCollapsibleState.Collapsed);
    item.description =
      username ?? (this.connected ? vscode.l10n.t("without an account") : vscode.l10n.t("not logged in"));
    item.iconPath = new vscode.ThemeIcon(host === "docker.io" ? "cloud" : host === "ghcr.io" ? "github" : "briefcase");
    const kind = host === "docker.io" ? "hub" : "other";
    item.contextValue = ["registry", kind, this.connected ? "connected" : kept].join(";");
    item.accessibilityInformation = { label: vscode.l10n.t("Registry {0}, {1}", this.title, item.description) };
    return item;
  }

  async children(): Promise<Node[]> {
    const { host } = this.info;
    const named = this.ctx.accounts.namedRepositories(host);
    const extra = named.map((name) => new RemoteRepositoryNode(this.ctx, this, `${host}/${name}`, true));
    const rows = await this.pages.rows();
    // A registry that does not list its repositories is told so only until one is named.
    const useful = extra.length > 0 ? rows.filter((row) => !(row instanceof TroubleNode && row.unlisted)) : rows;
    const listed = new Set(useful.map(({ id }) => id));
    return [...extra.filter(({ id }) => !listed.has(id)), ...useful];
  }

  tooltip(): vscode.MarkdownString {
    const { host, username, source, kept } = this.info;
    const where = kept === "file" ? escape(source) : vscode.l10n.t("VS Code's secret storage");
    return facts(this.title, [
      [vscode.l10n.t("Address"), `\`${host}\``],
      ...(username === null
        ? []
        : ([
            [vscode.l10n.t("Account"), escape(username)],
            [vscode.l10n.t("Kept in"), where],
          ] satisfies [string, string][])),
    ]);
  }
}

/** A repository of a registry; `name` has its host. */
export class RemoteRepositoryNode implements Node {
  readonly id: string;
  readonly pages: Pages;

  constructor(
    readonly ctx: Ctx,
    readonly parent: RegistryNode,
    readonly name: string,
    /** Whether it is listed because a person named it. */
    readonly named: boolean,
  ) {
    this.id = `${parent.id}/${name}`;
    this.pages = new Pages(
      this,
      async (cursor) => {
        const page = await request(ctx, registryTags, { repository: name, cursor, limit: TAGS });
        return { rows: page.tags.map((tag) => new RemoteTagNode(ctx, this, tag)), cursor: page.cursor };
      },
      newestFirst,
    );
  }

  item(): vscode.TreeItem {
    const path = this.name.slice(this.name.indexOf("/") + 1);
    const item = new vscode.TreeItem(path, vscode.TreeItemCollapsibleState.Collapsed);
    item.iconPath = new vscode.ThemeIcon("repo");
    item.contextValue = this.named ? "remoteRepository;named" : "remoteRepository";
    item.accessibilityInformation = { label: vscode.l10n.t("Repository {0}", this.name) };
    item.tooltip = this.name;
    return item;
  }

  async children(): Promise<Node[]> {
    const rows = await this.pages.rows();
    return rows.length > 0 ? rows : [new TroubleNode(this, undefined, vscode.l10n.t("There are no tags."))];
  }
}

/** A tag at its registry. `fullTag` is there for other extensions, too. */
export class RemoteTagNode implements Node {
  readonly id: string;
  readonly reference: string;
  readonly fullTag: string;

  constructor(
    readonly ctx: Ctx,
    readonly parent: RemoteRepositoryNode,
    readonly tag: string,
  ) {
    this.id = `${parent.id}:${tag}`;
    this.reference = `${parent.name}:${tag}`;
    this.fullTag = familiar(this.reference);
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.tag, vscode.TreeItemCollapsibleState.None);
    item.iconPath = new vscode.ThemeIcon("bookmark");
    item.contextValue = "remoteTag";
    item.accessibilityInformation = { label: this.fullTag };
    return item;
  }

  children(): Node[] {
    return [];
  }

  /** Asks the registry, because a person wants to know. */
  async tooltip(token: vscode.CancellationToken): Promise<vscode.MarkdownString | undefined> {
    const { language } = vscode.env;
    try {
      const found = await request(this.ctx, registryManifest, { reference: this.reference }, token);
      const rows: [string, string][] = [
        [vscode.l10n.t("Digest"), `\`${found.digest.slice(0, "sha256:".length + 12)}…\``],
      ];
      if (found.size !== null) rows.push([vscode.l10n.t("Download size"), formatSize(found.size, language)]);
      if (found.platforms.length > 0) rows.push([vscode.l10n.t("Platforms"), escape(found.platforms.join(", "))]);
      if (found.created !== null) {
        rows.push([vscode.l10n.t("Created"), escape(formatAge(found.created, Date.now(), language))]);
      }
      return facts(this.fullTag, rows);
    } catch (error) {
      const failure = asFailure(error);
      return failure.cancelled ? undefined : new vscode.MarkdownString(escape(sentence(failure.message, failure.hint)));
    }
  }
}

/** Continues a list that was cut. */
export class MoreNode implements Node {
  readonly id: string;

  constructor(
    readonly parent: RegistryNode | RemoteRepositoryNode,
    shown: number,
  ) {
    this.id = `${parent.id}#more${shown}`;
  }

  item(): vscode.TreeItem {
    const title = vscode.l10n.t("Load more…");
    const item = new vscode.TreeItem(title, vscode.TreeItemCollapsibleState.None);
    item.iconPath = new vscode.ThemeIcon("ellipsis");
    item.contextValue = "more";
    item.command = { command: "orlop.registry.more", title, arguments: [this] };
    return item;
  }

  children(): Node[] {
    return [];
  }
}

/** Why there is nothing to list, with what can be done about it. */
export class TroubleNode implements Node {
  readonly id: string;

  constructor(
    readonly parent: RegistryNode | RemoteRepositoryNode,
    readonly failure: Failure | undefined,
    private readonly label: string,
  ) {
    this.id = `${parent.id}#trouble`;
  }

  /** The registry answers, but does not list its repositories. */
  get unlisted(): boolean {
    return this.failure?.kind === "registry-error" && this.parent instanceof RegistryNode;
  }

  item(): vscode.TreeItem {
    const item = new vscode.TreeItem(this.label, vscode.TreeItemCollapsibleState.None);
    const login = this.failure?.wantsLogin === true;
    const harmless = this.failure === undefined || this.unlisted;
    item.iconPath = login ? new vscode.ThemeIcon("key") : new vscode.ThemeIcon(harmless ? "info" : "warning");
    item.contextValue = `trouble;${login ? "login" : this.unlisted ? "unlisted" : harmless ? "none" : "retry"}`;
    if (this.failure !== undefined) item.tooltip = sentence(this.failure.message, this.failure.hint);
    return item;
  }

  children(): Node[] {
    return [];
  }
}

type Page = { rows: Node[]; cursor: string | null };

/** A list that grows by a page when somebody wants more; listing anew begins from the beginning. */
export class Pages {
  private loaded: Node[] = [];
  private cursor: string | null = null;
  private shown = 0;
  private extended = false;

  constructor(
    private readonly parent: RegistryNode | RemoteRepositoryNode,
    private readonly load: (cursor: string | null) => Promise<Page>,
    private readonly sort: (rows: readonly Node[]) => Node[] = (rows) => [...rows],
  ) {}

  /** What to show: the first page, or after `more` that much more. */
  async rows(): Promise<Node[]> {
    if (!this.extended) {
      try {
        const page = await this.load(null);
        this.loaded = this.sort(page.rows);
        this.cursor = page.cursor;
        this.shown = PAGE;
      } catch (error) {
        return [new TroubleNode(this.parent, asFailure(error), trouble(asFailure(error)))];
      }
    }
    this.extended = false;
    const rows = this.loaded.slice(0, this.shown);
    const whole = this.cursor === null && rows.length === this.loaded.length;
    return whole ? rows : [...rows, new MoreNode(this.parent, rows.length)];
  }

  /** Grows by a page, which is loaded if need be; throws `Failure`. */
  async more(): Promise<void> {
    if (this.shown >= this.loaded.length && this.cursor !== null) {
      const page = await this.load(this.cursor);
      this.loaded = this.sort([...this.loaded, ...page.rows]);
      this.cursor = page.cursor;
    }
    this.shown += PAGE;
    this.extended = true;
  }
}

/** `latest`, then versions from the highest down: 1.10 before 1.9. */
function newestFirst(rows: readonly Node[]): Node[] {
  return rows.filter((row) => row instanceof RemoteTagNode).sort((a, b) => compareTags(a.tag, b.tag));
}

/** A failure in the few words that a row has room for. */
function trouble(failure: Failure): string {
  const { t } = vscode.l10n;
  switch (failure.kind) {
    case "registry-unauthorized":
    case "registry-denied":
      return t("This account may not list it");
    case "registry-unreachable":
      return t("The registry does not answer");
    case "registry-rate-limited":
      return t("The registry allows no more requests now");
    case "registry-error":
      return t("This registry does not list its repositories");
    default:
      return sentence(failure.message, null);
  }
}
