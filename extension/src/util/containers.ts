// What is said of a container, and small decisions about it: its state, its ports, a name for its image.

import type { ContainerPort, ContainerSummary } from "../protocol.gen";
import { formatAge } from "./format";
import type { Translate } from "./reference";

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
] as const;

/** How long something has lasted since an RFC 3339 time: `3 minutes`. */
export function formatLasting(since: string | null, now: number, locale: string): string {
  const seconds = since === null ? Number.NaN : Math.max(0, (now - Date.parse(since)) / 1000);
  if (Number.isNaN(seconds)) return "";
  const [unit, length] = UNITS.find(([, size]) => seconds >= size) ?? UNITS[3];
  const style = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 } as const;
  return new Intl.NumberFormat(locale, style).format(Math.floor(seconds / length));
}

/** Docker's words for the state, in the language of the window: `Up 3 minutes (healthy)`, `Exited (2) 1 hour ago`. */
export function stateText(container: ContainerSummary, now: number, locale: string, t: Translate): string {
  const { state, started, finished, created, exitCode } = container;
  if (state === "created") return t("Created {0}", formatAge(created, now, locale));
  if (state === "exited") return t("Exited ({0}) {1}", exitCode ?? "?", formatAge(finished, now, locale)).trim();
  if (state === "dead") return t("Dead");
  if (state === "restarting")
    return t("Restarting ({0}) {1}", exitCode ?? "?", formatAge(finished, now, locale)).trim();
  const up = t("Up {0}", formatLasting(started, now, locale));
  if (state === "paused") return t("{0} (paused)", up);
  const health = container.health;
  const words = { starting: t("starting"), healthy: t("healthy"), unhealthy: t("unhealthy") };
  return health === null ? up : `${up} (${words[health]})`;
}

/** Published ports as `8080→80`, each once, with the protocol when it is not TCP. */
export function portsText(ports: readonly ContainerPort[]): string {
  const shown = ports.map(({ hostPort, containerPort, protocol }) => {
    const inside = protocol === "tcp" ? String(containerPort) : `${containerPort}/${protocol}`;
    return `${hostPort}→${inside}`;
  });
  return [...new Set(shown)].join(", ");
}

const LIKELY = [443, 80, 3000, 3001, 5001, 5000, 5002, 8000, 8080, 8081];

/** The ports a browser may open, the likeliest first. */
export function browserPorts(ports: readonly ContainerPort[]): ContainerPort[] {
  const rank = (port: ContainerPort): number => {
    const place = LIKELY.indexOf(port.containerPort);
    return place < 0 ? LIKELY.length : place;
  };
  const seen = new Set<number>();
  const fresh = ports.filter(({ protocol, hostPort }) => {
    const first = protocol === "tcp" && !seen.has(hostPort);
    if (first) seen.add(hostPort);
    return first;
  });
  return fresh.sort((a, b) => rank(a) - rank(b) || a.containerPort - b.containerPort);
}

/** The address of a port on the server's host. */
export function portAddress({ host, hostPort, containerPort }: ContainerPort): string {
  const name =
    host === "" || host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host;
  return `${containerPort === 443 || containerPort === 8443 ? "https" : "http"}://${name}:${hostPort}/`;
}

/** A name for what a container became: that of its image with the container's as tag. */
export function commitName(image: string, container: string): string {
  const plain = image.startsWith("sha256:") || /^[0-9a-f]{12,64}$/.test(image) ? "" : image;
  const withoutDigest = plain.replace(/@.*$/, "");
  const repository = withoutDigest.replace(/:[^/:]*$/, "");
  const tag = container
    .replaceAll(/[^\w.-]+/g, "-")
    .replace(/^[.-]+/, "")
    .slice(0, 128);
  return repository === ""
    ? `${container.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, "-")}:latest`
    : `${repository}:${tag}`;
}
