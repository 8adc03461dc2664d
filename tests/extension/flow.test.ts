// Flow control of terminals: what is asked of them, what counts as shown, and that no control sequence is torn apart.

import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { Flow, Sequences } from "../../extension/src/terminal/flow";

const ESC = "\u001b";

function flow(patience?: number): { flow: Flow; shown: number[]; screen: string[] } {
  const shown: number[] = [];
  const screen: string[] = [];
  const made = new Flow(
    (text) => screen.push(text),
    (characters) => shown.push(characters),
    patience,
  );
  return { flow: made, shown, screen };
}

const TEXTS: [string, boolean][] = [
  ["plain", true],
  ["", true],
  [ESC, false],
  [`${ESC}[`, false],
  [`${ESC}[38;5;1`, false],
  [`${ESC}[38;5;1m`, true],
  [`${ESC}[?25l text`, true],
  [`${ESC}]0;title`, false],
  [`${ESC}]0;title\u0007`, true],
  [`${ESC}]8;;https://x${ESC}`, false],
  [`${ESC}]8;;https://x${ESC}\\`, true],
  [`${ESC}Pq#0;2;0`, false],
  [`${ESC}(B`, true],
  [`${ESC}(`, false],
  [`${ESC}M`, true],
];
for (const [text, between] of TEXTS) {
  test(`${JSON.stringify(text)} ${between ? "ends in" : "does not end in"} plain text`, () => {
    assert.equal(new Sequences().feed(text), between);
    const piecewise = new Sequences();
    let last = true;
    for (const character of text) last = piecewise.feed(character);
    assert.equal(last, between, "in pieces");
  });
}

test("little text is shown without a question", () => {
  const { flow: made, screen, shown } = flow();
  made.write("x".repeat(1000));
  assert.deepEqual([screen.length, shown], [1, []]);
});

test("much text counts as shown once the terminal has answered, and typing goes through", () => {
  const { flow: made, screen, shown } = flow();
  made.write("x".repeat(40_000));
  made.write("y".repeat(10_000));
  assert.deepEqual(shown, []);
  const question = screen[1] ?? "";
  assert.match(question, /\[\?77\d\d\$p$/);
  const mode = /77\d\d/.exec(question)?.[0] ?? "";
  assert.equal(made.take(`a${ESC}[?${mode};0$yb`), "ab");
  assert.deepEqual(shown, [40_000]);
  assert.equal(made.take(`${ESC}[?2004;1$y`), `${ESC}[?2004;1$y`, "a program's own question is answered to it");
  made.dispose();
});

test("a question never stands inside a control sequence, and a long one holds nobody up", () => {
  const { flow: made, screen, shown } = flow();
  made.write(`${"x".repeat(40_000)}${ESC}[3`);
  assert.equal(screen.length, 1);
  made.write("1m");
  assert.match(screen[2] ?? "", /\$p$/);
  made.dispose();
  const other = flow();
  other.flow.write(`${ESC}Pq${"#".repeat(70_000)}`);
  assert.deepEqual(other.shown, [70_003]);
  assert.deepEqual(shown, []);
});

test("a terminal that never answers is not waited for for ever", async () => {
  const { flow: made, shown } = flow(5);
  made.write("x".repeat(40_000));
  await sleep(50);
  assert.deepEqual(shown, [40_000]);
});
