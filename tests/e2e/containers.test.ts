// The Containers view: what other processes start appears, every entry of the menu does its work, and nothing is lost.

import { strict as assert } from "node:assert";
import { freePort } from "./server";
import { scene } from "./scene";

const stage = scene();
const FLOOD = Number(process.env["ORLOP_FLOOD"] ?? 10_000_000);
const PAGE = "<h1>A shop</h1>\n";
const SHOP = [
  "FROM busybox",
  'ENV PS1="inside: "',
  "WORKDIR /www",
  "COPY index.html ./",
  "EXPOSE 80",
  `CMD i=0; httpd -p 80; trap 'exit 5' TERM; while true; do i=$((i + 1)); echo "visitor $i 访客"; sleep 0.3; done`,
].join("\n");

/** Another process's command, until it prints something that fits. */
function told(pattern: RegExp, ...args: string[]): () => Promise<boolean> {
  return () => Promise.resolve(pattern.test(stage.server.orlop(...args)));
}

stage.inFolder(
  "a container is looked into, typed at, edited, compared, committed and led from the sidebar",
  "sidebar",
  { "notes.md": "" },
  async (editor) => {
    const { page } = editor;
    const folder = stage.server.project("shop", { Dockerfile: SHOP, "index.html": PAGE });
    stage.server.orlop("build", "-q", "-t", "shop", folder);
    await editor.showImages();
    await editor.row("shop").waitFor();
    await editor.openView("Containers");
    // A list draws only the rows there is room for.
    for (const other of ["Images", "Registries"]) await page.locator(`.pane-header[aria-label^="${other}"]`).click();
    const port = await freePort();
    stage.server.orlop("run", "-d", "--name", "web", "-p", `127.0.0.1:${port}:80`, "shop");
    stage.server.orlop("run", "--name", "once", "--network", "none", "busybox", "true");
    const web = editor.row("web");
    await web.waitFor();
    const up = new RegExp(`${port}→80 · Up \\d+ second`);
    await editor.until(async () => up.test(await web.innerText()), "the running container with its port");
    await editor.until(async () => /Exited \(0\)/.test(await editor.row("once").innerText()), "the ended container");
    const offered = await editor.menu(web);
    for (const title of ["View Logs", "Attach Shell", "Open in Browser", "Stop", "Pause", "Commit to Image..."]) {
      assert.ok(offered.includes(title), `${title} among ${offered.join(", ")}`);
    }
    assert.ok(!offered.includes("Start") && !offered.includes("Continue"), offered.join(", "));
    await page.keyboard.press("Escape");

    await editor.choose(web, "View Logs");
    await editor.terminalShows(/visitor 1 访客\n[^]*visitor 3 访客/);
    await editor.choose(web, "Attach Shell");
    await editor.terminalShows(/inside:/);
    await editor.typeInTerminal("echo $((6 * 7)) 镜像; stty size\n");
    await editor.terminalShows(/^42 镜像\n\d+ \d+/m);
    await editor.typeInTerminal(`yes ${"x".repeat(70)} | head -c ${String(FLOOD)}; echo the flood is over\n`);
    await editor.terminalShows(/x{60}/);
    const before = Date.now();
    await page.keyboard.press("F1");
    await editor.input.waitFor();
    await page.keyboard.press("Escape");
    console.log(`# the palette opened within ${String(Date.now() - before)} ms of a flood`);
    await editor.terminalShows(/the flood is over/, 120_000);
    console.log(`# the flood took ${String(Date.now() - before)} ms`);
    await editor.typeInTerminal("echo changed >> /etc/passwd; rm /bin/true\n");

    await web.click();
    await editor.expand("Files");
    await editor.expand("www");
    await editor.row("index.html").click();
    await editor.until(async () => (await editor.editorText()).includes("A shop"), "the file");
    await page.locator(".editor-group-container.active .view-lines").first().click();
    await page.keyboard.press("Control+Home");
    await page.keyboard.type("<!-- edited -->");
    await page.keyboard.press("Control+S");
    await editor.until(told(/<!-- edited --><h1>A shop/, "exec", "web", "cat", "/www/index.html"), "the edited file");
    await editor.row("www").click();
    await editor.choose(web, "Changes against the Image");
    await editor.row("/www/index.html").waitFor();
    assert.match(await editor.row("/bin/true").innerText(), /deleted/);
    await editor.row("/www/index.html").click();
    await page.locator(".tab.active").filter({ hasText: "image ↔ web" }).waitFor();
    await page.mouse.move(800, 350);
    await page.waitForTimeout(1000);
    await editor.typeInTerminal("clear; ls -l /www\n");
    await editor.terminalShows(/index\.html\n/);
    await editor.screenshot("containers");

    await editor.choose(web, "Commit to Image...");
    await editor.prompt(/Tag image as/);
    assert.equal(await editor.input.inputValue(), "shop:web");
    await editor.answer(/Tag image as/, "shop:edited");
    await editor.answer(/What was changed/, "a greeting");
    await editor.notification(/Committed web as shop:edited/).waitFor();
    assert.match(stage.server.orlop("history", "shop:edited"), /a greeting/);
    await editor.choose(web, "Pause");
    await editor.until(async () => /\(paused\)/.test(await web.innerText()), "the pause");
    await editor.choose(web, "Continue");
    await editor.until(async () => !/\(paused\)/.test(await web.innerText()), "its end");
    await editor.choose(web, "Show Use of Resources");
    await editor.until(
      async () => /Processor +[\d.]+%[^]*Processes +\d/.test(await editor.editorText()),
      "the figures",
    );
    await editor.choose(web, "Stop");
    await editor.until(async () => /Exited \(5\)/.test(await web.innerText()), "its end");
    await editor.choose(web, "Remove...");
    await editor.dialog().locator(".monaco-button").filter({ hasText: "Remove" }).click();
    await web.waitFor({ state: "detached" });
  },
);

