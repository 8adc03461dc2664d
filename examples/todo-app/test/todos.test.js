"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { test } = require("node:test");
const { makeServer } = require("../src/server");
const { Todos } = require("../src/todos");

test("a new todo is not done", () => {
  const todos = new Todos();
  assert.deepEqual(todos.add(" buy milk "), { id: 1, text: "buy milk", done: false });
});

test("an empty todo is refused", () => {
  assert.throws(() => new Todos().add("  "), RangeError);
});

test("a todo can be done and removed", () => {
  const todos = new Todos();
  const { id } = todos.add("sweep");
  assert.equal(todos.toggle(id).done, true);
  assert.equal(todos.remove(id), true);
  assert.deepEqual(todos.list(), []);
});

test("the API keeps what it is told and the page is served", async () => {
  const server = makeServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${server.address().port}`;
  const made = await fetch(`${base}/api/todos`, { method: "POST", body: JSON.stringify({ text: "sail" }) });
  assert.equal(made.status, 201);
  assert.equal((await (await fetch(`${base}/api/todos`)).json())[0].text, "sail");
  assert.match(await (await fetch(base)).text(), /<title>Todo<\/title>/);
  assert.equal((await fetch(`${base}/api/todos`, { method: "POST", body: "{" })).status, 400);
  server.closeAllConnections();
  server.close();
});
