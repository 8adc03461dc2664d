// How far a push or pull is, from what is told of its layers.

import type { LayerProgress } from "../protocol.gen";

/** Sums what is known of a transfer's layers. */
export class LayerSum {
  private readonly layers = new Map<string, { done: number; total: number }>();

  add({ digest, phase, done, total }: LayerProgress): void {
    // What is compressed on the way is known exactly only once it is through.
    const size = total > 0 ? total : (this.layers.get(digest)?.total ?? 0);
    const whole = phase === "done" || phase === "exists" || phase === "unpacking" || phase === "verifying";
    this.layers.set(digest, { done: whole ? size : Math.min(done, size), total: size });
  }

  get done(): number {
    return [...this.layers.values()].reduce((sum, layer) => sum + layer.done, 0);
  }

  get total(): number {
    return [...this.layers.values()].reduce((sum, layer) => sum + layer.total, 0);
  }

  /** Whole percent; undefined while nothing is known, and 99 at most, because the name comes last. */
  get percent(): number | undefined {
    return this.total === 0 ? undefined : Math.min(99, Math.floor((100 * this.done) / this.total));
  }
}
