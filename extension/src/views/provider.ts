// The one tree data provider: nodes that know their item, their children and their parent.

import * as vscode from "vscode";

/** A row of a tree. */
export interface Node {
  readonly id: string;
  readonly parent: Node | undefined;
  item(): vscode.TreeItem;
  children(): Node[];
  /** Made when a person points at the row. */
  tooltip?(): vscode.MarkdownString;
}

/** Lists the roots with `list` when somebody looks; `refresh` makes it list again. */
export class Provider<N extends Node> implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;

  constructor(private readonly list: () => Promise<N[]>) {}

  refresh(): void {
    this.changed.fire(undefined);
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

  resolveTreeItem(item: vscode.TreeItem, node: Node): vscode.TreeItem {
    const tooltip = node.tooltip?.();
    if (tooltip !== undefined) item.tooltip = tooltip;
    return item;
  }

  dispose(): void {
    this.changed.dispose();
  }
}

/** Text that Markdown must not interpret. */
export function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&");
}
