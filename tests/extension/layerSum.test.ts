// Sums of a transfer's layers: what the views and the notification say of it.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { LayerSum } from "../../extension/src/util/layerSum";

function sum(...events: [string, string, number, number][]): LayerSum {
  const made = new LayerSum();
  for (const [digest, phase, done, total] of events) made.add({ kind: "layer", digest, phase, done, total });
  return made;
}

test("nothing is said of a transfer of which nothing is known", () => {
  assert.equal(sum().percent, undefined);
  assert.equal(sum(["a", "waiting", 0, 0]).percent, undefined);
});

test("layers that are there count as a whole", () => {
  assert.equal(sum(["a", "exists", 0, 50], ["b", "copying", 25, 50]).percent, 75);
});

test("a layer that turns out smaller is counted as it is", () => {
  const made = sum(["a", "copying", 80, 100], ["a", "done", 40, 40], ["b", "copying", 0, 40]);
  assert.deepEqual([made.done, made.total], [40, 80]);
});

test("it is through only when the name is there", () => {
  assert.equal(sum(["a", "done", 10, 10]).percent, 99);
});
