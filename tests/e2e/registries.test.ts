// Registries from the editor: push, log in, look around, pull into an empty store, delete, search, cancel.

import { strict as assert } from "node:assert";
import { after, before, describe } from "node:test";
import type { Editor } from "./editor";
import { ACCOUNT, Index, Registry } from "./registry";
import { scene } from "./scene";

let open: Registry;
let locked: Registry;
let index: Index;
before(async () => {
  open = await Registry.start();
  locked = await Registry.start(true);
  index = await Index.start([
    { name: "node", description: "Node.js is a platform for server-side applications.", stars: 14000 },
    { name: "mobydock/node-tools", description: "Tools for Node.js", stars: 3 },
  ]);
});
after(() => {
  open.stop();
  locked.stop();
  index.stop();
});

const HELLO = 'FROM busybox\nRUN echo hello > /hello\nCMD ["cat", "/hello"]\n';

/** Connects a registry by the wizard; without an account unless a password is given. */
async function connect(editor: Editor, host: string, ...passwords: string[]): Promise<void> {
  await editor.showImages();
  await editor.command("Orlop: Connect Registry...");
  await editor.prompt(/Which registry/);
  await editor.input.fill("another");
  await editor.answer(/Which registry/);
  await editor.answer(/Address of the registry/, `http://${host}/v2/`);
  await editor.answer(/User name at/, passwords.length === 0 ? "" : ACCOUNT.username);
  for (const [number, password] of passwords.entries()) {
    await editor.answer(number === 0 ? /Password or access token/ : /password or token of someone is wrong/, password);
  }
  await editor.row(host).waitFor();
}

/** Opens a row of the Registries view and waits for one below it. */
async function unfold(editor: Editor, label: string, below: string): Promise<void> {
  await editor.expand(label);
  await editor.row(below).first().waitFor();
}

