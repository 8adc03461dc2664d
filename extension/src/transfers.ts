// Pushes and pulls under way, so that views can show how far they are and stop them.

import * as vscode from "vscode";
import type { ImageTag } from "./protocol.gen";
import type { LayerSum } from "./util/layerSum";

/** One push or pull; `name` is the full tag, or the repository when all its tags go. */
export interface Transfer {
  readonly kind: "push" | "pull";
  readonly name: string;
  readonly sum: LayerSum;
  cancel(): void;
}

const TICK_MS = 250;

/** Those of this window. */
export class Transfers implements vscode.Disposable {
  private readonly current = new Set<Transfer>();
  private readonly listEmitter = new vscode.EventEmitter<void>();
  private readonly moveEmitter = new vscode.EventEmitter<Transfer>();
  private readonly waiting = new Map<Transfer, NodeJS.Timeout>();

  /** One began or ended. */
  readonly onDidChangeList = this.listEmitter.event;
  /** One went on; four times a second at most. */
  readonly onDidMove = this.moveEmitter.event;

  list(): Transfer[] {
    return [...this.current];
  }

  begin(transfer: Transfer): void {
    this.current.add(transfer);
    this.listEmitter.fire();
  }

  move(transfer: Transfer): void {
    if (this.waiting.has(transfer)) return;
    const tick = setTimeout(() => {
      this.waiting.delete(transfer);
      if (this.current.has(transfer)) this.moveEmitter.fire(transfer);
    }, TICK_MS);
    this.waiting.set(transfer, tick);
  }

  end(transfer: Transfer): void {
    this.current.delete(transfer);
    this.listEmitter.fire();
  }

  /** The push that a tag is part of. */
  pushOf(tag: ImageTag): Transfer | undefined {
    return this.list().find(({ kind, name }) => kind === "push" && (name === tag.fullTag || name === tag.repository));
  }

  dispose(): void {
    for (const tick of this.waiting.values()) clearTimeout(tick);
    this.listEmitter.dispose();
    this.moveEmitter.dispose();
  }
}
