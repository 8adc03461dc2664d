// Bundles the extension into dist/main.js; --watch keeps at it, --tests and --e2e bundle the tests instead.
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const common = { bundle: true, platform: "node", target: "node20", sourcemap: true, logLevel: "warning" };

/** Every TypeScript file of a folder whose name ends so. */
function files(folder, end) {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => join(root, folder, name));
}

if (process.argv.includes("--tests")) {
  const outdir = join(root, "build/tests");
  rmSync(outdir, { recursive: true, force: true });
  await esbuild.build({
    ...common,
    format: "cjs",
    entryPoints: files("tests/extension", ".test.ts"),
    outdir,
    outExtension: { ".js": ".test.cjs" },
    external: ["vscode", "typescript"],
  });
} else if (process.argv.includes("--e2e")) {
  await esbuild.build({
    ...common,
    format: "cjs",
    entryPoints: [join(root, "tests/e2e/run.ts"), join(root, "tests/e2e/open.ts")],
    outdir: join(root, "build/e2e"),
    external: ["playwright-core"],
  });
} else {
  const options = {
    ...common,
    format: "cjs",
    minify: !process.argv.includes("--watch"),
    entryPoints: [join(root, "extension/src/main.ts")],
    outfile: join(root, "extension/dist/main.js"),
    external: ["vscode"],
  };
  if (process.argv.includes("--watch")) await (await esbuild.context(options)).watch();
  else await esbuild.build(options);
}
