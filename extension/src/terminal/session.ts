// The terminal of a container: keystrokes and sizes go in, decoded text comes out and is acknowledged once it is shown.

import * as vscode from "vscode";
import { dim, harmless } from "./ansi";
import { Flow } from "./flow";

const CTRL_C = "\u0003";
/** Screen and what has scrolled out of it are empty, colors and modes as at the start. */
const CLEAR = "\u001bc\u001b[3J";

/** What the terminal tells whoever runs the container. */
export interface SessionPort {
  /** The terminal is on the screen: start. */
  opened(columns: number, rows: number): void;
  input(data: string): void;
  resize(columns: number, rows: number): void;
  /** Ctrl+C in a session without a terminal of its own. */
  interrupt(): void;
  /** So many characters of the stream are on the screen. */
  shown(characters: number): void;
}

/** With `tty` every key goes to the container; without, only Ctrl+C means something. */
export class SessionTerminal implements vscode.Pseudoterminal {
  private readonly writeEmitter = new vscode.EventEmitter<string>();
  private readonly closeEmitter = new vscode.EventEmitter<number>();
  private readonly flow: Flow;
  private ended = false;

  readonly onDidWrite = this.writeEmitter.event;
  readonly onDidClose = this.closeEmitter.event;

  constructor(
    private readonly tty: boolean,
    private readonly port: SessionPort,
  ) {
    const show = (text: string): void => {
      this.writeEmitter.fire(text);
    };
    this.flow = new Flow(show, (characters) => {
      port.shown(characters);
    });
  }

  open(dimensions: vscode.TerminalDimensions | undefined): void {
    this.port.opened(dimensions?.columns ?? 80, dimensions?.rows ?? 24);
  }

  setDimensions(dimensions: vscode.TerminalDimensions): void {
    if (!this.ended) this.port.resize(dimensions.columns, dimensions.rows);
  }

  handleInput(data: string): void {
    const typed = this.flow.take(data);
    if (typed === "") return;
    if (this.ended) this.closeEmitter.fire(0);
    else if (this.tty) this.port.input(typed);
    else if (typed.includes(CTRL_C)) this.port.interrupt();
  }

  close(): void {
    this.flow.dispose();
  }

  /** Shows what the container wrote. */
  write(text: string): void {
    this.flow.write(this.tty ? text : text.replace(/\r?\n/g, "\r\n"), text.length);
  }

  /** Shows a line of our own. */
  note(message: string): void {
    this.writeEmitter.fire(`\r\n${dim(message)}\r\n`);
  }

  /** Begins anew. */
  clear(): void {
    this.writeEmitter.fire(CLEAR);
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
