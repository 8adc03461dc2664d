// Building from the editor, as a person does it: menu, questions, terminal, tree, failing line, cancel.

import { strict as assert } from "node:assert";
import { scene } from "./scene";

const HELLO = 'FROM busybox\nRUN echo hello from the build\nCMD ["sh"]\n';
const stage = scene();

stage.inFolder(
  "Build Image is offered on every kind of Dockerfile and on nothing else",
  "names",
  {
    Dockerfile: HELLO,
    "Dockerfile.dev": HELLO,
    "web.Dockerfile": HELLO,
    Containerfile: HELLO,
    "notes.md": "# notes\n",
    "docker-compose.yml": "services: {}\n",
  },
  async (editor) => {
    for (const name of ["Dockerfile", "Dockerfile.dev", "web.Dockerfile", "Containerfile"]) {
      await editor.choose(editor.file(name), "Build Image...");
      await editor.prompt(/Tag image as/);
      await editor.page.keyboard.press("Escape");
    }
    for (const name of ["notes.md", "docker-compose.yml"]) {
      assert.ok(!(await editor.menu(editor.file(name))).includes("Build Image..."), name);
      await editor.page.keyboard.press("Escape");
    }
    await editor.openFile("Containerfile");
    await editor.page.locator('.editor-actions a[aria-label^="Build Image"]').waitFor();
  },
);

stage.inFolder(
  "a right click, a name and Enter build an image that the sidebar shows by itself",
  "My Hello_App",
  { Dockerfile: HELLO },
  async (editor) => {
    await editor.showImages();
    await editor.row("busybox").waitFor();
    await editor.showExplorer();
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.prompt(/Tag image as\.\.\./);
    assert.equal(await editor.input.inputValue(), "my-hello_app:latest");
    await editor.answer(/Tag image as/, "docker.io/someone/hello-app");
    const text = await editor.terminalShows(/Built someone\/hello-app:latest/);
    assert.match(text, /RUN echo hello from the build\n│ hello from the build\n.*\d\.\d s/);
    await editor.showImages();
    await editor.expand("docker.io/someone/hello-app");
    await editor.row("latest").filter({ hasText: "MB" }).waitFor();
    await editor.notification("Built docker.io/someone/hello-app").waitFor();
    assert.match(stage.server.orlop("image", "ls"), /someone\/hello-app\s+latest/);
  },
);

stage.inFolder(
  "the second build proposes the name again and comes from the cache",
  "again",
  { Dockerfile: "FROM busybox\nRUN echo once\n" },
  async (editor) => {
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Tag image as/, "someone/again:2");
    await editor.terminalShows(/Built someone\/again:2/);
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.prompt(/Tag image as/);
    assert.equal(await editor.input.inputValue(), "someone/again:2");
    const selected = await editor.input.evaluate((input: HTMLInputElement) =>
      input.value.slice(input.selectionStart ?? 0, input.selectionEnd ?? 0),
    );
    assert.equal(selected, "someone");
    await editor.answer(/Tag image as/);
    await editor.terminalShows(/RUN echo once CACHED[^]*Built someone\/again:2/);
  },
);

