// Finds every translated string of the shell in its source, as the compiler sees it.

import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import * as ts from "typescript";

export const ROOT = process.cwd();

/** The first arguments of all calls of `t(…)`, `l10n.t(…)` and `this.t(…)`; a computed one is returned as an error. */
export function translated(folder: string): { strings: Set<string>; errors: string[] } {
  const strings = new Set<string>();
  const errors: string[] = [];
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const file = path.join(folder, name);
    const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2022);
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && isTranslate(node.expression)) {
        const [first] = node.arguments;
        if (first !== undefined && ts.isStringLiteralLike(first)) strings.add(first.text);
        else errors.push(`${name}:${String(source.getLineAndCharacterOfPosition(node.pos).line + 1)}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { strings, errors };
}

/** A JSON file of texts. */
export function texts(...names: string[]): Record<string, string> {
  return JSON.parse(readFileSync(path.join(ROOT, ...names), "utf8")) as Record<string, string>;
}

function isTranslate(callee: ts.Expression): boolean {
  return ts.isIdentifier(callee)
    ? callee.text === "t"
    : ts.isPropertyAccessExpression(callee) && callee.name.text === "t";
}
