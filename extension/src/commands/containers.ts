// What can be done to containers: start, stop, pause, remove, prune, rename, commit, and looking at them.

import * as vscode from "vscode";
import type { RequestType } from "vscode-languageclient/node";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askAll, askText, type Step } from "../prompts/steps";
import { askTag } from "../prompts/tag";
import { call, showError } from "../rpc";
import { browserPorts, commitName, portAddress, stateText } from "../util/containers";
import { formatSize } from "../util/format";
import { ContainerNode, GroupNode } from "../views/containerNodes";
import { openSession, run } from "./sessions";

type Test = (container: proto.ContainerSummary) => boolean;

const any: Test = () => true;
const running: Test = ({ state }) => state === "running";
const paused: Test = ({ state }) => state === "paused";
const alive: Test = (container) => running(container) || paused(container);
const stopped: Test = (container) => !alive(container);

/** The clicked container, or one that fits and is picked from a list. */
async function target(ctx: Ctx, node: unknown, fits: Test = any): Promise<proto.ContainerSummary | undefined> {
  if (node instanceof ContainerNode) return node.container;
  let containers: proto.ContainerSummary[];
  try {
    containers = (await ctx.containers.fetch()).filter(fits);
  } catch (error) {
    await showError(ctx, error);
    return undefined;
  }
  if (containers.length === 0) {
    await vscode.window.showInformationMessage(vscode.l10n.t("There is no container that this can be done to."));
    return undefined;
  }
  const items = containers.map((container) => ({
    label: container.name,
    description: container.image,
    detail: stateText(container, Date.now(), vscode.env.language, vscode.l10n.t),
    container,
  }));
  const placeHolder = vscode.l10n.t("Choose a container");
  return (await vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true }))?.container;
}

/** All that are marked and fit, those of marked groups too; without any, one that is picked. */
async function targets(ctx: Ctx, node: unknown, nodes: unknown, fits: Test): Promise<proto.ContainerSummary[]> {
  const all: unknown[] = Array.isArray(nodes) && nodes.length > 0 ? nodes : [node];
  const marked = all.flatMap((item) =>
    item instanceof GroupNode ? item.containers : item instanceof ContainerNode ? [item] : [],
  );
  if (marked.length > 0) {
    const unique = new Map(marked.map(({ container }) => [container.id, container]));
    return [...unique.values()].filter(fits);
  }
  const picked = await target(ctx, undefined, fits);
  return picked === undefined ? [] : [picked];
}

type Plain = RequestType<{ container: string }, proto.Empty, proto.ErrorData>;

async function each(
  ctx: Ctx,
  [node, nodes]: [unknown, unknown],
  fits: Test,
  method: Plain,
  title: (name: string) => string,
): Promise<void> {
  const chosen = await targets(ctx, node, nodes, fits);
  await Promise.all(chosen.map(({ id, name }) => call(ctx, method, { container: id }, { title: title(name) })));
}

export const start = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, stopped, proto.containerStart, (name) => vscode.l10n.t("Starting {0}", name));

/** Asks to end, kindly. */
export const stop = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, alive, proto.containerStop, (name) => vscode.l10n.t("Stopping {0}", name));

export const restart = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, any, proto.containerRestart, (name) => vscode.l10n.t("Restarting {0}", name));

export const pause = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, running, proto.containerPause, (name) => vscode.l10n.t("Pausing {0}", name));

export const unpause = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, paused, proto.containerUnpause, (name) => vscode.l10n.t("Continuing {0}", name));

/** Ends at once. */
export const kill = (ctx: Ctx, ...clicked: [unknown, unknown]): Promise<void> =>
  each(ctx, clicked, alive, proto.containerKill, (name) => vscode.l10n.t("Stopping {0}", name));

/** Removes, after asking; running ones are killed first, and the question says so. */
export async function remove(ctx: Ctx, node: unknown, nodes: unknown): Promise<void> {
  const chosen = await targets(ctx, node, nodes, any);
  if (chosen.length === 0) return;
  const going = chosen.filter(alive);
  const detail =
    going.length === 0
      ? vscode.l10n.t("What it has written outside of mounts is lost.")
      : vscode.l10n.t("It is running and will be killed. What it has written outside of mounts is lost.");
  if (!(await agrees(vscode.l10n.t("Remove {0}?", names(chosen)), detail, vscode.l10n.t("Remove")))) return;
  const containers = chosen.map(({ id }) => id);
  const title = vscode.l10n.t("Removing {0}", names(chosen));
  await call(ctx, proto.containerRemove, { containers, force: going.length > 0 }, { title });
}

/** Removes all that do not run; the question lists them, and no others go. */
export async function prune(ctx: Ctx): Promise<void> {
  const plan = await call(ctx, proto.containerPrune, { dryRun: true });
  if (plan === undefined) return;
  if (plan.containers.length === 0) {
    await vscode.window.showInformationMessage(
      vscode.l10n.t("All containers are running; there is nothing to remove."),
    );
    return;
  }
  const rows = plan.containers.map(({ name, image }) => `${name} (${image})`);
  const more = rows.length > 12 ? [vscode.l10n.t("and {0} more", rows.length - 12)] : [];
  const lost = vscode.l10n.t("What they have written outside of mounts is lost.");
  const detail = [...rows.slice(0, 12), ...more, "", lost].join("\n");
  const question = vscode.l10n.t("Remove {0} stopped containers?", rows.length);
  if (!(await agrees(question, detail, vscode.l10n.t("Remove")))) return;
  const only = plan.containers.map(({ id }) => id);
  await call(ctx, proto.containerPrune, { only }, { title: vscode.l10n.t("Removing stopped containers") });
}

