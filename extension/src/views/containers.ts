// The Containers view: what runs and what has run, newest first, by image; redrawn when the server says that it changed.

import * as vscode from "vscode";
import { containersGroupBy } from "../config";
import type { Ctx } from "../ctx";
import { containerList, type ContainerSummary } from "../protocol.gen";
import { request } from "../rpc";
import { ContainerNode, GroupNode } from "./containerNodes";
import { Provider, type Node } from "./provider";

/** Ages on the screen grow by themselves. */
const MINUTE_MS = 60_000;

/** The view. */
export class ContainersView implements vscode.Disposable {
  private readonly provider = new Provider<Node>(() => this.roots());
  private readonly view: vscode.TreeView<Node>;
  private readonly subscriptions: vscode.Disposable[];
  private readonly clock: NodeJS.Timeout;
  private readonly nodes = new Map<string, ContainerNode>();
  private readonly groups = new Map<string, GroupNode>();
  private drawn = "";

  constructor(private readonly ctx: () => Ctx) {
    this.view = vscode.window.createTreeView("orlop.containers", {
      treeDataProvider: this.provider,
      canSelectMany: true,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.view.onDidChangeVisibility(({ visible }) => {
        if (visible) this.refresh();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("orlop.containers")) this.provider.refresh();
      }),
    ];
    this.clock = setInterval(() => {
      if (this.view.visible) this.provider.refresh();
    }, MINUTE_MS);
  }

  /** Lists again; draws only what is another than before, so that open folders are left in peace. */
  refresh(): void {
    if (this.view.visible) void this.update();
  }

  /** Lists everything again, files and changes too, because a person asks. */
  refreshAll(): void {
    for (const node of this.nodes.values()) forget(node);
    this.provider.refresh();
  }

  /** Draws a row and what is under it again. */
  redraw(node: Node): void {
    this.provider.refresh(node);
  }

  /** The containers as the server tells them now; none when it cannot. */
  async fetch(): Promise<ContainerSummary[]> {
    return (await request(this.ctx(), containerList, { all: true })).containers;
  }

  /** Opens a row, if the view is on the screen or `show` brings it there. */
  async reveal(node: Node, show = false): Promise<void> {
    if (show || this.view.visible) await this.view.reveal(node, { select: true, focus: false, expand: true });
  }

  /** The row of a container, once it is listed. */
  node(id: string): ContainerNode | undefined {
    return this.nodes.get(id);
  }

  dispose(): void {
    clearInterval(this.clock);
    for (const subscription of this.subscriptions) subscription.dispose();
    this.view.dispose();
    this.provider.dispose();
  }

  private async update(): Promise<void> {
    try {
      if (JSON.stringify(await this.fetch()) !== this.drawn) this.provider.refresh();
    } catch {
      this.provider.refresh();
    }
  }

  private async roots(): Promise<Node[]> {
    let containers: ContainerSummary[];
    try {
      containers = await this.fetch();
    } catch (error) {
      this.drawn = "";
      this.ctx().log.warn(`containers: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
    this.drawn = JSON.stringify(containers);
    const nodes = containers.map((container) => this.nodeOf(container));
    const living = new Set(nodes.map(({ containerId }) => containerId));
    for (const id of this.nodes.keys()) if (!living.has(id)) this.nodes.delete(id);
    if (containersGroupBy() === "none") {
      for (const node of nodes) node.parent = undefined;
      return nodes;
    }
    for (const group of this.groups.values()) group.containers = [];
    for (const node of nodes) {
      const group = this.groups.get(node.container.image) ?? new GroupNode(node.container.image);
      this.groups.set(group.image, group);
      group.containers.push(node);
      node.parent = group;
    }
    return [...this.groups.values()].filter((group) => group.containers.length > 0);
  }

  /** The row it had before, so that it stays open; after another run its files are looked at anew. */
  private nodeOf(container: ContainerSummary): ContainerNode {
    const known = this.nodes.get(container.id);
    if (known === undefined) {
      const made = new ContainerNode(this.ctx, container);
      this.nodes.set(container.id, made);
      return made;
    }
    const { started, finished } = known.container;
    if (started !== container.started || finished !== container.finished) forget(known);
    known.container = container;
    return known;
  }
}

function forget(node: ContainerNode): void {
  node.files.forget();
  node.changes.forget();
}
