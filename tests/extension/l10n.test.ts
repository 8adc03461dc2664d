// Every text exists in English and in Chinese, with the same placeholders.

import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { ROOT, texts, translated } from "./strings";

const bundle = texts("extension", "l10n", "bundle.l10n.zh-cn.json");
const { strings, errors } = translated(path.join(ROOT, "extension", "src"));
const placeholders = (text: string): string[] => [...text.matchAll(/\{\d+\}/g)].map(([match]) => match).sort();

test("every translated string is a literal", () => {
  assert.deepEqual(errors, []);
});

test("every string of the shell has a Chinese text and no text is left over", () => {
  assert.ok(strings.size > 50, "the strings were found");
  assert.deepEqual(
    [...strings].filter((text) => !(text in bundle)),
    [],
  );
  assert.deepEqual(
    Object.keys(bundle).filter((text) => !strings.has(text)),
    [],
  );
});

test("a Chinese text keeps the placeholders of its string", () => {
  for (const [english, chinese] of Object.entries(bundle)) {
    assert.deepEqual(placeholders(chinese), placeholders(english), english);
    assert.notEqual(chinese.trim(), "", english);
  }
});

test("package.json's texts exist in both languages and no others do", () => {
  const manifest = readFileSync(path.join(ROOT, "package.json"), "utf8");
  const used = [...new Set([...manifest.matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key))].sort();
  assert.deepEqual(Object.keys(texts("package.nls.json")).sort(), used);
  assert.deepEqual(Object.keys(texts("package.nls.zh-cn.json")).sort(), used);
});

test("links of welcome texts lead to the same commands in both languages", () => {
  const links = (text = ""): string[] => [...text.matchAll(/\(command:[^)]+\)/g)].map(([match]) => match);
  const chinese = texts("package.nls.zh-cn.json");
  for (const [key, text] of Object.entries(texts("package.nls.json"))) {
    assert.deepEqual(links(chinese[key]), links(text), key);
  }
});
