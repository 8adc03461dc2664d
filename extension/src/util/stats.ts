// What a container uses, as text: the newest figures and how they came about.

import type { ContainerStatsEvent } from "../protocol.gen";
import { width } from "../terminal/ansi";
import { formatSize } from "./format";
import type { Translate } from "./reference";

const BARS = "▁▂▃▄▅▆▇█";

/** A row of bars, one for each value, the highest possible one being `most`. */
export function sparkline(values: readonly number[], most: number): string {
  return values
    .map((value) => BARS[Math.min(BARS.length - 1, Math.floor((Math.max(0, value) / most) * BARS.length))] ?? "")
    .join("");
}

/** All looks at a container, oldest first; what there is to read before the first one came. */
export function statsText(looks: readonly ContainerStatsEvent[], locale: string, t: Translate): string {
  const last = looks.at(-1);
  if (last === undefined) return `${t("Measuring...")}\n`;
  const size = (bytes: number): string => formatSize(bytes, locale);
  const percent = (share: number): string =>
    new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 }).format(share);
  const cpu = looks.map((look) => look.cpu);
  const memory = looks.map((look) => look.memory);
  const rows: [string, string, string][] = [
    [t("Processor"), percent(last.cpu), sparkline(cpu, Math.max(1, ...cpu))],
    [
      t("Memory"),
      t("{0} of {1} ({2})", size(last.memory), size(last.limit), percent(last.memory / last.limit)),
      sparkline(memory, Math.max(1, ...memory) * 1.05),
    ],
    [t("Network"), t("{0} received, {1} sent", size(last.received), size(last.sent)), ""],
    [t("Disk"), t("{0} read, {1} written", size(last.read), size(last.written)), ""],
    [t("Processes"), String(last.processes), ""],
  ];
  const label = Math.max(...rows.map(([name]) => width(name)));
  const value = Math.max(...rows.map(([, text]) => width(text)));
  const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)));
  const lines = rows.map(([name, text, bars]) => `${pad(name, label)}   ${pad(text, value)}   ${bars}`.trimEnd());
  return `${last.name}\n\n${lines.join("\n")}\n`;
}
