// Build Image...: which Dockerfile, a few questions, a terminal that shows the build, and the failing line if there is one.

import * as path from "node:path";
import * as vscode from "vscode";
import { buildConfig } from "../config";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { isSecret, requiredArgs } from "../prompts/args";
import { askBuildArg } from "../prompts/buildArgs";
import { askAll, type Step } from "../prompts/steps";
import { askTag } from "../prompts/tag";
import { askTarget } from "../prompts/target";
import { asFailure, call, showError, type Failure } from "../rpc";
import { BuildText } from "../terminal/buildText";
import type { OutputTerminal } from "../terminal/output";
import { DOCKERFILE_GLOB, DOCKERFILE_NAME } from "../util/dockerfile";
import { formatSeconds, sentence } from "../util/format";
import { run } from "./sessions";
import { openTerminal, showTerminal, stream } from "./stream";

/** What a person decided; kept for the next build of the same Dockerfile. */
interface Decisions {
  tag: string;
  target: string | null;
  args: Record<string, string>;
}

const MOST_DOCKERFILES = 1000;

/** The command. `clicked` comes from a menu; without it the editor or the workspace is asked. */
export async function build(ctx: Ctx, clicked?: vscode.Uri): Promise<void> {
  const dockerfile = clicked instanceof vscode.Uri ? clicked : await chooseDockerfile();
  if (dockerfile === undefined) return;
  await saved(dockerfile);
  const description = await call(ctx, proto.dockerfileDescribe, { path: dockerfile.fsPath });
  if (description === undefined) return;
  const decisions = await decide(ctx, dockerfile, description);
  if (decisions !== undefined) await runBuild(ctx, dockerfile, description.context, decisions);
}

async function chooseDockerfile(): Promise<vscode.Uri | undefined> {
  const active = vscode.window.activeTextEditor?.document;
  if (active?.uri.scheme === "file" && isDockerfile(active)) return active.uri;
  const found = await vscode.workspace.findFiles(DOCKERFILE_GLOB, "**/node_modules/**", MOST_DOCKERFILES);
  if (found.length === 1) return found[0];
  if (found.length === 0) {
    const chosen = await vscode.window.showOpenDialog({
      title: vscode.l10n.t("Choose a Dockerfile"),
      openLabel: vscode.l10n.t("Build"),
    });
    return chosen?.[0];
  }
  const items = found
    .map((uri) => ({ label: vscode.workspace.asRelativePath(uri), uri }))
    .sort((a, b) => a.label.localeCompare(b.label));
  return (await vscode.window.showQuickPick(items, { placeHolder: vscode.l10n.t("Choose a Dockerfile to build") }))
    ?.uri;
}

function isDockerfile(document: vscode.TextDocument): boolean {
  return document.languageId === "dockerfile" || DOCKERFILE_NAME.test(path.basename(document.uri.fsPath));
}

/** A build reads the disk: what the editor holds goes there first. */
async function saved(uri: vscode.Uri): Promise<void> {
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  if (open?.isDirty === true) await open.save();
}

/** Asks for the tag, then only for what this file needs. */
async function decide(
  ctx: Ctx,
  dockerfile: vscode.Uri,
  description: proto.DockerfileDescribeResult,
): Promise<Decisions | undefined> {
  const memory = ctx.extension.workspaceState;
  const key = `build:${dockerfile.fsPath}`;
  const before = memory.get<Decisions>(key);
  const names = requiredArgs(description.args);
  const steps: Step<Decisions>[] = [
    async (state, place) => {
      const answer = await askTag(ctx, state.tag, place);
      return typeof answer === "object" ? { state: { ...state, tag: answer.text } } : answer;
    },
  ];
  if (description.stages.length > 1) {
    steps.push(async (state, place) => {
      const answer = await askTarget(description.stages, state.target, place);
      return typeof answer === "object" ? { state: { ...state, target: answer.target } } : answer;
    });
  }
  for (const name of names) {
    steps.push(async (state, place) => {
      const answer = await askBuildArg(name, state.args[name], place);
      if (typeof answer !== "object") return answer;
      return { state: { ...state, args: { ...state.args, [name]: answer.text } } };
    });
  }
  const start: Decisions = {
    tag: before?.tag ?? description.defaultTag,
    target: description.stages.length > 1 ? (before?.target ?? null) : null,
    args: Object.fromEntries(Object.entries(before?.args ?? {}).filter(([name]) => names.includes(name))),
  };
  const decisions = await askAll(vscode.l10n.t("Build Image"), start, steps);
  if (decisions === undefined) return undefined;
  const open = Object.entries(decisions.args).filter(([name]) => !isSecret(name));
  await memory.update(key, { ...decisions, args: Object.fromEntries(open) });
  return decisions;
}