stage.inFolder("a bad name is refused while it is typed", "typed", { Dockerfile: HELLO }, async (editor) => {
  await editor.choose(editor.file("Dockerfile"), "Build Image...");
  await editor.prompt(/Tag image as/);
  await editor.input.fill("Some/App");
  await editor.prompt(/lower-case: Some\/app/);
  await editor.input.press("Enter");
  await editor.input.fill("a//b");
  await editor.prompt(/Write \[host/);
  await editor.page.keyboard.press("Escape");
  assert.ok(!stage.server.orlop("image", "ls").includes("some/app"));
});

stage.inFolder(
  "a RUN that fails shows its log and exit code and marks its line until the next edit",
  "broken",
  { Dockerfile: "FROM busybox\nWORKDIR /src\nRUN echo before the fall; exit 42\n" },
  async (editor) => {
    await editor.openFile("Dockerfile");
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Tag image as/, "broken");
    const text = await editor.terminalShows(/Build failed/);
    assert.match(text, /│ before the fall/);
    assert.match(text, /42/);
    assert.match(text, /Dockerfile:3/);
    await editor.page.locator(".squiggly-error").first().waitFor();
    await editor.press(/42/, "Show Problem");
    await editor.page
      .locator(".markers-panel .monaco-list-row")
      .filter({ hasText: /42.*\[Ln 3/ })
      .waitFor();
    await editor.page.locator(".view-lines .view-line").first().click();
    await editor.page.keyboard.press("Control+Home");
    await editor.page.keyboard.type("# an edit\n");
    await editor.page.locator(".squiggly-error").first().waitFor({ state: "detached" });
    assert.ok(!stage.server.orlop("image", "ls").includes("broken"));
  },
);

stage.inFolder(
  "a line that is no instruction is marked without a build",
  "nonsense",
  { Dockerfile: "FROM busybox\nRUNN echo\n" },
  async (editor) => {
    await editor.openFile("Dockerfile");
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Tag image as/);
    await editor.terminalShows(/Build failed[^]*Dockerfile:2/);
    await editor.page.locator(".squiggly-error").first().waitFor();
  },
);

for (const [how, press] of [
  ["the notification's button", async (editor) => editor.press("Building slow", "Cancel")],
  ["Ctrl+C in its terminal", async (editor) => editor.typeInTerminal("\u0003")],
] satisfies [string, (editor: Parameters<Parameters<typeof stage.inFolder>[3]>[0]) => Promise<void>][]) {
  stage.inFolder(
    `a build stops by ${how} and leaves no image`,
    "slow",
    { Dockerfile: `FROM busybox\n# ${how}\nRUN echo started; sleep 300; echo ${how.length}\n` },
    async (editor) => {
      await editor.choose(editor.file("Dockerfile"), "Build Image...");
      await editor.answer(/Tag image as/, "slow");
      await editor.terminalShows(/│ started/);
      const start = Date.now();
      await press(editor);
      await editor.terminalShows(/Build canceled; nothing was changed\./);
      assert.ok(Date.now() - start < 15_000, "at once");
      await editor.notification("Building slow").waitFor({ state: "detached" });
      assert.equal(await editor.page.locator(".squiggly-error").count(), 0);
      assert.ok(!stage.server.orlop("image", "ls").includes("slow"));
    },
  );
}

stage.inFolder(
  "stages and arguments are asked for only where the file needs an answer",
  "stages",
  {
    Dockerfile:
      "FROM busybox AS base\nARG GREETING\nARG COLOR=blue\nRUN echo $GREETING $COLOR > /greeting\n" +
      "FROM base AS check\nRUN cat /greeting\nFROM base AS final\nCMD cat /greeting\n",
  },
  async (editor) => {
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.answer(/Build Image \(1\/3\)[^]*Tag image as/, "staged");
    const widget = await editor.prompt(/Choose the stage to build/);
    const rows = await widget.locator(".monaco-list-row .label-name").allInnerTexts();
    assert.deepEqual(rows, ["final", "check", "base"]);
    await editor.input.fill("check");
    await editor.answer(/Choose the stage to build/);
    await editor.answer(/Value of the build argument GREETING/, "moin");
    await editor.terminalShows(/│ moin blue[^]*Built staged:latest/);
  },
);

stage.inFolder("unsaved text is saved and built", "unsaved", { Dockerfile: "FROM busybox\n" }, async (editor) => {
  await editor.openFile("Dockerfile");
  await editor.page.locator(".view-lines").click();
  await editor.page.keyboard.press("Control+End");
  await editor.page.keyboard.type("RUN echo fresh text");
  await editor.command("Orlop: Build Image...");
  await editor.answer(/Tag image as/);
  await editor.terminalShows(/│ fresh text[^]*Built unsaved:latest/);
});
