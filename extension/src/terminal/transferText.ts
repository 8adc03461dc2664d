// Turns the progress of a push or pull into its terminal's text: finished layers stay, moving ones are redrawn below.

import type { LayerProgress, Note } from "../protocol.gen";
import { formatSize } from "../util/format";
import type { Translate } from "../util/reference";
import { bold, cyan, dim, fit, green, harmless, red, width, yellow } from "./ansi";

const DEFAULT_COLUMNS = 100;
const BAR_COLUMNS = 24;
/** A shorter bar would not tell anything. */
const LEAST_BAR = 8;
/** More moving layers than this are only counted. */
const MOST_LIVE = 8;
const REDRAW_MS = 100;

interface Layer {
  phase: string;
  done: number;
  total: number;
  printed: boolean;
}

/** One push's or pull's text. Every method returns what to write, with the terminal's line ends. */
export class TransferText {
  columns = DEFAULT_COLUMNS;
  private readonly layers = new Map<string, Layer>();
  private drawn = 0;
  private drawnAt = 0;
  private first: { at: number; done: number } | undefined;

  constructor(
    private readonly kind: "push" | "pull",
    private readonly locale: string,
    private readonly t: Translate,
    private readonly now: () => number = Date.now,
  ) {}

  /** The first line. */
  begin(headline: string): string {
    return `${bold(headline)}\r\n`;
  }

  /** What some events add. */
  add(events: readonly (LayerProgress | Note)[]): string {
    const kept: string[] = [];
    for (const event of events) {
      if (event.kind === "note") {
        const paint = event.level === "warning" || event.level === "error" ? yellow : dim;
        kept.push(paint(harmless(event.message)));
      } else {
        this.take(event);
        const line = this.finished(event.digest);
        if (line !== undefined) kept.push(line);
      }
    }
    if (kept.length === 0 && this.now() - this.drawnAt < REDRAW_MS) return "";
    return this.redrawn(kept);
  }

  /** The last lines of a transfer that succeeded; `facts` are dimmed lines under the headline. */
  succeeded(headline: string, facts: readonly string[]): string {
    const lines = ["", `${green("✔")} ${bold(headline)}`, ...facts.map((fact) => dim(`  ${fact}`))];
    return this.ended(lines);
  }

  /** The last lines of a transfer that failed. */
  failed(headline: string, message: string, hint: string | null): string {
    const advice = hint === null ? [] : [`  ${harmless(hint)}`];
    return this.ended(["", `${red("✘")} ${bold(headline)}: ${harmless(message)}`, ...advice]);
  }

  /** The last lines of a transfer that somebody stopped. */
  cancelled(message: string): string {
    return this.ended(["", yellow(message)]);
  }

  private take({ digest, phase, done, total }: LayerProgress): void {
    const before = this.layers.get(digest);
    this.layers.set(digest, { phase, done, total: total || (before?.total ?? 0), printed: before?.printed ?? false });
    if (phase === "copying") this.first ??= { at: this.now(), done: this.moved() - done };
  }

  /** The line that stays, the first time that a layer is where it should be. */
  private finished(digest: string): string | undefined {
    const layer = this.layers.get(digest);
    if (layer === undefined || layer.printed || !isLast(layer.phase)) return undefined;
    layer.printed = true;
    const there = layer.phase === "exists";
    const mark = there ? cyan("•") : green("✔");
    const size = layer.total > 0 ? formatSize(layer.total, this.locale) : "";
    return `${mark} ${short(digest)}  ${padded(size, 10)}  ${there ? cyan(this.word("exists")) : this.word("done")}`;
  }

  private redrawn(kept: readonly string[]): string {
    const live = this.live();
    const text = this.erased() + [...kept, ...live].map((line) => `${line}\r\n`).join("");
    this.drawn = live.length;
    this.drawnAt = this.now();
    return text;
  }

  private ended(lines: readonly string[]): string {
    const farewell = ["", dim(this.t("Press any key to close the terminal."))];
    const text = this.erased() + [...lines, ...farewell].map((line) => `${line}\r\n`).join("");
    this.drawn = 0;
    return text;
  }

  /** Takes the moving lines off the screen. */
  private erased(): string {
    return this.drawn === 0 ? "" : `\u001b[${this.drawn}A\r\u001b[J`;
  }

  private live(): string[] {
    const moving = [...this.layers].filter(([, layer]) => !isLast(layer.phase));
    const active = moving.filter(([, layer]) => layer.phase !== "waiting");
    const shown = [...active, ...moving.filter(([, layer]) => layer.phase === "waiting")].slice(0, MOST_LIVE);
    const lines = shown.map(([digest, layer]) => this.line(digest, layer));
    const rest = moving.length - shown.length;
    if (rest > 0) lines.push(dim(`  ${this.t("and {0} more", rest)}`));
    if (moving.length > 0) lines.push(dim(fit(this.total(), this.columns - 1)));
    return lines;
  }

  private line(digest: string, { phase, done, total }: Layer): string {
    const head = `  ${short(digest)}  `;
    const word = padded(this.word(phase), 13);
    if (total === 0 || phase === "waiting") return `${head}${dim(word)}`;
    const amount = `${formatSize(done, this.locale)} / ${formatSize(total, this.locale)}`;
    const room = this.columns - width(head) - width(word) - width(amount) - 3;
    if (room < LEAST_BAR) return fit(`${head}${word}${amount}`, this.columns - 1);
    return `${head}${word}${bar(done / total, Math.min(BAR_COLUMNS, room))} ${dim(amount)}`;
  }

  /** What moved so far, how fast, and how long it may take. */
  private total(): string {
    const layers = [...this.layers.values()];
    const done = this.moved();
    const total = layers.reduce((sum, layer) => sum + layer.total, 0);
    const facts = [`${formatSize(done, this.locale)} / ${formatSize(total, this.locale)}`];
    const seconds = this.first === undefined ? 0 : (this.now() - this.first.at) / 1000;
    const rate = this.first === undefined || seconds < 1 ? 0 : (done - this.first.done) / seconds;
    if (rate > 0) {
      facts.push(this.t("{0} per second", formatSize(rate, this.locale)));
      if (total > done) facts.push(this.t("about {0} s left", Math.ceil((total - done) / rate)));
    }
    return `  ${facts.join("  ·  ")}`;
  }

  private moved(): number {
    return [...this.layers.values()].reduce(
      (sum, layer) => sum + (layer.phase === "copying" || layer.phase === "retrying" ? layer.done : settled(layer)),
      0,
    );
  }

  private word(phase: string): string {
    const push = this.kind === "push";
    switch (phase) {
      case "waiting":
        return this.t("waiting");
      case "copying":
        return push ? this.t("pushing") : this.t("pulling");
      case "retrying":
        return this.t("trying again");
      case "verifying":
        return this.t("verifying");
      case "unpacking":
        return this.t("unpacking");
      case "exists":
        return push ? this.t("the registry has it") : this.t("already here");
      case "done":
        return push ? this.t("pushed") : this.t("pulled");
      default:
        return phase;
    }
  }
}

function isLast(phase: string): boolean {
  return phase === "done" || phase === "exists";
}

function settled({ phase, total }: Layer): number {
  return phase === "waiting" ? 0 : total;
}

function short(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1).slice(0, 12);
}

function padded(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

/** A bar of so many columns. */
function bar(part: number, columns: number): string {
  const full = Math.round(Math.min(1, part) * columns);
  return `${green("━".repeat(full))}${dim("─".repeat(columns - full))}`;
}
