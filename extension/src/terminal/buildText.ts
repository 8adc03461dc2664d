// Turns the events of a build into the text its terminal shows: steps, cache hits, times, logs, summary.

import type { BuildResult, ImageBuildEvent, StepInfo } from "../protocol.gen";
import { formatSeconds, formatSize } from "../util/format";
import type { Translate } from "../util/reference";
import { RESET, bold, cleanLine, cyan, dim, fit, green, harmless, red, yellow } from "./ansi";

const DEFAULT_COLUMNS = 100;

/** What a failed build leaves behind; `place` is `path:line`, which the terminal makes a link. */
export interface FailureText {
  message: string;
  hint: string | null;
  place: string | undefined;
}

/** One build's text. Every method returns what to write, with the terminal's line ends. */
export class BuildText {
  columns = DEFAULT_COLUMNS;
  private readonly steps = new Map<number, StepInfo>();
  private readonly partial = new Map<number, string>();
  /** The step whose heading stands last, and whether the line is still open behind it. */
  private heading: number | undefined;
  private open = false;

  constructor(
    private readonly locale: string,
    private readonly t: Translate,
  ) {}

  /** The first line. */
  begin(tag: string, dockerfile: string): string {
    return `${bold(this.t("Building {0}", tag))} ${dim(this.t("from {0}", dockerfile))}\r\n`;
  }

  /** What one event adds. */
  add(event: ImageBuildEvent): string {
    switch (event.kind) {
      case "started":
        for (const step of event.steps) this.steps.set(step.id, step);
        return "";
      case "context":
        return this.line(
          dim(this.t("Build context: {0} files, {1}", event.files, formatSize(event.bytes, this.locale))),
        );
      case "note":
        return this.line((event.level === "warning" ? yellow : dim)(harmless(event.message)));
      case "warning":
        return this.line(
          yellow(`${this.t("Warning")}: ${harmless(event.message)}${at(event.location?.range.startLine)}`),
        );
      case "step-started":
        return this.head(event.id);
      case "step-cached":
        return this.end(event.id, cyan(this.t("CACHED")));
      case "step-log":
        return this.log(event.id, event.text);
      case "step-done":
        return this.end(event.id, dim(formatSeconds(event.seconds)));
      case "step-failed":
        return this.end(event.id, red(this.t("FAILED")));
    }
  }

  /** The last lines of a build that succeeded. */
  succeeded(result: BuildResult): string {
    const facts = [
      formatSeconds(result.seconds),
      this.t("{0} of {1} steps from the cache", result.cached, result.steps),
      formatSize(result.size, this.locale),
    ];
    const names = result.tags.length > 0 ? result.tags.join(", ") : result.id;
    return (
      this.line("") +
      this.line(`${green("✔")} ${bold(this.t("Built {0}", names))} ${dim(`(${facts.join(", ")})`)}`) +
      this.line(dim(`  ${result.id}`)) +
      this.farewell()
    );
  }

  /** The last lines of a build that failed. */
  failed(failure: FailureText): string {
    const lines = [
      this.line(""),
      this.line(`${red("✘")} ${bold(this.t("Build failed"))}: ${harmless(failure.message)}`),
    ];
    if (failure.place !== undefined) lines.push(this.line(dim(`  ${failure.place}`)));
    if (failure.hint !== null) lines.push(this.line(`  ${harmless(failure.hint)}`));
    return lines.join("") + this.farewell();
  }

  /** The last lines of a build that somebody stopped. */
  cancelled(): string {
    return this.line("") + this.line(yellow(this.t("Build canceled; nothing was changed."))) + this.farewell();
  }

  private farewell(): string {
    return this.line("") + this.line(dim(this.t("Press any key to close the terminal.")));
  }

  private log(id: number, text: string): string {
    const lines = ((this.partial.get(id) ?? "") + text).split("\n");
    this.partial.set(id, lines.pop() ?? "");
    if (lines.length === 0) return "";
    const heading =
      this.heading === id ? this.closed() : this.closed() + this.head(id, this.t("(continued)")) + this.closed();
    return heading + lines.map((line) => this.logLine(line)).join("");
  }

  private logLine(line: string): string {
    return `${dim("│")} ${cleanLine(line)}${RESET}\r\n`;
  }

  private flushed(id: number): string {
    const rest = this.partial.get(id) ?? "";
    return rest === "" ? "" : this.log(id, "\n");
  }

  private head(id: number, suffix = ""): string {
    const name = this.steps.get(id)?.name ?? `#${id}`;
    const room = this.columns - 14 - suffix.length;
    const text = this.closed() + bold(fit(harmless(name.replaceAll(/\s+/g, " ")), Math.max(20, room)));
    this.heading = id;
    this.open = true;
    return suffix === "" ? text : `${text} ${dim(suffix)}`;
  }

  /** The outcome: behind the heading while that line is open, else on a line that names the step again. */
  private end(id: number, outcome: string): string {
    const rest = this.flushed(id);
    const named = this.heading === id && this.open ? "" : this.head(id);
    this.partial.delete(id);
    this.open = false;
    this.heading = undefined;
    return `${rest}${named} ${outcome}\r\n`;
  }

  private line(text: string): string {
    return `${this.closed()}${text}\r\n`;
  }

  private closed(): string {
    const end = this.open ? "\r\n" : "";
    this.open = false;
    return end;
  }
}

function at(line: number | undefined): string {
  return line === undefined ? "" : ` (:${line + 1})`;
}
