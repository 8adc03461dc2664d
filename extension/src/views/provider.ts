// The one tree data provider: nodes that know their item, their children and their parent.

import * as vscode from "vscode";

/** A row of a tree. */
export interface Node {
  readonly id: string;
  readonly parent: Node | undefined;
  item(): vscode.TreeItem;
  children(): Node[] | Promise<Node[]>;
  /** Made when a person points at the row. */
  tooltip?(token: vscode.CancellationToken): vscode.MarkdownString | Promise<vscode.MarkdownString | undefined>;
}

/** Lists the roots with `list` when somebody looks; `refresh` makes it list again. */
export class Provider<N extends Node> implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.changed.event;

  constructor(private readonly list: () => Promise<N[]>) {}

  /** Everything, or one row with what is under it. */
  refresh(node?: Node): void {
    this.changed.fire(node);
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const item = node.item();
    item.id = node.id;
    return item;
  }

  getChildren(node?: Node): Promise<Node[]> {
    return node === undefined ? this.list() : Promise.resolve(node.children());
  }

  getParent(node: Node): Node | undefined {
    return node.parent;
  }

  async resolveTreeItem(item: vscode.TreeItem, node: Node, token: vscode.CancellationToken): Promise<vscode.TreeItem> {
    const tooltip = await node.tooltip?.(token);
    if (tooltip !== undefined) item.tooltip = tooltip;
    return item;
  }

  dispose(): void {
    this.changed.dispose();
  }
}

/** A tooltip: a title and a table of two columns, whose cells are Markdown. */
export function facts(title: string, rows: readonly (readonly [string, string])[]): vscode.MarkdownString {
  const table = rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
  return new vscode.MarkdownString(`**${escape(title)}**\n\n|  |  |\n|---|---|\n${table}`);
}

/** Text that Markdown must not interpret. */
export function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&");
}
