// A push's or pull's terminal: which lines stay, which are redrawn, and what an image view is told.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { LayerProgress, Note } from "../../extension/src/protocol.gen";
import { TransferText } from "../../extension/src/terminal/transferText";
import { english } from "./english";

const A = `sha256:${"a".repeat(64)}`;
const B = `sha256:${"b".repeat(64)}`;

function layer(digest: string, phase: string, done = 0, total = 0): LayerProgress {
  return { kind: "layer", digest, phase, done, total };
}

/** A terminal that knows what the texts use: lines, cursor up, erase below. */
function screen(...written: string[]): string[] {
  const lines = [""];
  // eslint-disable-next-line no-control-regex
  for (const part of written.join("").match(/\u001b\[\d*[A-Za-z]|\u001b\[[\d;]*m|\r\n|\r|[^\u001b\r]+/g) ?? []) {
    const up = /\[(\d+)A$/.exec(part);
    if (up !== null) lines.splice(lines.length - 1 - Number(up[1]), Number(up[1]));
    else if (part === "\r\n") lines.push("");
    else if (!part.startsWith("\u001b") && part !== "\r") lines.push(`${lines.pop() ?? ""}${part}`);
  }
  return lines.slice(0, -1);
}

function shown(kind: "push" | "pull", steps: readonly (readonly (LayerProgress | Note)[])[]): string[] {
  let now = 0;
  const text = new TransferText(kind, "en", english, () => (now += 1000));
  return screen(...steps.map((events) => text.add(events)));
}

test("a layer moves on one line, with a sum below", () => {
  const [line, sum, ...rest] = shown("push", [
    [layer(A, "copying", 0, 40_000_000)],
    [layer(A, "copying", 10_000_000, 40_000_000)],
  ]);
  assert.match(line ?? "", /^ {2}aaaaaaaaaaaa {2}pushing {6}━{6}─{18} 10 MB \/ 40 MB$/);
  assert.match(sum ?? "", /^ {2}10 MB \/ 40 MB {2}·.*per second {2}·.*left$/);
  assert.deepEqual(rest, []);
});

test("a finished layer stays, once, and the others move below it", () => {
  const lines = shown("push", [
    [layer(A, "copying", 5, 10), layer(B, "copying", 1, 10)],
    [layer(A, "done", 10, 10)],
    [layer(A, "done", 10, 10), layer(B, "copying", 9, 10)],
  ]);
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? "", /^✔ aaaaaaaaaaaa {2}10 bytes {4}pushed$/);
  assert.match(lines[1] ?? "", /bbbbbbbbbbbb {2}pushing/);
});

test("what the other side has is told so, for a push and for a pull", () => {
  assert.deepEqual(shown("push", [[layer(A, "exists", 0, 1000)]]), ["• aaaaaaaaaaaa  1 kB        the registry has it"]);
  assert.deepEqual(shown("pull", [[layer(A, "exists", 0, 1000)]]), ["• aaaaaaaaaaaa  1 kB        already here"]);
});

test("a note stands above what moves", () => {
  const lines = shown("pull", [
    [layer(A, "copying", 1, 10)],
    [{ kind: "note", level: "warning", message: "the mirror does not answer" }],
  ]);
  assert.equal(lines[0], "the mirror does not answer");
  assert.match(lines[1] ?? "", /aaaaaaaaaaaa {2}pulling/);
});

test("no more layers move on the screen than one can follow", () => {
  const many = Array.from({ length: 30 }, (_, number) =>
    layer(`sha256:${String(number).padStart(64, "0")}`, "waiting"),
  );
  const lines = shown("pull", [many]);
  assert.equal(lines.length, 10);
  assert.match(lines[8] ?? "", /and 22 more/);
});

test("in a narrow terminal no line is wider than it", () => {
  let now = 0;
  const text = new TransferText("push", "en", english, () => (now += 1000));
  text.columns = 44;
  const lines = screen(text.add([layer(A, "copying", 1, 10)]), text.add([layer(A, "copying", 123_456, 900_000)]));
  for (const line of lines) assert.ok(line.length < 44, line);
});

test("events that come faster than a person can see do not redraw", () => {
  const text = new TransferText("push", "en", english, () => 5000);
  assert.notEqual(text.add([layer(A, "copying", 1, 10)]), "");
  assert.equal(text.add([layer(A, "copying", 2, 10)]), "");
});

test("at the end nothing moves any more", () => {
  let now = 0;
  const text = new TransferText("push", "en", english, () => (now += 1000));
  const moved = text.add([layer(A, "copying", 1, 10)]);
  assert.deepEqual(screen(moved, text.cancelled("Push canceled.")), [
    "",
    "Push canceled.",
    "",
    "Press any key to close the terminal.",
  ]);
});
