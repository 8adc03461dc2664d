// Bundles the extension into dist/main.js; --watch keeps at it, --tests and --e2e bundle the tests instead.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

/** The licenses of everything that went into the bundle, beside it. */
function writeNotice(metafile) {
  const folders = new Set(
    Object.keys(metafile.inputs)
      .map((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1])
      .filter((folder) => folder !== undefined),
  );
  const notices = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? "" : readFileSync(join(root, folder, file), "utf8").trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  writeFileSync(join(root, "extension/dist/NOTICE.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
}

if (process.argv.includes("--tests")) {
  const outdir = join(root, "build/tests");
  rmSync(outdir, { recursive: true, force: true });
  await esbuild.build({
    ...common,
    format: "cjs",
    entryPoints: files("tests/extension", ".test.ts"),
    outdir,
    outExtension: { ".js": ".cjs" },
    external: ["vscode", "typescript"],
  });
} else if (process.argv.includes("--e2e")) {
  await esbuild.build({
    ...common,
    format: "cjs",
    entryPoints: files("tests/e2e", ".test.ts"),
    outdir: join(root, "build/e2e"),
    outExtension: { ".js": ".cjs" },
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
    metafile: true,
  };
  if (process.argv.includes("--watch")) await (await esbuild.context(options)).watch();
  else writeNotice((await esbuild.build(options)).metafile);
}
