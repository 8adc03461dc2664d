// package.json says the same as the code: commands, menus, settings, names of Dockerfiles, version.

import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { DOCKERFILE_NAME } from "../../extension/src/util/dockerfile";
import { ROOT } from "./strings";

interface Item {
  command: string;
  when?: string;
}
interface Manifest {
  version: string;
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
  contributes: {
    commands: Item[];
    menus: Record<string, Item[]>;
    configuration: { properties: Record<string, { scope: string; default: unknown }> };
  };
}

const read = (...names: string[]): string => readFileSync(path.join(ROOT, ...names), "utf8");
const manifest = JSON.parse(read("package.json")) as Manifest;
const { commands, menus, configuration } = manifest.contributes;

test("every command is bound, and every bound command is contributed", () => {
  const bound = [...read("extension", "src", "main.ts").matchAll(/^\s+"(orlop\.[\w.]+)":/gm)].map(([, id]) => id);
  assert.deepEqual(bound.sort(), commands.map(({ command }) => command).sort());
});

test("menus name only contributed commands", () => {
  const known = new Set(commands.map(({ command }) => command));
  const named = Object.values(menus).flatMap((items) => items.map(({ command }) => command));
  assert.deepEqual(
    named.filter((command) => !known.has(command)),
    [],
  );
});

test("the menus of Build Image know the same file names as the code, and hide without trust", () => {
  for (const menu of ["explorer/context", "editor/context", "editor/title"]) {
    const when = menus[menu]?.find(({ command }) => command === "orlop.image.build")?.when ?? "";
    assert.ok(when.includes(`resourceFilename =~ ${String(DOCKERFILE_NAME)}`), menu);
    assert.ok(when.startsWith("isWorkspaceTrusted &&"), menu);
  }
});

const NAMES: [string, boolean][] = [
  ["Dockerfile", true],
  ["dockerfile", true],
  ["Dockerfile.dev", true],
  ["web.Dockerfile", true],
  ["web.dockerfile", true],
  ["Containerfile", true],
  ["Containerfile.prod", true],
  ["Dockerfile_old", false],
  ["docker-compose.yml", false],
  [".dockerignore", false],
  ["MyDockerfile", false],
];
for (const [name, expected] of NAMES) {
  test(`${name} ${expected ? "is" : "is not"} a Dockerfile`, () => {
    assert.equal(DOCKERFILE_NAME.test(name), expected);
  });
}

test("settings that the server obeys cannot be set by an untrusted folder", () => {
  const { restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
  for (const key of ["orlop.pythonPath", "orlop.storePath"]) {
    assert.ok(restrictedConfigurations.includes(key), key);
    assert.equal(configuration.properties[key]?.scope, "machine-overridable", key);
  }
});

test("the shell reads exactly the settings it declares", () => {
  const source = read("extension", "src", "config.ts");
  const own = Object.keys(configuration.properties).filter((key) => key !== "orlop.trace.server");
  for (const key of own) assert.ok(source.includes(`"${key.replace("orlop.", "")}"`), key);
});

test("the extension and the Python package have one version", () => {
  assert.ok(read("server", "orlop", "__init__.py").includes(`__version__ = "${manifest.version}"`));
});