export async function rename(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node);
  if (container === undefined) return;
  const problem = (text: string): string | undefined =>
    /^[A-Za-z0-9][\w.-]+$/.test(text)
      ? undefined
      : vscode.l10n.t("Use letters, digits, and _ . - after the first one; two characters at least.");
  const name = await askAll(vscode.l10n.t("Rename {0}", container.name), container.name, [
    question({ prompt: vscode.l10n.t("New name of the container"), problem }),
  ]);
  if (name === undefined || name === container.name) return;
  await call(ctx, proto.containerRename, { container: container.id, name });
}

interface Commit {
  reference: string;
  message: string;
}

/** Makes an image of what a container has changed, and shows it. */
export async function commit(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node);
  if (container === undefined) return;
  const { workspaceState } = ctx.extension;
  const key = `commit ${container.image} ${container.name}`;
  const start: Commit = {
    reference: workspaceState.get<string>(key) ?? commitName(container.image, container.name),
    message: "",
  };
  const answer = await askAll(vscode.l10n.t("Commit {0} to an Image", container.name), start, [
    async (state, place) => {
      const told = await askTag(ctx, state.reference, place);
      return typeof told === "object" ? { state: { ...state, reference: told.text } } : told;
    },
    async (state, place) => {
      const prompt = vscode.l10n.t("What was changed? It stands in the image's history, and may be left empty.");
      const told = await askText({ prompt, value: state.message }, place);
      return typeof told === "object" ? { state: { ...state, message: told.text } } : told;
    },
  ]);
  if (answer === undefined) return;
  const title = vscode.l10n.t("Committing {0}", container.name);
  const made = await call(ctx, proto.containerCommit, { container: container.id, ...answer }, { title });
  if (made === undefined) return;
  const reference = made.reference ?? answer.reference;
  await workspaceState.update(key, reference);
  ctx.images.reveal(reference);
  const runIt = vscode.l10n.t("Run");
  const copy = vscode.l10n.t("Copy Tag");
  const size = formatSize(made.size, vscode.env.language);
  const message = vscode.l10n.t("Committed {0} as {1}: {2} of changes.", container.name, reference, size);
  void vscode.window.showInformationMessage(message, runIt, copy).then((chosen) => {
    if (chosen === runIt) run(ctx, reference, false);
    if (chosen === copy) void vscode.env.clipboard.writeText(reference);
  });
}

/** Shows Docker's document about a container. */
export async function inspect(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node);
  if (container !== undefined) await ctx.documents.open("container", container.id, `${container.name}.json`);
}

export async function stats(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node, alive);
  if (container !== undefined) await ctx.stats.open(container.id, container.name);
}

export async function attachShell(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node, running);
  if (container !== undefined) openSession(ctx, { kind: "shell", container: container.id, name: container.name });
}

export async function attach(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node, running);
  if (container === undefined) return;
  const { id, name, tty, interactive } = container;
  openSession(ctx, { kind: "attach", container: id, name, tty, interactive, replay: true, owned: false });
}

export async function logs(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node);
  if (container !== undefined) openSession(ctx, { kind: "logs", container: container.id, name: container.name });
}

/** Opens a published port, wherever the window is: VS Code forwards it if need be. */
export async function openInBrowser(ctx: Ctx, node: unknown): Promise<void> {
  const container = await target(ctx, node, (each) => running(each) && browserPorts(each.ports).length > 0);
  if (container === undefined) return;
  const ports = browserPorts(container.ports);
  let [port] = ports;
  if (ports.length > 1) {
    const items = ports.map((each) => ({
      label: portAddress(each),
      description: vscode.l10n.t("port {0} of the container", each.containerPort),
      each,
    }));
    port = (await vscode.window.showQuickPick(items, { placeHolder: vscode.l10n.t("Choose a port") }))?.each;
  }
  if (port === undefined) return;
  await vscode.env.openExternal(await vscode.env.asExternalUri(vscode.Uri.parse(portAddress(port))));
}

export async function copyName(node: unknown): Promise<void> {
  if (node instanceof ContainerNode) await vscode.env.clipboard.writeText(node.container.name);
}

export async function copyId(node: unknown): Promise<void> {
  if (node instanceof ContainerNode) await vscode.env.clipboard.writeText(node.containerId);
}

async function agrees(message: string, detail: string, button: string): Promise<boolean> {
  return (await vscode.window.showWarningMessage(message, { modal: true, detail }, button)) === button;
}

function names(containers: readonly proto.ContainerSummary[]): string {
  if (containers.length > 3) return vscode.l10n.t("{0} containers", containers.length);
  return containers.map(({ name }) => name).join(", ");
}

function question(asked: { prompt: string; problem: (text: string) => string | undefined }): Step<string> {
  return async (state, place) => {
    const answer = await askText({ ...asked, value: state }, place);
    return typeof answer === "object" ? { state: answer.text } : answer;
  };
}
