// Windows of every kind: not trusted, in Chinese, without a Python, without a folder, with several folders.

import { strict as assert } from "node:assert";
import { chmodSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { describe } from "node:test";
import { scene } from "./scene";

const HELLO = "FROM busybox\nRUN echo hello\n";

describe("any window", () => {
  const stage = scene();

  stage.inWindow(
    "each folder of a workspace builds its own Dockerfile",
    () => {
      const one = stage.server.project("multi/one", { Dockerfile: HELLO, "one.txt": "" });
      const two = stage.server.project("multi/two", { Dockerfile: "FROM busybox\nCOPY two.txt /\n", "two.txt": "" });
      const file = path.join(stage.server.home, "projects", "multi", "both.code-workspace");
      writeFileSync(file, JSON.stringify({ folders: [{ path: one }, { path: two }] }));
      return file;
    },
    async (editor) => {
      await editor.command("Orlop: Build Image...");
      const widget = await editor.prompt(/Choose a Dockerfile to build/);
      assert.equal(await widget.locator(".monaco-list-row").count(), 2);
      await editor.input.fill("two");
      await editor.answer(/Choose a Dockerfile/);
      await editor.prompt(/Tag image as/);
      assert.equal(await editor.input.inputValue(), "two:latest");
      await editor.answer(/Tag image as/);
      await editor.terminalShows(/Built two:latest/);
    },
  );

  stage.inWindow(
    "a single file in a window without a folder builds",
    () => path.join(stage.server.project("single", { Dockerfile: HELLO }), "Dockerfile"),
    async (editor) => {
      await editor.page.locator('.tab.active[data-resource-name="Dockerfile"]').waitFor();
      await editor.command("Orlop: Build Image...");
      await editor.answer(/Tag image as/);
      await editor.terminalShows(/Built single:latest/);
    },
  );

  stage.inFolder("Check This Computer lists what the host allows", "doctor", { "notes.md": "" }, async (editor) => {
    await editor.command("Orlop: Check This Computer");
    await editor.until(async () => /[✔✘] \S+/.test(await editor.editorText()), "the list of checks");
    await editor.command("Orlop: Show Disk Use");
    await editor.until(async () => /Build cache/.test(await editor.editorText()), "the table");
  });
});

describe("a folder that is not trusted", () => {
  const stage = scene({ trusted: false });

  stage.inFolder(
    "Build Image is neither offered nor carried out until the folder is trusted",
    "stranger",
    { Dockerfile: HELLO },
    async (editor) => {
      assert.ok(!(await editor.menu(editor.file("Dockerfile"))).includes("Build Image..."));
      await editor.page.keyboard.press("Escape");
      await editor.showImages();
      await editor.page.locator(".welcome-view-content").filter({ hasText: "This folder is not trusted" }).waitFor();
      assert.deepEqual(stage.server.servers(), [], "no server runs");
      await editor.page.locator(".welcome-view-content .monaco-button").first().click();
      await editor.page
        .locator(".workspace-trust-editor .monaco-button")
        .filter({ hasText: /^Trust/ })
        .first()
        .click();
      await editor.page.locator('.monaco-modal-editor-block .modal-editor-header a[aria-label^="Close"]').click();
      await editor.row("busybox").waitFor();
      await editor.showExplorer();
      await editor.choose(editor.file("Dockerfile"), "Build Image...");
      await editor.answer(/Tag image as/);
      await editor.terminalShows(/Built stranger:latest/);
    },
  );
});

describe("a window in Chinese", () => {
  const stage = scene({ locale: "zh-cn" });

  stage.inFolder("menus, questions and the terminal are Chinese", "zh", { Dockerfile: HELLO }, async (editor) => {
    await editor.choose(editor.file("Dockerfile"), "构建镜像...");
    await editor.answer(/镜像标签/, "zhongwen");
    await editor.terminalShows(/正在构建 zhongwen[^]*✔ 已构建 zhongwen:latest/);
    await editor.showImages();
    await editor.expand("zhongwen");
    assert.ok((await editor.menu(editor.row("latest"))).includes("交互式运行"));
  });
});

describe("a machine with an old Python only", () => {
  const stage = scene({ busybox: false, settings: { "orlop.pythonPath": "/tmp/orlop-e2e-old-python" } });

  stage.inFolder("the reason is told, with a way to the setting", "old", { Dockerfile: HELLO }, async (editor) => {
    writeFileSync("/tmp/orlop-e2e-old-python", '#!/bin/sh\necho "3 9 2 /usr/bin/python3.9"\n');
    chmodSync("/tmp/orlop-e2e-old-python", 0o755);
    await editor.showImages();
    await editor.page.locator(".welcome-view-content").filter({ hasText: "Orlop needs Python 3.11" }).waitFor();
    await editor.press(/\/usr\/bin\/python3\.9 is 3\.9/, "Open Settings");
    await editor.page.locator(".settings-editor").waitFor();
  });
});
