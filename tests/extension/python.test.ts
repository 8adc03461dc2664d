// Finding a Python, with real interpreters and scripts that play old or broken ones.

import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { findPython, libraryPath } from "../../extension/src/python";

const folder = mkdtempSync(path.join(tmpdir(), "orlop-python-"));
after(() => {
  rmSync(folder, { recursive: true });
});

function script(name: string, body: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
  return file;
}

test("an interpreter on PATH is found and tells the version it really has", async () => {
  const found = await findPython(undefined, process.env["PATH"]);
  assert.ok(found.kind === "found");
  const { executable, major, minor } = found.interpreter;
  const told = execFileSync(executable, ["--version"], { encoding: "utf8" });
  assert.ok(told.startsWith(`Python ${major}.${minor}.`), told);
  assert.ok(minor >= 11);
});

test("the chosen interpreter is taken even where another would be found", async () => {
  const chosen = script("chosen", 'echo "3 12 1 /opt/chosen"');
  const found = await findPython(chosen, process.env["PATH"]);
  assert.deepEqual(found, {
    kind: "found",
    interpreter: { executable: "/opt/chosen", major: 3, minor: 12, micro: 1 },
  });
});

test("a chosen interpreter that is too old is named with its version", async () => {
  const old = script("old", 'echo "3 9 2 /usr/bin/python3.9"');
  const found = await findPython(old, process.env["PATH"]);
  assert.ok(found.kind === "tooOld" && found.interpreter.minor === 9);
});

test("a chosen file that is no interpreter is called broken", async () => {
  assert.equal((await findPython("/does/not/exist", "")).kind, "broken");
  assert.equal((await findPython(script("talks", "echo hello"), "")).kind, "broken");
});

test("relative folders on PATH are never searched", async () => {
  script("python3.14", 'echo "3 14 0 /evil"');
  const found = await findPython(undefined, path.relative(process.cwd(), folder));
  assert.ok(found.kind !== "found" || found.interpreter.executable !== "/evil");
});

test("compiled libraries of another version stay out of the module path", () => {
  for (const name of ["libs/cp311", "libs/cp312"]) mkdirSync(path.join(folder, "server", name), { recursive: true });
  const server = path.join(folder, "server");
  assert.equal(
    libraryPath(folder, { executable: "x", major: 3, minor: 12, micro: 0 }),
    [server, path.join(server, "libs"), path.join(server, "libs", "cp312")].join(":"),
  );
});
