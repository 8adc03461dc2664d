// The tutorial's own application by right-click; ORLOP_TUTORIAL names its folder, ORLOP_NODE_IMAGE an image archive of node:22.
// Run by `ORLOP_ONLY=tutorial scripts/e2e --test-timeout=900000`, where the application can be fetched.

import { cpSync } from "node:fs";
import * as path from "node:path";
import { scene } from "./scene";
import { required } from "./server";

const stage = scene({ busybox: false });

stage.inWindow(
  "the tutorial's application builds from a right click and stands in the sidebar",
  () => {
    stage.server.orlop("load", "-i", required("ORLOP_NODE_IMAGE"));
    const folder = stage.server.project("getting-started-todo-app", {});
    cpSync(required("ORLOP_TUTORIAL"), folder, { recursive: true });
    return path.resolve(folder);
  },
  async (editor) => {
    await editor.choose(editor.file("Dockerfile"), "Build Image...");
    await editor.prompt(/Tag image as/);
    await editor.input.fill("mobydock/getting-started-todo-app");
    await editor.answer(/Tag image as/);
    await editor.answer(/Choose the stage/);
    await editor.terminalShows(/Built mobydock\/getting-started-todo-app:latest/, 840_000);
    await editor.showImages();
    await editor.expand("docker.io/mobydock/getting-started-todo-app");
    await editor.row("latest").first().waitFor();
    await editor.screenshot("tutorial");
  },
);