describe("one who builds", () => {
  const stage = scene({ config: () => `[registries]\nhub-index = "${index.url}"\n` });

  /** An image with a name of its own. */
  const image = (name: string, dockerfile = HELLO): void => {
    const folder = stage.server.project(`made/${name.replaceAll(/\W/g, "-")}`, { Dockerfile: dockerfile });
    stage.server.orlop("build", "-q", "-t", name, folder);
  };

  stage.inFolder(
    "build, right-click the tag, Push..., Enter: the registry has it, and its view shows it",
    "hello",
    { Dockerfile: HELLO },
    async (editor) => {
      const repository = `${open.host}/someone/hello`;
      await editor.choose(editor.file("Dockerfile"), "Build Image...");
      await editor.answer(/Tag image as/, `${repository}:1`);
      await editor.terminalShows(/Built .*someone\/hello:1/);
      await connect(editor, open.host);
      await editor.expand(repository);
      await editor.choose(editor.row("1"), "Push...");
      const question = await editor.prompt(/to upload in 2 layers/);
      const first = question.locator(".monaco-list-row").first();
      assert.match((await first.getAttribute("class")) ?? "", /focused/);
      assert.match(await first.innerText(), new RegExp(`${repository}:1[^]*${open.host}, without an account`));
      await editor.screenshot("push");
      await editor.answer(/Push Image/);
      const text = await editor.terminalShows(/✔ Pushed .*someone\/hello:1/);
      const digest = await open.digest("someone/hello", "1");
      assert.ok(digest !== undefined, "the registry has the tag");
      assert.ok(text.replaceAll("\n", "").includes(`${repository}@${digest}`), "the terminal tells the digest");
      assert.equal(text.match(/✔ [0-9a-f]{12} .* pushed/g)?.length, 2);
      await editor.screenshot("pushed");
      await editor.press(/Pushed .*someone\/hello:1/, "Copy Digest");
      await editor.until(async () => (await editor.clipboard()) === digest, "the digest in the clipboard");
      await unfold(editor, open.host, "someone/hello");
      await editor.expand("someone/hello");
      await editor.row("1").nth(1).waitFor();

      await editor.choose(editor.row("1").first(), "Push...");
      await editor.answer(/Nothing to upload: the registry has all 2 layers/);
      await editor.terminalShows(/• [0-9a-f]{12} .* the registry has it[^]*✔ Pushed/);
    },
  );

  stage.inFolder(
    "another name is pushed by typing it, and the image gets no further tag here",
    "other-name",
    { "notes.md": "" },
    async (editor) => {
      image("someone/plain:1", `${HELLO}LABEL of="another-name"\n`);
      await editor.showImages();
      await editor.expand("docker.io/someone/plain");
      await editor.choose(editor.row("1"), "Push...");
      await editor.prompt(/Push Image[^]*someone\/plain:1/);
      await editor.input.fill(`${open.host}/team/renamed`);
      await editor.answer(/Push as .*team\/renamed:latest[^]*(to upload|Nothing to upload)/);
      await editor.terminalShows(/✔ Pushed .*team\/renamed:latest/);
      assert.ok(await open.digest("team/renamed", "latest"));
      const tags = stage.server.orlop("image", "inspect", "--format", "{{json .RepoTags}}", "someone/plain:1");
      assert.deepEqual(JSON.parse(tags), ["someone/plain:1"]);
      assert.equal(await editor.row(`${open.host}/team/renamed`).count(), 0);
    },
  );

  stage.inFolder(
    "a push without a login offers one; a wrong password is told and typed again; then the push goes on",
    "login",
    { "notes.md": "" },
    async (editor) => {
      image(`${locked.host}/someone/secret:1`);
      await editor.showImages();
      await editor.expand(`${locked.host}/someone/secret`);
      await editor.choose(editor.row("1"), "Push...");
      await editor.answer(/wants a login/);
      await editor.terminalShows(/✘ Push failed/);
      await editor.press(/cannot push/i, "Log In...");
      await editor.answer(/User name at/, ACCOUNT.username);
      await editor.answer(/Password or access token of someone/, "wrong");
      await editor.answer(/password or token of someone is wrong/, ACCOUNT.password);
      await editor.terminalShows(/✔ Pushed .*someone\/secret:1/);
      assert.ok(await locked.digest("someone/secret", "1"));

      await editor.choose(editor.row(locked.host), "Test Connection");
      await editor.notification(/accepts the login of someone/).waitFor();
      const pids = stage.server.servers();
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await editor.until(() => Promise.resolve(stage.server.servers().some((pid) => !pids.includes(pid))), "a server");
      await unfold(editor, locked.host, "someone/secret");
      await editor.choose(editor.row(locked.host), "Disconnect...");
      await editor.dialog().locator(".monaco-button").filter({ hasText: "Disconnect" }).click();
      await editor.row(locked.host).waitFor({ state: "detached" });
    },
  );

  stage.inFolder(
    "a long list comes page by page; a tag is inspected, copied and deleted",
    "look-around",
    { "notes.md": "" },
    async (editor) => {
      const repository = `${open.host}/team/many`;
      image(`${repository}:latest`, `${HELLO}LABEL many=""\n`);
      stage.server.orlop("push", "-q", `${repository}:latest`);
      stage.server.orlop("rmi", `${repository}:latest`);
      await open.tags(
        "team/many",
        "latest",
        Array.from({ length: 120 }, (_, number) => `b${String(number).padStart(3, "0")}`),
      );
      await connect(editor, open.host);
      await editor.page.locator('.pane-header[aria-label^="Images"]').click();
      await unfold(editor, open.host, "team/many");
      await unfold(editor, "team/many", "latest");
      await editor.choose(editor.row("latest"), "Inspect");
      await editor.until(async () => (await editor.editorText()).includes('"schemaVersion"'), "the manifest");
      await editor.choose(editor.row("latest"), "Copy Full Tag");
      await editor.until(async () => (await editor.clipboard()) === `${repository}:latest`, "the tag in the clipboard");
      await editor.choose(editor.row("latest"), "Copy Digest");
      const digest = await open.digest("team/many", "latest");
      await editor.until(async () => (await editor.clipboard()) === digest, "the digest in the clipboard");
      await editor.page.locator(".pane-body .customview-tree").last().hover();
      await editor.until(async () => {
        await editor.page.mouse.wheel(0, 3000);
        await editor.row("Load more…").click({ timeout: 500 });
        return true;
      }, "the row that loads more");
      await editor.until(async () => {
        await editor.page.mouse.wheel(0, 3000);
        return editor.row("b000").isVisible();
      }, "the last tag");
      await editor.choose(editor.row("b000"), "Delete Tag...");
      await editor.until(
        async () =>
          /Delete .*team\/many:b000 from[^]*under its other tags: b001[^]*and 108 more/.test(
            await editor.dialog().innerText(),
          ),
        "a question that tells what goes with it",
      );
      await editor.screenshot("delete-tag");
      await editor.dialog().locator(".monaco-button").filter({ hasText: "Delete" }).click();
      await editor.dialog().filter({ hasText: "cannot delete b000 alone" }).waitFor();
      assert.ok(await open.digest("team/many", "b000"), "nothing went yet");
      await editor.dialog().locator(".monaco-button").filter({ hasText: "Delete All 121 Tags" }).click();
      await editor.until(async () => (await open.digest("team/many", "b000")) === undefined, "the tag to go");
    },
  );

  for (const [how, press] of [
    ["the notification's button", (editor) => editor.press(/Pushing .*big/, "Cancel")],
    ["Ctrl+C in its terminal", (editor) => editor.typeInTerminal("\u0003")],
    [
      "the button of its row",
      async (editor) => {
        await editor.row("1").hover();
        await editor.row("1").locator('a[aria-label^="Cancel"]').click();
      },
    ],
  ] satisfies [string, (editor: Editor) => Promise<void>][]) {
    stage.inFolder(`a push shows how far it is and stops by ${how}`, "big", { "notes.md": "" }, async (editor) => {
      const slow = await open.slowly(2_000_000);
      const repository = `${slow}/team/big`;
      image(`${repository}:1`, `FROM busybox\n# ${how}\nRUN head -c 40000000 /dev/urandom > /noise\n`);
      await editor.showImages();
      await editor.expand(repository);
      await editor.choose(editor.row("1"), "Push...");
      await editor.answer(/Push Image/);
      await editor.terminalShows(/[0-9a-f]{12} {2}pushing[^\n]*\/ [\d.]+ MB\n.*per second/);
      await editor
        .row("1")
        .filter({ hasText: /pushing \d+%/ })
        .waitFor();
      await editor.screenshot("pushing");
      const start = Date.now();
      await press(editor);
      await editor.terminalShows(/Push canceled; no tag was changed\./);
      assert.ok(Date.now() - start < 15_000, "at once");
      await editor.row("1").filter({ hasText: "pushing" }).waitFor({ state: "detached" });
      assert.equal(await open.digest("team/big", "1"), undefined);
      stage.server.orlop("rmi", `${repository}:1`);
    });
  }

  stage.inFolder(
    "Pull Image... searches while one types, and asks for the tag",
    "search",
    { "a.md": "" },
    async (editor) => {
      await editor.command("Orlop: Pull Image...");
      await editor.prompt(/Search Docker Hub/);
      await editor.input.pressSequentially("node", { delay: 30 });
      const question = await editor.prompt(/node-tools/);
      assert.match(
        await question.innerText(),
        /Pull node:latest[^]*Choose a tag of node[^]*node\s*official · ★ 14K\s+Node.js is a platform/,
      );
      assert.deepEqual(index.asked, ["node"], "one question, once the typing paused");
      await editor.screenshot("search");
      await editor.input.fill("Bad Name");
      await editor.prompt(/no spaces/);
      await editor.page.keyboard.press("Escape");
    },
  );
});

