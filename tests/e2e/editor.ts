// One window of VS Code, driven as a person would: menus, quick inputs, terminal, tree, notifications.

import { mkdirSync } from "node:fs";
import * as path from "node:path";
import { chromium, type Browser, type Locator, type Page } from "playwright-core";
import { required, type CodeServer } from "./server";

const WAIT_MS = 30_000;
const SIZE = { width: 1280, height: 800 };

/** A browser for a whole run. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: required("ORLOP_CHROMIUM"),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--font-render-hinting=none",
    ],
  });
}

/** What a person does in one window. */
export class Editor {
  private constructor(readonly page: Page) {}

  /** Opens a folder, a workspace file, or a single file. */
  static async open(browser: Browser, server: CodeServer, place: string, locale = "en"): Promise<Editor> {
    const context = await browser.newContext({ viewport: SIZE, locale });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.goto(server.address(place));
    await page.locator(".monaco-workbench").waitFor();
    // Menus offer an extension's commands once its badge is there.
    await page.locator('.activitybar .action-item a[aria-label^="Docker"]').waitFor();
    return new Editor(page);
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }

  /** A screenshot for the documentation when one is wanted, else nothing. */
  async screenshot(name: string): Promise<void> {
    const folder = process.env["ORLOP_SCREENSHOTS"];
    if (folder === undefined || folder === "") return;
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: path.join(folder, `${name}.png`) });
  }

  /** What the window shows when a test failed. */
  async failed(folder: string, claim: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, `${claim.replaceAll(/[^\w]+/g, "-").slice(0, 80)}.png`);
    await this.page.screenshot({ path: file }).catch(() => undefined);
  }

  file(name: string): Locator {
    return this.page.locator(".explorer-folders-view .monaco-list-row").filter({
      has: this.page.locator(".label-name").filter({ hasText: exactly(name) }),
    });
  }

  async openFile(name: string): Promise<void> {
    await this.file(name).dblclick();
    await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
  }

  /** The titles of a row's context menu; the menu stays open. */
  async menu(row: Locator): Promise<string[]> {
    await row.click({ button: "right", timeout: 5000 });
    const items = this.page.locator(".context-view .action-menu-item .action-label");
    await items.first().waitFor({ timeout: 5000 });
    return items.allInnerTexts();
  }

  /** Chooses from a row's context menu. */
  choose(row: Locator, title: string): Promise<void> {
    return this.inMenu(row, title, async (item) => {
      // A menu that has just opened ignores clicks, so that the one which opened it does not choose.
      await item.hover({ timeout: 3000 });
      await this.page.waitForTimeout(300);
      await item.click({ timeout: 3000 });
      await item.waitFor({ state: "detached", timeout: 3000 });
    });
  }

  /** Opens a row's context menu and points at an entry. */
  point(row: Locator, title: string): Promise<void> {
    return this.inMenu(row, title, (item) => item.hover({ timeout: 3000 }));
  }

  /** A menu that closes because the window is still moving, or does not know the extension yet, is opened again. */
  private inMenu(row: Locator, title: string, act: (item: Locator) => Promise<void>): Promise<void> {
    let offered: string[] = [];
    return this.until(
      async () => {
        if (await this.page.locator(".context-view .action-menu-item").first().isVisible()) {
          await this.page.keyboard.press("Escape");
        }
        offered = await this.menu(row);
        if (offered.includes(title)) await act(this.menuItem(title));
        return offered.includes(title);
      },
      () => `a menu with ${title}, not ${offered.join(", ")}`,
    );
  }

  private menuItem(title: string): Locator {
    return this.page.locator(".context-view .action-menu-item").filter({
      has: this.page.locator(".action-label").filter({ hasText: exactly(title) }),
    });
  }

  get input(): Locator {
    return this.page.locator(
      ".quick-input-widget:visible input[type=text], .quick-input-widget:visible input[type=password]",
    );
  }

  /** Waits for the quick input that asks this, and answers it. */
  async answer(prompt: RegExp, text?: string): Promise<void> {
    await this.prompt(prompt);
    if (text !== undefined) await this.input.fill(text);
    await this.page.waitForTimeout(100);
    await this.input.press("Enter");
  }

  /** Types a path into VS Code's own file dialog, which takes Enter only once it has looked at the path. */
  async choosePath(prompt: RegExp, file: string): Promise<void> {
    const widget = await this.prompt(prompt);
    await this.input.fill(file);
    await this.until(async () => {
      if (await widget.isVisible()) await this.input.press("Enter");
      await widget.waitFor({ state: "hidden", timeout: 1000 });
      return true;
    }, "the end of the file dialog");
  }

  async prompt(prompt: RegExp): Promise<Locator> {
    const widget = this.page.locator(".quick-input-widget:visible");
    await widget.waitFor();
    await this.until(
      async () => {
        const placeholder = (await this.input.getAttribute("placeholder")) ?? "";
        return prompt.test(`${await widget.innerText()}\n${placeholder}`);
      },
      `a question that reads ${String(prompt)}`,
    );
    return widget;
  }

  /** Runs a command of the palette, as soon as the palette knows it. */
  async command(title: string): Promise<void> {
    const row = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: title }).first();
    await this.until(async () => {
      await this.page.keyboard.press("F1");
      await this.input.fill(`>${title}`);
      const found = await row.waitFor({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
      await this.page.keyboard.press(found ? "Enter" : "Escape");
      return found;
    }, `the command ${title}`);
  }

  /** The visible text of the terminal in front. */
  async terminal(): Promise<string> {
    const rows = this.page.locator(".terminal-wrapper.active .xterm-rows > div");
    return (await rows.allInnerTexts()).map((row) => row.replaceAll("\u00a0", " ").trimEnd()).join("\n");
  }

  async terminalShows(pattern: RegExp, timeout = WAIT_MS): Promise<string> {
    let text = "";
    await this.until(
      async () => pattern.test((text = await this.terminal())),
      () => `a terminal that shows ${String(pattern)}, not\n${text}`,
      timeout,
    );
    return text;
  }

  async typeInTerminal(text: string): Promise<void> {
    await this.page.locator(".terminal-wrapper.active .xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
  }

  /** Brings the Docker sidebar to the front. */
  async showImages(title = "Docker"): Promise<void> {
    const badge = this.page.locator(`.activitybar .action-item a[aria-label^="${title}"]`);
    const header = this.page
      .locator(".pane-header")
      .filter({ hasText: /Images|镜像/ })
      .first();
    // A window that is just coming back may open its sidebar itself; then the click closes it again.
    await this.until(async () => {
      if ((await badge.locator("xpath=..").getAttribute("class"))?.includes("checked") !== true) await badge.click();
      await header.waitFor({ timeout: 5000 });
      return true;
    }, "the Docker sidebar");
  }

  async showExplorer(): Promise<void> {
    await this.page.keyboard.press("Control+Shift+E");
    await this.page.locator(".explorer-folders-view").waitFor();
  }

  /** A row of the Docker sidebar by its label. */
  row(label: string): Locator {
    return this.page.locator(".customview-tree .monaco-list-row").filter({
      has: this.page.locator(".label-name").filter({ hasText: exactly(label) }),
    });
  }

  /** Opens a repository's tags. */
  async expand(repository: string): Promise<void> {
    const row = this.row(repository);
    await row.waitFor();
    // A row that has just come back may still be about to open, as it was before; then the click closes it.
    await this.until(async () => {
      if ((await row.getAttribute("aria-expanded")) !== "true") await row.click({ timeout: 3000 });
      await this.page.waitForTimeout(300);
      return (await row.getAttribute("aria-expanded")) === "true";
    }, `${repository} with its tags`);
  }

  /** Opens a collapsed view of the sidebar. */
  async openView(title: string): Promise<void> {
    const header = this.page.locator(`.pane-header[aria-label^="${title}"]`);
    if ((await header.getAttribute("aria-expanded")) !== "true") await header.click();
  }

  /** What the clipboard holds. */
  clipboard(): Promise<string> {
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  notification(text: RegExp | string): Locator {
    return this.page.locator(".notifications-toasts .notification-list-item").filter({ hasText: text });
  }

  /** Presses a button of a notification. */
  async press(notification: RegExp | string, button: string): Promise<void> {
    // A progress that ends and the message after it may stand there together.
    await this.notification(notification).locator(`.monaco-button:has-text("${button}")`).first().click();
  }

  dialog(): Locator {
    return this.page.locator(".monaco-dialog-box");
  }

  /** The text of the editor in front. */
  async editorText(): Promise<string> {
    const lines = this.page.locator(".editor-group-container.active .view-lines .view-line");
    await lines.first().waitFor();
    return (await lines.allInnerTexts()).map((line) => line.replaceAll("\u00a0", " ")).join("\n");
  }

  async until(check: () => Promise<boolean>, what: string | (() => string), timeout = WAIT_MS): Promise<void> {
    const end = Date.now() + timeout;
    for (;;) {
      if (await check().catch(() => false)) return;
      if (Date.now() > end) throw new Error(`waited in vain for ${typeof what === "string" ? what : what()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}
