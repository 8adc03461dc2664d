// The Containers view: what runs and what has run, newest first.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { containerList, type ContainerSummary } from "../protocol.gen";
import { request } from "../rpc";
import { Provider, escape, facts, type Node } from "./provider";

const ICONS: Record<ContainerSummary["state"], [string, string | undefined]> = {
  running: ["debug-start", "debugIcon.startForeground"],
  created: ["circle-outline", undefined],
  paused: ["debug-pause", "debugIcon.pauseForeground"],
  restarting: ["debug-restart", "debugIcon.restartForeground"],
  exited: ["debug-stop", undefined],
  dead: ["error", "problemsErrorIcon.foreground"],
};

/** One container; `containerId` is there for other extensions, too. */
export class ContainerNode implements Node {
  readonly parent = undefined;
  readonly id: string;
  readonly containerId: string;

  constructor(readonly container: ContainerSummary) {
    this.containerId = container.id;
    this.id = `container:${container.id}:${container.state}`;
  }

  item(): vscode.TreeItem {
    const { name, image, state, status } = this.container;
    const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.None);
    const [icon, color] = ICONS[state];
    item.description = `${image} · ${status}`;
    item.iconPath = new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
    item.contextValue = `container;${state === "paused" || state === "restarting" ? "running" : state}`;
    item.accessibilityInformation = { label: `${name}, ${image}, ${status}` };
    return item;
  }

  children(): Node[] {
    return [];
  }

  tooltip(): vscode.MarkdownString {
    const { name, image, command, status, id } = this.container;
    const rows: [string, string][] = [
      [vscode.l10n.t("Container ID"), `\`${id.slice(0, 12)}\``],
      [vscode.l10n.t("Image"), escape(image)],
      [vscode.l10n.t("Command"), escape(command)],
      [vscode.l10n.t("State"), escape(status)],
    ];
    return facts(name, rows);
  }
}

/** The view. */
export class ContainersView implements vscode.Disposable {
  private readonly provider = new Provider(() => this.list());
  private readonly view: vscode.TreeView<Node>;

  constructor(private readonly ctx: () => Ctx) {
    this.view = vscode.window.createTreeView("orlop.containers", {
      treeDataProvider: this.provider,
      canSelectMany: true,
    });
  }

  refresh(): void {
    this.provider.refresh();
  }

  dispose(): void {
    this.view.dispose();
    this.provider.dispose();
  }

  private async list(): Promise<ContainerNode[]> {
    try {
      const { containers } = await request(this.ctx(), containerList, { all: true });
      return containers.map((container) => new ContainerNode(container));
    } catch (error) {
      this.ctx().log.warn(`containers: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  }
}
