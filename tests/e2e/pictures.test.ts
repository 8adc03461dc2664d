// The documentation's pictures, taken while the example is built; only where ORLOP_SCREENSHOTS names a folder for them.

import { readFileSync, readdirSync, statSync } from "node:fs";
import * as path from "node:path";
import { ACCOUNT, Registry } from "./registry";
import { scene } from "./scene";
import { required } from "./server";

const stage = scene();
const EXAMPLE = path.join(process.cwd(), "examples", "todo-app");

/** All files of a folder by their path. */
function files(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const plain = names.filter((name) => statSync(path.join(folder, name)).isFile());
  return Object.fromEntries(plain.map((name) => [name, readFileSync(path.join(folder, name), "utf8")]));
}

stage.inWindow(
  "the example is built from a right click to the tag in the sidebar",
  () => {
    stage.server.orlop("import", required("ORLOP_DEBIAN"), "debian:bookworm-slim");
    return stage.server.project("todo-app", files(EXAMPLE));
  },
  async (editor) => {
    const { page } = editor;
    await editor.openFile("Dockerfile");
    await page.mouse.move(800, 300);
    await editor.point(editor.file("Dockerfile"), "Build Image...");
    await editor.screenshot("menu");
    await page.keyboard.press("Escape");
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.prompt(/Tag image as/);
    await editor.input.fill("docker.io/mobydock/todo-app");
    await page.waitForTimeout(500);
    await editor.screenshot("tag");
    await editor.answer(/Tag image as/);
    await editor.answer(/Choose the stage/);
    await editor.terminalShows(/│ Unpacking/, 120_000);
    await editor.screenshot("building");
    await editor.terminalShows(/Built mobydock\/todo-app:latest/, 180_000);
    await editor.showImages();
    await editor.expand("docker.io/mobydock/todo-app");
    await editor.row("latest").first().waitFor();
    await editor.notification("Built").waitFor();
    await page.waitForTimeout(1000);
    await editor.screenshot("built");
    await page.mouse.move(700, 300);
    await editor.point(editor.row("latest").first(), "Run Interactive");
    await editor.screenshot("tree");
  },
);

stage.inFolder(
  "a failing line is marked",
  "todo-app-broken",
  {
    Dockerfile:
      '# The tests run while the image is built.\nFROM busybox\nWORKDIR /app\nCOPY test.sh ./\nRUN sh test.sh\nCMD ["sh"]\n',
    "test.sh": 'echo "adding a todo ... ok"\necho "removing a todo ... FAILED: expected 0 items, got 1"\nexit 1\n',
  },
  async (editor) => {
    await editor.openFile("Dockerfile");
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Tag image as/, "todo-app");
    await editor.terminalShows(/Build failed/);
    await editor.page.locator(".squiggly-error").first().waitFor();
    await editor.notification(/exit|test/).waitFor();
    await editor.page.waitForTimeout(500);
    await editor.screenshot("problem");
  },
);

stage.inFolder("an image is pushed, and its registry looked at", "shared", { "notes.md": "" }, async (editor) => {
  const registry = await Registry.start(true);
  const host = (await registry.slowly(1_500_000, 5000)).replace("127.0.0.1", "localhost");
  const name = (tag: string): string => `${host}/${ACCOUNT.username}/todo-app:${tag}`;
  const layers = [4, 22, 14].map((size) => `RUN head -c ${size}000000 /dev/urandom > /layer${size}`);
  const folder = stage.server.project("layers", { Dockerfile: ["FROM busybox", ...layers].join("\n") });
  stage.server.orlop("build", "-q", "-t", name("1.4.0"), "-t", name("latest"), folder);
  try {
    await editor.showImages();
    await editor.expand(`${host}/${ACCOUNT.username}/todo-app`);
    await editor.command("Orlop: Connect Registry...");
    await editor.prompt(/Which registry/);
    await editor.page.waitForTimeout(300);
    await editor.screenshot("connect");
    await editor.input.fill("another");
    await editor.answer(/Which registry/);
    await editor.answer(/Address of the registry/, host);
    await editor.answer(/User name at/, ACCOUNT.username);
    await editor.answer(/Password or access token/, ACCOUNT.password);
    await editor.row(host).waitFor();
    await editor.notification("Logged in").waitFor({ state: "detached" });
    await editor.choose(editor.row("1.4.0"), "Push...");
    await editor.prompt(/to upload in 4 layers/);
    await editor.page.waitForTimeout(300);
    await editor.screenshot("push");
    await editor.answer(/Push Image/);
    await editor.terminalShows(/pushed[^]*pushing[^\n]*\/ [\d.]+ MB\n.*left/);
    await editor.page.waitForTimeout(500);
    await editor.screenshot("pushing");
    await editor.terminalShows(/✔ Pushed/, 120_000);
    await editor.notification(/Pushed .*sha256/).waitFor();
    stage.server.orlop("rmi", name("1.4.0"), name("latest"));
    await registry.tags(`${ACCOUNT.username}/todo-app`, "1.4.0", ["1.2.0", "1.3.0", "latest"]);
    await editor.page.reload();
    await editor.showImages();
    await editor.command("View: Hide Panel");
    await editor.expand(host);
    await editor.expand(`${ACCOUNT.username}/todo-app`);
    await editor.row("1.4.0").waitFor();
    await editor.page.mouse.move(700, 300);
    await editor.point(editor.row("1.4.0"), "Pull");
    await editor.screenshot("registries");
  } finally {
    registry.stop();
  }
});