describe("one with an empty store", () => {
  const stage = scene({ busybox: false });

  stage.inFolder(
    "a password is tried before it is kept, and a tag is pulled from the view and runs",
    "empty",
    { "notes.md": "" },
    async (editor) => {
      await editor.showImages();
      await editor.page.locator(".welcome-view-content").filter({ hasText: "Nothing is connected" }).waitFor();
      await connect(editor, locked.host, "wrong", ACCOUNT.password);
      await editor.row(locked.host).filter({ hasText: ACCOUNT.username }).waitFor();
      await unfold(editor, locked.host, "someone/secret");
      await unfold(editor, "someone/secret", "1");
      await editor.row("1").hover();
      await editor.page
        .locator(".monaco-hover")
        .filter({ hasText: /Platforms[^]*linux/ })
        .waitFor();
      await editor.point(editor.row("1"), "Pull");
      await editor.screenshot("registries");
      await editor.page.keyboard.press("Escape");
      await editor.choose(editor.row("1"), "Pull");
      await editor.terminalShows(/✔ Pulled .*someone\/secret:1/);
      await editor.row(`${locked.host}/someone/secret`).waitFor();
      await editor.press(/Pulled .*someone\/secret:1/, "Run");
      await editor.terminalShows(/^hello$[^]*exit code 0/m);
      assert.match(stage.server.orlop("image", "ls"), /someone\/secret\s+1/);

      await editor.page.reload();
      await editor.showImages();
      await unfold(editor, locked.host, "someone/secret");
    },
  );

  stage.inFolder("a full name is pulled as it was typed", "typed", { "notes.md": "" }, async (editor) => {
    await editor.command("Orlop: Pull Image...");
    await editor.prompt(/Search Docker Hub/);
    await editor.input.fill(`${open.host}/someone/hello`);
    await editor.prompt(/Pull .*someone\/hello:latest[^]*Choose a tag of/);
    await editor.input.press("ArrowDown");
    await editor.answer(/Choose a tag of/);
    await editor.prompt(/Choose a tag, or type one/);
    await editor.input.fill("1");
    await editor.answer(/Choose a tag, or type one/);
    await editor.terminalShows(/✔ Pulled .*someone\/hello:1/);
    await editor.command("Orlop: Pull Image...");
    await editor.answer(/Search Docker Hub/, `${open.host}/someone/hello:1`);
    await editor.terminalShows(/✔ .*someone\/hello:1 is up to date/);
    await editor.command("Orlop: Pull Image...");
    await editor.answer(/Search Docker Hub/, `${open.host}/someone/hello:none`);
    await editor.terminalShows(/✘ Pull failed/);
    await editor.notification(/has no tag none/).waitFor();
  });
});

describe("one whose window is Chinese", () => {
  const stage = scene({ locale: "zh-cn" });

  stage.inFolder("pushing and the Registries view are Chinese", "zh", { Dockerfile: HELLO }, async (editor) => {
    const repository = `${open.host}/zh/app`;
    await editor.choose(editor.file("Dockerfile"), "构建镜像...");
    await editor.answer(/镜像标签/, `${repository}:1`);
    await editor.terminalShows(/已构建/);
    await editor.showImages();
    await editor.page.locator(".welcome-view-content").filter({ hasText: "还没有连接任何镜像仓库服务" }).waitFor();
    await editor.expand(repository);
    await editor.choose(editor.row("1"), "推送...");
    await editor.answer(/推送镜像[^]*(最多上传|需上传|无需上传)/);
    await editor.terminalShows(/正在推送[^]*✔ 已推送 .*zh\/app:1/);
    await editor.notification(/已推送/).waitFor();
    await editor.screenshot("push-zh");
  });
});
