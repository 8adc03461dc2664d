// Sizes, ages and durations as people of a language read them.

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** Three digits and a decimal unit, as `docker images` shows sizes: `181 MB`. */
export function formatSize(bytes: number, locale: string): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: UNITS[unit] ?? "byte",
    unitDisplay: unit === 0 ? "long" : "short",
    maximumSignificantDigits: 3,
  }).format(value);
}

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["week", 7 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** How long ago an RFC 3339 time was: `3 hours ago`; empty for null or nonsense. */
export function formatAge(created: string | null, now: number, locale: string): string {
  const time = created === null ? Number.NaN : Date.parse(created);
  if (Number.isNaN(time)) return "";
  const seconds = Math.max(0, (now - time) / 1000);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const [unit, length] of STEPS) {
    if (seconds >= length) return format.format(-Math.floor(seconds / length), unit);
  }
  return format.format(-Math.floor(seconds), "second");
}

/** `0.4 s`, `12.3 s`, `3 min 5 s`: units of the International System, the same in every language. */
export function formatSeconds(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** The message with a capital and a full stop, then the hint: how errors of the server read in a dialog. */
export function sentence(message: string, hint: string | null): string {
  const capital = message.charAt(0).toUpperCase() + message.slice(1);
  const stopped = /[.!?。！？]$/.test(capital) ? capital : `${capital}.`;
  return hint === null ? stopped : `${stopped} ${hint}`;
}
