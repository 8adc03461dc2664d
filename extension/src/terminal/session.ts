// The terminal of a running container: keystrokes and sizes go in, decoded text comes out and is acknowledged.

import * as vscode from "vscode";
import { dim, harmless } from "./ansi";

const CTRL_C = "\u0003";

/** What the terminal tells whoever runs the container. */
export interface SessionPort {
  /** The terminal is on the screen: start. */
  opened(columns: number, rows: number): void;
  input(data: string): void;
  resize(columns: number, rows: number): void;
  /** Ctrl+C in a session without a terminal of its own. */
  interrupt(): void;
  /** The terminal was closed while the container runs. */
  closed(): void;
}

/** With `tty` every key goes to the container; without, only Ctrl+C means something. */
export class SessionTerminal implements vscode.Pseudoterminal {
  private readonly writeEmitter = new vscode.EventEmitter<string>();
  private readonly closeEmitter = new vscode.EventEmitter<number>();
  private ended = false;

  readonly onDidWrite = this.writeEmitter.event;
  readonly onDidClose = this.closeEmitter.event;

  constructor(
    private readonly tty: boolean,
    private readonly port: SessionPort,
  ) {}

  open(dimensions: vscode.TerminalDimensions | undefined): void {
    this.port.opened(dimensions?.columns ?? 80, dimensions?.rows ?? 24);
  }

  setDimensions(dimensions: vscode.TerminalDimensions): void {
    if (!this.ended) this.port.resize(dimensions.columns, dimensions.rows);
  }

  handleInput(data: string): void {
    if (this.ended) this.closeEmitter.fire(0);
    else if (this.tty) this.port.input(data);
    else if (data.includes(CTRL_C)) this.port.interrupt();
  }

  close(): void {
    if (!this.ended) this.port.closed();
  }

  /** Shows what the container wrote. */
  write(text: string): void {
    this.writeEmitter.fire(this.tty ? text : text.replace(/\r?\n/g, "\r\n"));
  }

  /** The container ended: a shell left in peace closes the terminal, all else stays to be read. */
  end(message: string, closeNow: boolean): void {
    this.ended = true;
    if (closeNow) {
      this.closeEmitter.fire(0);
      return;
    }
    const farewell = vscode.l10n.t("Press any key to close the terminal.");
    this.writeEmitter.fire(`\r\n${harmless(message)}\r\n${dim(farewell)}\r\n`);
  }
}