stage.inFolder(
  "a container goes on when its window closes and its server is killed, and the window that returns knows everything",
  "returns",
  { "notes.md": "" },
  async (editor) => {
    const script = "i=0; until [ -e /stop ]; do i=$((i + 1)); echo tick $i; sleep 0.3; done; echo last words; exit 6";
    const folder = stage.server.project("clock", { Dockerfile: `FROM busybox\nCMD ${script}\n` });
    stage.server.orlop("build", "-q", "-t", "clock", folder);
    await editor.showImages();
    await editor.expand("clock");
    await editor.choose(editor.row("latest"), "Run");
    await editor.terminalShows(/tick 2\n/);
    const name = stage.server.orlop("ps", "--format", "{{.Names}}").trim().split("\n")[0] ?? "";
    const address = editor.page.url();
    await editor.page.goto("about:blank");
    for (const pid of stage.server.servers()) process.kill(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await editor.page.goto(address);
    await editor.showImages();
    await editor.openView("Containers");
    const row = editor.row(name);
    await row.waitFor();
    assert.match(await row.innerText(), /Up /);
    await editor.choose(row, "View Logs");
    await editor.terminalShows(/tick \d\d\n/);
    assert.match(stage.server.orlop("logs", name), /^tick 1\ntick 2\n[^]*tick \d\d\n/);
    await editor.page.reload();
    await editor.showImages();
    await editor.openView("Containers");
    await row.waitFor();
    await editor.command("Terminal: Focus Terminal");
    // Where the window has opened a shell before the log came back, both are listed.
    await editor.until(async () => {
      const tab = editor.page.locator(".terminal-tabs-entry").filter({ hasText: "(log)" });
      if ((await tab.count()) > 0) await tab.first().click({ timeout: 2000 });
      return /tick \d+\n/.test(await editor.terminal());
    }, "the log of before");
    stage.server.orlop("exec", name, "touch", "/stop");
    await editor.terminalShows(/last words\n[^]*exit code 6/);
    await row.waitFor({ state: "detached" });
  },
);