async function runBuild(ctx: Ctx, dockerfile: vscode.Uri, context: string, decisions: Decisions): Promise<void> {
  const text = new BuildText(vscode.env.language, vscode.l10n.t);
  const screen = openTerminal(vscode.l10n.t("Build {0}", decisions.tag), "package");
  const steps = new Map<number, proto.StepInfo>();
  let failedLine: number | undefined;
  const show = (event: proto.ImageBuildEvent): void => {
    if (event.kind === "started") for (const step of event.steps) steps.set(step.id, step);
    if (event.kind === "step-failed") failedLine = event.location?.range.startLine ?? steps.get(event.id)?.line;
    text.columns = screen.columns ?? text.columns;
    screen.write(text.add(event));
  };
  ctx.problems.delete(dockerfile);
  screen.write(text.begin(decisions.tag, vscode.workspace.asRelativePath(dockerfile)));
  try {
    const { tag, target, args: buildArgs } = decisions;
    const result = await stream(
      ctx,
      screen,
      vscode.l10n.t("Building {0}", tag),
      { request: proto.imageBuild, progress: proto.imageBuildProgress },
      { context, dockerfile: dockerfile.fsPath, tags: [tag], target, buildArgs, ...buildConfig(dockerfile) },
      (events) => {
        events.forEach(show);
      },
    );
    screen.write(text.succeeded(result));
    screen.finish();
    ctx.images.reveal(result.tags[0] ?? result.id);
    await offerNext(ctx, decisions.tag, result);
  } catch (error) {
    const failure = asFailure(error);
    if (failure.cancelled) screen.write(text.cancelled());
    else screen.write(text.failed({ ...plain(failure), place: place(dockerfile, failure, failedLine) }));
    screen.finish();
    if (failure.cancelled) return;
    mark(ctx, dockerfile, failure, failedLine);
    await showFailure(ctx, error, failure, screen);
  }
}

/** Puts the failing instruction among the problems. */
function mark(ctx: Ctx, dockerfile: vscode.Uri, failure: Failure, failedLine: number | undefined): void {
  const range = failure.location?.range;
  const line = failedLine ?? 0;
  const place = range
    ? new vscode.Range(...start(range), ...end(range))
    : new vscode.Range(line, 0, line, Number.MAX_SAFE_INTEGER);
  const uri = failure.location === null ? dockerfile : vscode.Uri.file(failure.location.path);
  const diagnostic = new vscode.Diagnostic(place, sentence(failure.message, failure.hint));
  diagnostic.source = "orlop";
  diagnostic.code = failure.kind;
  ctx.problems.set(uri, [diagnostic]);
}

function start({ startLine, startColumn }: proto.TextRange): [number, number] {
  return [startLine, startColumn];
}

/** A range that ends at the start of a line ends, for people, at the end of the line before. */
function end({ startLine, endLine, endColumn }: proto.TextRange): [number, number] {
  return endColumn === 0 && endLine > startLine ? [endLine - 1, Number.MAX_SAFE_INTEGER] : [endLine, endColumn];
}

function plain({ message, hint }: Failure): { message: string; hint: string | null } {
  return { message, hint };
}

function place(dockerfile: vscode.Uri, failure: Failure, failedLine: number | undefined): string | undefined {
  const line = failure.location?.range.startLine ?? failedLine;
  return line === undefined ? undefined : `${failure.location?.path ?? dockerfile.fsPath}:${line + 1}`;
}

async function showFailure(ctx: Ctx, error: unknown, failure: Failure, screen: OutputTerminal): Promise<void> {
  if (failure.kind !== "build-failed" && failure.kind !== "run-failed") return showError(ctx, error);
  ctx.log.error(failure.detail === null ? failure.message : `${failure.message}\n${failure.detail}`);
  const terminal = vscode.l10n.t("Show Terminal");
  const problems = vscode.l10n.t("Show Problem");
  const chosen = await vscode.window.showErrorMessage(sentence(failure.message, failure.hint), terminal, problems);
  if (chosen === terminal) showTerminal(screen);
  if (chosen === problems) await vscode.commands.executeCommand("workbench.actions.view.problems");
}

async function offerNext(ctx: Ctx, tag: string, result: proto.BuildResult): Promise<void> {
  const runIt = vscode.l10n.t("Run");
  const copy = vscode.l10n.t("Copy Tag");
  const message = vscode.l10n.t("Built {0} in {1}.", tag, formatSeconds(result.seconds));
  const chosen = await vscode.window.showInformationMessage(message, runIt, copy);
  if (chosen === runIt) run(ctx, tag, false);
  if (chosen === copy) await vscode.env.clipboard.writeText(tag);
}
