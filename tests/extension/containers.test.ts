// What the Containers view says of a container, and what it decides about ports and names.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { ContainerPort, ContainerSummary, ContainerUse } from "../../extension/src/protocol.gen";
import {
  browserPorts,
  commitName,
  formatLasting,
  portAddress,
  portsText,
  stateText,
} from "../../extension/src/util/containers";
import { sparkline, statsText } from "../../extension/src/util/stats";
import { english } from "./english";

const NOW = Date.parse("2026-01-02T03:04:05Z");
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

function container(more: Partial<ContainerSummary>): ContainerSummary {
  return {
    state: "running",
    started: ago(200),
    finished: null,
    created: ago(300),
    exitCode: null,
    health: null,
    ...more,
  } as ContainerSummary;
}

const STATES: [Partial<ContainerSummary> & { health?: unknown }, string][] = [
  [{}, "Up 3 minutes"],
  [{ started: ago(1) }, "Up 1 second"],
  [{ started: ago(7300) }, "Up 2 hours"],
  [{ state: "paused" }, "Up 3 minutes (paused)"],
  [{ state: "created" }, "Created 5 minutes ago"],
  [{ state: "exited", exitCode: 137, finished: ago(3700) }, "Exited (137) 1 hour ago"],
  [{ state: "exited", exitCode: 255, finished: null }, "Exited (255)"],
  [{ health: "healthy" }, "Up 3 minutes (healthy)"],
  [{ health: "unhealthy" }, "Up 3 minutes (unhealthy)"],
  [{ health: null }, "Up 3 minutes"],
  [{ state: "restarting", exitCode: 1, finished: ago(2) }, "Restarting (1) 2 seconds ago"],
];
for (const [more, expected] of STATES) {
  test(`${JSON.stringify(more)} reads ${expected}`, () => {
    assert.equal(stateText(container(more), NOW, "en", english), expected);
  });
}

test("a lasting reads in the language of the window", () => {
  assert.equal(formatLasting(ago(200), NOW, "zh-cn"), "3分钟");
  assert.equal(formatLasting(null, NOW, "en"), "");
});

const port = (hostPort: number, containerPort: number, host = "", protocol: "tcp" | "udp" = "tcp"): ContainerPort => ({
  host,
  hostPort,
  containerPort,
  protocol,
});

test("ports are told once, with a protocol that is not TCP", () => {
  assert.equal(
    portsText([port(8080, 80, "0.0.0.0"), port(8080, 80, "::"), port(53, 53, "", "udp")]),
    "8080→80, 53→53/udp",
  );
});

test("a browser is offered the likeliest port first, and no UDP", () => {
  const found = browserPorts([port(9, 9, "", "udp"), port(1, 9999), port(2, 3000), port(2, 3000), port(3, 80)]);
  assert.deepEqual(
    found.map(({ hostPort }) => hostPort),
    [3, 2, 1],
  );
});

const ADDRESSES: [ContainerPort, string][] = [
  [port(8080, 80), "http://localhost:8080/"],
  [port(8443, 443, "0.0.0.0"), "https://localhost:8443/"],
  [port(1, 2, "127.0.0.5"), "http://127.0.0.5:1/"],
  [port(1, 2, "::1"), "http://[::1]:1/"],
];
for (const [from, expected] of ADDRESSES) {
  test(`a browser opens ${expected}`, () => {
    assert.equal(portAddress(from), expected);
  });
}

const NAMES: [string, string, string][] = [
  ["busybox", "web", "busybox:web"],
  ["registry.example:5000/team/app:1.2", "web", "registry.example:5000/team/app:web"],
  ["app@sha256:00", "a.b", "app:a.b"],
  ["sha256:0123", "Web_1", "web_1:latest"],
  ["0123456789ab", "web", "web:latest"],
];
for (const [image, name, expected] of NAMES) {
  test(`${name} of ${image} becomes ${expected}`, () => {
    assert.equal(commitName(image, name), expected);
  });
}

test("bars are as high as their values", () => {
  assert.equal(sparkline([0, 0.5, 1, 2], 1), "▁▅██");
});

test("use of resources is a table with what came before", () => {
  const look = (cpu: number): ContainerUse => ({
    kind: "stats", id: "i", name: "web", cpu, memory: 5e6, limit: 1e8, received: 1000, sent: 0, read: 0, written: 0,
    processes: 2,
  }); // prettier-ignore
  const text = statsText([look(0), look(0.5)], "en", english);
  assert.match(text, /^web\n\nProcessor +50% +▁▅\nMemory +5 MB of 100 MB \(5%\) +█|▇/);
  assert.match(text, /Processes +2\n$/);
  assert.equal(statsText([], "en", english), "Measuring...\n");
});
