// Virtual read-only documents: inspect, history, doctor, disk use; fetched anew each time they are opened.

import * as vscode from "vscode";

export const SCHEME = "orlop";

/** Gives the text of one document, by the query of its address. */
export type Render = (argument: string) => Promise<string>;

/** Knows the kinds of documents and serves their text. */
export class Documents implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly kinds = new Map<string, Render>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registration: vscode.Disposable;
  readonly onDidChange = this.changed.event;

  constructor() {
    this.registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  /** Adds a kind of documents, the first part of an address's path. */
  register(kind: string, render: Render): void {
    this.kinds.set(kind, render);
  }

  provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const render = this.kinds.get(uri.authority);
    return render === undefined ? Promise.resolve("") : render(uri.query);
  }

  /** Has a document's text asked for again. */
  refresh(uri: vscode.Uri): void {
    this.changed.fire(uri);
  }

  /** Opens a document beside nothing in particular; `name` is its title and decides its language. */
  async open(kind: string, argument: string, name: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: SCHEME, authority: kind, path: `/${name}`, query: argument });
    const known = vscode.workspace.textDocuments.some((document) => document.uri.toString() === uri.toString());
    if (known) this.changed.fire(uri);
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { preview: true });
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }
}
