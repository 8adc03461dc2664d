// Names, sizes, ages and terminal text as people read them.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { isSecret, requiredArgs } from "../../extension/src/prompts/args";
import { cleanLine, fit, width } from "../../extension/src/terminal/ansi";
import { formatAge, formatSeconds, formatSize, sentence } from "../../extension/src/util/format";
import { prefixSelection, quickProblem } from "../../extension/src/util/reference";
import { english } from "./english";

const GOOD = [
  "myapp",
  "myapp:latest",
  "user/getting-started-todo-app",
  "docker.io/user/app:1.0",
  "localhost:5000/app",
  "reg.example.com:443/a/b/c:v1",
  "[::1]:5000/app:x",
  "a__b/c--d.e",
  `app:${"x".repeat(128)}`,
];
for (const name of GOOD) {
  test(`${name.slice(0, 40)} is a good name`, () => {
    assert.equal(quickProblem(name, english), undefined);
  });
}

const BAD: [string, RegExp][] = [
  ["", /Enter a name/],
  ["a b", /no spaces/],
  ["MyApp", /lower-case: myapp/],
  ["user/App:1", /lower-case: user\/app:1/],
  ["app:", /Enter a tag/],
  ["app:-x", /A tag has/],
  [`app:${"x".repeat(129)}`, /A tag has/],
  ["/app", /Write \[host/],
  ["app/", /Write \[host/],
  ["a//b", /Write \[host/],
  ["app..x", /Write \[host/],
];
for (const [name, problem] of BAD) {
  test(`"${name.slice(0, 40)}" is refused with a reason`, () => {
    assert.match(quickProblem(name, english) ?? "", problem);
  });
}

test("what stands before the last slash is preselected", () => {
  assert.deepEqual(prefixSelection("user/app:1"), [0, 4]);
  assert.deepEqual(prefixSelection("localhost:5000/a/b:1"), [0, 16]);
  assert.deepEqual(prefixSelection("app:1"), [5, 5]);
});

test("sizes are decimal with three digits", () => {
  assert.equal(formatSize(0, "en"), "0 bytes");
  assert.equal(formatSize(999, "en"), "999 bytes");
  assert.equal(formatSize(14_200, "en"), "14.2 kB");
  assert.equal(formatSize(999_600, "en"), "1 MB");
  assert.equal(formatSize(180_725_000, "en"), "181 MB");
  assert.match(formatSize(2_340_000_000, "zh-cn"), /^2\.34/);
});

test("ages speak the language of the window", () => {
  const now = Date.parse("2026-01-02T12:00:00Z");
  assert.equal(formatAge("2026-01-02T09:00:00Z", now, "en"), "3 hours ago");
  assert.equal(formatAge("2026-01-01T11:00:00Z", now, "en"), "yesterday");
  assert.equal(formatAge("2026-01-02T09:00:00Z", now, "zh-cn"), "3小时前");
  assert.equal(formatAge("2026-01-02T12:00:05Z", now, "en"), "now");
  assert.equal(formatAge(null, now, "en"), "");
  assert.equal(formatAge("soon", now, "en"), "");
});

test("durations stay short", () => {
  assert.equal(formatSeconds(0.04), "0.0 s");
  assert.equal(formatSeconds(12.34), "12.3 s");
  assert.equal(formatSeconds(185), "3 min 5 s");
});

test("a message becomes a sentence and its hint follows", () => {
  assert.equal(sentence("cannot tag a: no such image", null), "Cannot tag a: no such image.");
  assert.equal(sentence("cannot tag a", "Build it first."), "Cannot tag a. Build it first.");
  assert.equal(sentence("真的？", null), "真的？");
});

test("log lines keep colors and lose what would draw elsewhere", () => {
  assert.equal(cleanLine("\u001b[32mok\u001b[0m"), "\u001b[32mok\u001b[0m");
  assert.equal(cleanLine("10%\r50%\r100%\r"), "100%");
  assert.equal(cleanLine("a\u001b[2K\u001b[1Ab"), "ab");
  assert.equal(cleanLine("\u001b]0;title\u0007x\u0007"), "x");
  assert.equal(cleanLine("a\tb"), "a    b");
});

test("Chinese characters take two columns", () => {
  assert.equal(width("镜像 ok"), 7);
  assert.equal(fit("镜像镜像镜像", 7), "镜像镜…");
  assert.equal(fit("short", 7), "short");
});

test("only arguments without a value are asked for, each once", () => {
  const arg = (name: string, required: boolean) => ({ name, required, default: null, stage: null, line: 1 });
  assert.deepEqual(requiredArgs([arg("A", true), arg("B", false), arg("A", true)]), ["A"]);
});

test("values that look secret are known as such", () => {
  assert.ok(isSecret("NPM_TOKEN") && isSecret("DB_PASSWORD") && isSecret("API_KEY"));
  assert.ok(!isSecret("VERSION"));
});
