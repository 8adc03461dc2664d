// A build's terminal: which text comes of which events.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { ImageBuildEvent, StepInfo } from "../../extension/src/protocol.gen";
import { BuildText } from "../../extension/src/terminal/buildText";
import { TransferText } from "../../extension/src/terminal/transferText";
import { english } from "./english";

const STEPS: StepInfo[] = [
  { id: 0, stage: "base", name: "[base 1/2] FROM debian", line: 1 },
  { id: 1, stage: "base", name: "[base 2/2] RUN apt-get install", line: 2 },
  { id: 2, stage: "test", name: "[test 1/1] RUN make check", line: 5 },
];

// eslint-disable-next-line no-control-regex
const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, "");

function shown(...events: ImageBuildEvent[]): string[] {
  const text = new BuildText("en", english);
  const written = [text.add({ kind: "started", steps: STEPS }), ...events.map((event) => text.add(event))].join("");
  assert.ok(!/[^\r]\n/.test(written), "every line ends as a terminal wants it");
  return plain(written).split("\r\n").slice(0, -1);
}

test("a cached step is one line", () => {
  assert.deepEqual(shown({ kind: "step-cached", id: 0 }), ["[base 1/2] FROM debian CACHED"]);
});

test("a step without a log is one line with its time", () => {
  assert.deepEqual(shown({ kind: "step-started", id: 0 }, { kind: "step-done", id: 0, seconds: 0.26 }), [
    "[base 1/2] FROM debian 0.3 s",
  ]);
});

test("a log stands under its step, line by line, however it was cut", () => {
  assert.deepEqual(
    shown(
      { kind: "step-started", id: 1 },
      { kind: "step-log", id: 1, stream: "stdout", text: "one\ntw" },
      { kind: "step-log", id: 1, stream: "stdout", text: "o\nlast" },
      { kind: "step-done", id: 1, seconds: 2 },
    ),
    ["[base 2/2] RUN apt-get install", "│ one", "│ two", "│ last", "[base 2/2] RUN apt-get install 2.0 s"],
  );
});

test("logs of steps that run side by side name their step when they change", () => {
  assert.deepEqual(
    shown(
      { kind: "step-started", id: 1 },
      { kind: "step-started", id: 2 },
      { kind: "step-log", id: 2, stream: "stdout", text: "checking\n" },
      { kind: "step-log", id: 1, stream: "stdout", text: "unpacking\n" },
      { kind: "step-done", id: 2, seconds: 1 },
    ),
    [
      "[base 2/2] RUN apt-get install",
      "[test 1/1] RUN make check",
      "│ checking",
      "[base 2/2] RUN apt-get install (continued)",
      "│ unpacking",
      "[test 1/1] RUN make check 1.0 s",
    ],
  );
});

test("a failed step says so where its log ends", () => {
  assert.deepEqual(
    shown(
      { kind: "step-started", id: 2 },
      { kind: "step-log", id: 2, stream: "stderr", text: "boom\n" },
      { kind: "step-failed", id: 2, message: "exit code 2", location: null },
    ),
    ["[test 1/1] RUN make check", "│ boom", "[test 1/1] RUN make check FAILED"],
  );
});

test("the context, notes and warnings are lines of their own", () => {
  assert.deepEqual(
    shown(
      { kind: "context", files: 12, bytes: 14_200 },
      { kind: "step-started", id: 0 },
      { kind: "note", level: "info", message: "hello" },
      { kind: "warning", code: "x", message: "old syntax", location: null },
    ),
    ["Build context: 12 files, 14.2 kB", "[base 1/2] FROM debian", "hello", "Warning: old syntax"],
  );
});

test("the end tells name, time, cache hits, size and ID", () => {
  const text = new BuildText("en", english);
  const result = { id: "sha256:abc", tags: ["app:latest"], size: 181_000_000, seconds: 14.2, steps: 9, cached: 3 };
  assert.deepEqual(plain(text.succeeded(result)).split("\r\n").slice(1, 3), [
    "✔ Built app:latest (14.2 s, 3 of 9 steps from the cache, 181 MB)",
    "  sha256:abc",
  ]);
});

test("a failure gives a place that the terminal makes a link", () => {
  const text = new BuildText("en", english);
  const lines = plain(text.failed({ message: "exit code 1", hint: "Mend it.", place: "/a/Dockerfile:3" })).split(
    "\r\n",
  );
  assert.deepEqual(lines.slice(1, 4), ["✘ Build failed: exit code 1", "  /a/Dockerfile:3", "  Mend it."]);
});

test("long instructions are cut to the terminal's width", () => {
  const text = new BuildText("en", english);
  text.columns = 40;
  text.add({ kind: "started", steps: [{ id: 0, stage: null, name: `[1/1] RUN ${"x".repeat(200)}`, line: 1 }] });
  assert.ok(plain(text.add({ kind: "step-cached", id: 0 })).trimEnd().length <= 40);
});

const HOSTILE = "a\u001b]0;title\u0007\u001b[2J\u009b1A\u202eb\r";
const LOG = "b\u001b]0;title\u0007\u009b1A\n\u001b]0;open\n\u001b[3\n\u001b\n\u001b[31mred\n";
// eslint-disable-next-line no-control-regex
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

test("what an image calls itself does not steer the terminal", () => {
  const steps = [{ id: 0, stage: "base", name: HOSTILE, line: 1 }];
  const build = new BuildText("en", english);
  const text = [
    build.add({ kind: "started", steps }),
    build.add({ kind: "step-started", id: 0 }),
    build.add({ kind: "step-log", id: 0, stream: "stdout", text: LOG }),
    build.add({ kind: "note", level: "warning", message: HOSTILE }),
    build.add({ kind: "warning", code: "x", message: HOSTILE, location: null }),
    build.add({ kind: "step-failed", id: 0, message: HOSTILE, location: null }),
    build.failed({ message: HOSTILE, hint: HOSTILE, place: undefined }),
    new TransferText("pull", "en", english).failed("Pull failed", HOSTILE, HOSTILE),
    new TransferText("pull", "en", english).add([{ kind: "note", level: "warning", message: HOSTILE }]),
  ].join("");
  for (const line of plain(text).split("\r\n")) assert.ok(!STEERING.test(line), JSON.stringify(line));
  assert.match(text, /a\\u001b\]0;title\\u0007\\u001b\[2J\\u009b1A\\u202eb/);
});
