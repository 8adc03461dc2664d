// The Docker sidebar: what other processes do appears, and every entry of an image's menu does its work.

import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import * as path from "node:path";
import { scene } from "./scene";

const stage = scene();
const LABEL = 'FROM busybox\nLABEL org.example.of="';

stage.inWindow(
  "an image that another process tags and removes appears and goes without a refresh",
  () => stage.server.project("others", { "notes.md": "" }),
  async (editor) => {
    await editor.showImages();
    await editor.row("busybox").waitFor();
    stage.server.orlop("tag", "busybox", "registry.example/team/tool:7");
    await editor.expand("registry.example/team/tool");
    await editor.row("7").waitFor();
    stage.server.orlop("rmi", "registry.example/team/tool:7");
    await editor.row("registry.example/team/tool").waitFor({ state: "detached" });
  },
);

stage.inFolder(
  "the menu of a tag inspects, shows the history, tags, copies and removes",
  "menu",
  { Dockerfile: `${LABEL}menu"\nCMD ["true"]\n` },
  async (editor) => {
    stage.server.orlop("build", "-q", "-t", "someone/menu:1", stage.server.project("menu", {}));
    await editor.showImages();
    await editor.expand("docker.io/someone/menu");
    await editor.choose(editor.row("1"), "Inspect");
    await editor.until(async () => (await editor.editorText()).includes('"someone/menu:1"'), "the inspect document");
    await editor.choose(editor.row("1"), "History");
    await editor.until(async () => /CMD \["true"\]/.test(await editor.editorText()), "the history");
    await editor.choose(editor.row("1"), "Copy Full Tag");
    await editor.until(
      async () => (await editor.page.evaluate(() => navigator.clipboard.readText())) === "someone/menu:1",
      "the full tag in the clipboard",
    );
    await editor.choose(editor.row("1"), "Tag...");
    await editor.answer(/Tag image as/, "someone/menu:two");
    await editor.row("two").waitFor();
    await editor.choose(editor.row("two"), "Remove...");
    await editor.until(
      async () => /Untagged: .*someone\/menu:two[^]*Only the names go/.test(await editor.dialog().innerText()),
      "a dialog that tells what goes",
    );
    await editor.dialog().locator(".monaco-button").filter({ hasText: "Remove" }).click();
    await editor.row("two").waitFor({ state: "detached" });
    await editor.choose(editor.row("1"), "Remove...");
    await editor.until(async () => /Deleted: sha256:/.test(await editor.dialog().innerText()), "what is deleted");
    await editor.page.keyboard.press("Escape");
    await editor.row("1").waitFor();
    assert.match(stage.server.orlop("image", "ls"), /someone\/menu\s+1/);
  },
);

stage.inFolder("Run shows what the container writes and its exit code", "run", { "notes.md": "" }, async (editor) => {
  const folder = stage.server.project("ran", { Dockerfile: "FROM busybox\nCMD echo ran; exit 3\n" });
  stage.server.orlop("build", "-q", "-t", "ran", folder);
  await editor.showImages();
  await editor.expand("ran");
  await editor.choose(editor.row("latest"), "Run");
  await editor.terminalShows(/ran\n[^]*exit code 3/);
});

stage.inFolder("Run Interactive is a terminal inside the container", "shell", { "notes.md": "" }, async (editor) => {
  const folder = stage.server.project("sh", { Dockerfile: 'FROM busybox\nENV PS1="inside: "\nCMD ["sh"]\n' });
  stage.server.orlop("build", "-q", "-t", "shell", folder);
  await editor.showImages();
  await editor.expand("shell");
  await editor.choose(editor.row("latest"), "Run Interactive");
  await editor.terminalShows(/inside:/);
  await editor.typeInTerminal("echo $((6 * 7)) 镜像; stty size\n");
  const text = await editor.terminalShows(/^42 镜像\n\d+ \d+/m);
  const columns = Number(/^\d+ (\d+)$/m.exec(text)?.[1]);
  assert.ok(columns > 80, `the terminal's own width, not ${columns}`);
  await editor.page.locator('.pane-header[aria-label^="Containers"]').click();
  await editor.page.locator(".customview-tree .monaco-list-row").filter({ hasText: "shell" }).last().waitFor();
  await editor.typeInTerminal("exit\n");
  await editor.page.locator(".terminal-wrapper.active").waitFor({ state: "detached" });
});

stage.inFolder("an image goes into an archive and comes back", "archive", { "notes.md": "" }, async (editor) => {
  const folder = stage.server.project("arch", { Dockerfile: `${LABEL}archive"\n` });
  stage.server.orlop("build", "-q", "-t", "someone/archived:1", folder);
  await editor.showImages();
  await editor.expand("docker.io/someone/archived");
  await editor.choose(editor.row("1"), "Save to File...");
  const target = path.join(stage.server.home, "projects", "archive", "image.tar");
  await editor.choosePath(/Save Image/, target);
  await editor.until(() => Promise.resolve(existsSync(target)), "the archive");
  stage.server.orlop("rmi", "someone/archived:1");
  await editor.row("docker.io/someone/archived").waitFor({ state: "detached" });
  await editor.showExplorer();
  await editor.choose(editor.file("image.tar"), "Load Image...");
  await editor.notification("Loaded someone/archived:1").waitFor();
  await editor.showImages();
  await editor.expand("docker.io/someone/archived");
  await editor.row("1").waitFor();
});

stage.inFolder(
  "a server that is killed comes back, and the next command works",
  "crash",
  { Dockerfile: "FROM busybox\nRUN echo after the crash\n" },
  async (editor) => {
    await editor.showImages();
    await editor.row("busybox").waitFor();
    const pids = stage.server.servers();
    assert.ok(pids.length > 0, "a server runs");
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await editor.until(
      () => Promise.resolve(stage.server.servers().some((pid) => !pids.includes(pid))),
      "another server process",
    );
    await editor.showExplorer();
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Tag image as/, "after-crash");
    await editor.terminalShows(/Built after-crash:latest/);
  },
);
