// Names of images and registries as people type and read them.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import {
  compareTags,
  familiar,
  isBare,
  registryOf,
  registryTitle,
  saysWhich,
  typedRegistry,
} from "../../extension/src/util/reference";

test("the registry of a name is its host, or Docker Hub", () => {
  const names: [string, string][] = [
    ["node:22", "docker.io"],
    ["someone/app", "docker.io"],
    ["docker.io/someone/app:1", "docker.io"],
    ["localhost/app", "localhost"],
    ["localhost:5000/app", "localhost:5000"],
    ["registry.example/team/app@sha256:00", "registry.example"],
    ["[::1]:5000/app", "[::1]:5000"],
  ];
  for (const [name, host] of names) assert.equal(registryOf(name), host, name);
});

test("names of Docker Hub are shown without what everybody leaves out", () => {
  assert.equal(familiar("docker.io/library/node:22"), "node:22");
  assert.equal(familiar("docker.io/someone/app"), "someone/app");
  assert.equal(familiar("registry.example/library/app"), "registry.example/library/app");
  assert.equal(registryTitle("docker.io"), "Docker Hub");
  assert.equal(registryTitle("ghcr.io"), "GitHub");
});

test("a port is no tag, and a digest says which image is meant", () => {
  assert.ok(!saysWhich("localhost:5000/app"));
  assert.ok(saysWhich("localhost:5000/app:1"));
  assert.ok(saysWhich("app@sha256:00"));
});

test("only a name of Docker Hub without an account is bare", () => {
  assert.ok(isBare("myapp:latest"));
  assert.ok(isBare("docker.io/library/myapp:latest"));
  assert.ok(!isBare("someone/myapp:latest"));
  assert.ok(!isBare("registry.example/myapp:latest"));
});

test("a registry may be typed as an address of any form", () => {
  const typed: [string, string | undefined][] = [
    ["registry.example.com:5000", "registry.example.com:5000"],
    ["https://Registry.example.com/v2/", "registry.example.com"],
    ["http://localhost:5000", "localhost:5000"],
    [" hub.docker.com ", "docker.io"],
    ["https://index.docker.io/v1/", "docker.io"],
    ["", undefined],
    ["not a host", undefined],
    ["user:secret@host", undefined],
  ];
  for (const [text, host] of typed) assert.equal(typedRegistry(text), host, text);
});

test("tags are listed with the latest first", () => {
  assert.deepEqual(["1.9", "alpine", "latest", "1.10", "2"].sort(compareTags), [
    "latest",
    "alpine",
    "2",
    "1.10",
    "1.9",
  ]);
});
