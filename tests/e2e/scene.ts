// A scene: one server with a base image in its store, and a test in a window of its own, with a picture when it fails.

import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { Editor, launchBrowser } from "./editor";
import { CodeServer, required, type ServerOptions } from "./server";

/** What tests of one file share. */
export interface Scene {
  server: CodeServer;
  browser: Browser;
  /** A test that opens `files` as a folder named `folder`. */
  inFolder(claim: string, folder: string, files: Record<string, string>, work: (editor: Editor) => Promise<void>): void;
  /** A test that opens whatever `place` names, by then. */
  inWindow(claim: string, place: () => string, work: (editor: Editor) => Promise<void>): void;
}

/** Starts everything before the first test of the file and ends it after the last. */
export function scene(options: ServerOptions & { busybox?: boolean } = {}): Scene {
  let server: CodeServer | undefined;
  let browser: Browser | undefined;
  before(async () => {
    server = await CodeServer.start(options);
    if (options.busybox !== false) server.orlop("import", required("ORLOP_BUSYBOX"), "busybox:latest");
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  const there = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error("the scene has not started");
    return part;
  };
  const inWindow: Scene["inWindow"] = (claim, place, work) => {
    test(claim, async () => {
      const editor = await Editor.open(there(browser), there(server), place(), options.locale);
      try {
        await work(editor);
      } catch (error) {
        await editor.failed(required("ORLOP_FAILED"), claim);
        throw error;
      } finally {
        await editor.close();
      }
    });
  };
  return {
    get server() {
      return there(server);
    },
    get browser() {
      return there(browser);
    },
    inWindow,
    inFolder(claim, folder, files, work) {
      inWindow(claim, () => there(server).project(folder, files), work);
    },
  };
}
