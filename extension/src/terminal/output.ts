// The terminal of one build, push or pull: shows text, and Ctrl+C or closing it stops the work.

import * as vscode from "vscode";

const CTRL_C = "\u0003";

/** A terminal that only shows; `onCancel` fires while the work is under way, any key closes it afterwards. */
export class OutputTerminal implements vscode.Pseudoterminal, vscode.Disposable {
  private readonly writeEmitter = new vscode.EventEmitter<string>();
  private readonly closeEmitter = new vscode.EventEmitter<void>();
  private readonly cancelEmitter = new vscode.EventEmitter<void>();
  private pending: string[] | undefined = [];
  private finished = false;

  readonly onDidWrite = this.writeEmitter.event;
  readonly onDidClose = this.closeEmitter.event;
  readonly onCancel = this.cancelEmitter.event;
  /** Width in characters, once known. */
  columns: number | undefined;

  open(dimensions: vscode.TerminalDimensions | undefined): void {
    this.columns = dimensions?.columns;
    const pending = this.pending ?? [];
    this.pending = undefined;
    for (const text of pending) this.writeEmitter.fire(text);
  }

  setDimensions(dimensions: vscode.TerminalDimensions): void {
    this.columns = dimensions.columns;
  }

  handleInput(data: string): void {
    if (this.finished) this.closeEmitter.fire();
    else if (data.includes(CTRL_C)) this.cancelEmitter.fire();
  }

  close(): void {
    if (!this.finished) this.cancelEmitter.fire();
  }

  /** Writes; what comes before the terminal is on the screen waits for it. */
  write(text: string): void {
    if (text === "") return;
    if (this.pending === undefined) this.writeEmitter.fire(text);
    else this.pending.push(text);
  }

  /** No more text comes; from now on a key closes the terminal. */
  finish(): void {
    this.finished = true;
  }

  dispose(): void {
    this.writeEmitter.dispose();
    this.closeEmitter.dispose();
    this.cancelEmitter.dispose();
  }
}
