// What can be done in the Registries view: look closer, copy, delete, test, disconnect, add and create repositories.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { askAll, askPick, askText } from "../prompts/steps";
import { asFailure, call, request, showError, withNotification } from "../rpc";
import { familiar, quickProblem, registryTitle } from "../util/reference";
import { MoreNode, RegistryNode, RemoteRepositoryNode, RemoteTagNode, TroubleNode } from "../views/registryNodes";
import { login } from "./connect";
import { recovered } from "./push";

const MOST_NAMES = 12;

/** The registry that a row belongs to. */
function registry(node: unknown): RegistryNode | undefined {
  if (node instanceof RegistryNode) return node;
  if (node instanceof RemoteRepositoryNode) return node.parent;
  return node instanceof TroubleNode ? registry(node.parent) : undefined;
}

export async function edit(ctx: Ctx, node: unknown): Promise<void> {
  const found = registry(node);
  if (found !== undefined) await login(ctx, found.info.host);
}

export function refresh(ctx: Ctx, node: unknown): void {
  if (node instanceof TroubleNode) ctx.registries.refresh(node.parent);
  else if (node instanceof RegistryNode || node instanceof RemoteRepositoryNode) ctx.registries.refresh(node);
  else ctx.registries.refresh();
}

/** Loads the next page of a list. */
export async function more(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof MoreNode)) return;
  await node.parent.pages.more();
  ctx.registries.refresh(node.parent);
}

/** Asks the registry whether it still takes the account that is kept. */
export async function test(ctx: Ctx, node: unknown): Promise<void> {
  const found = registry(node);
  if (found === undefined) return;
  const { host } = found.info;
  const account = (await ctx.accounts.find(host)) ?? { host, username: "", secret: "" };
  const title = vscode.l10n.t("Testing {0}", found.title);
  try {
    const result = await withNotification(title, false, () =>
      request(ctx, proto.registryLogin, { ...account, remember: "memory" }),
    );
    const message =
      result.username === ""
        ? vscode.l10n.t("{0} answers.", found.title)
        : vscode.l10n.t("{0} accepts the login of {1}.", found.title, result.username);
    void vscode.window.showInformationMessage(message);
  } catch (error) {
    await recovered(ctx, asFailure(error), `${host}/`);
  }
}

export async function disconnect(ctx: Ctx, node: unknown): Promise<void> {
  const found = registry(node);
  if (found === undefined) return;
  const { host, kept, source } = found.info;
  const button = vscode.l10n.t("Disconnect");
  const detail =
    kept === "file"
      ? vscode.l10n.t("Its login is removed from {0}, and other programs cannot use it any more.", source)
      : vscode.l10n.t("Its login is forgotten; images stay where they are.");
  const question = vscode.l10n.t("Disconnect {0}?", found.title);
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, button)) !== button) return;
  await ctx.accounts.forget(host);
  await request(ctx, proto.registryLogout, { host, kept: kept === "file" ? "file" : "memory" });
  ctx.registries.refresh();
}

/** Lists a repository of a registry that does not list its own. */
export async function addRepository(ctx: Ctx, node: unknown): Promise<void> {
  const found = registry(node);
  if (found === undefined) return;
  const { host } = found.info;
  const prefix = `${host}/`;
  const answer = await askText(
    {
      prompt: vscode.l10n.t("Name of the repository at {0}", found.title),
      placeholder: "team/app",
      value: "",
      problem: (text) => quickProblem(`${prefix}${text.replace(prefix, "")}`, vscode.l10n.t),
    },
    { title: vscode.l10n.t("Add Repository"), step: 1, total: 1 },
  );
  if (typeof answer !== "object") return;
  const name = answer.text.replace(prefix, "").replace(/[:@].*$/, "");
  await ctx.accounts.nameRepositories(host, [...ctx.accounts.namedRepositories(host), name]);
  ctx.registries.refresh(found);
}

/** Lists a repository no more that was added by name. */
export async function hideRepository(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof RemoteRepositoryNode)) return;
  const { host } = node.parent.info;
  const others = ctx.accounts.namedRepositories(host).filter((name) => `${host}/${name}` !== node.name);
  await ctx.accounts.nameRepositories(host, others);
  ctx.registries.refresh(node.parent);
}

/** A repository at Docker Hub, with its description and who may see it. */
export async function createRepository(ctx: Ctx, node: unknown): Promise<void> {
  const found = registry(node);
  if (found === undefined) return;
  const visibilities = [
    { label: `$(globe) ${vscode.l10n.t("Public")}`, description: vscode.l10n.t("everybody may pull"), hidden: false },
    { label: `$(lock) ${vscode.l10n.t("Private")}`, description: vscode.l10n.t("only your account"), hidden: true },
  ];
  const start = { name: `${found.info.username ?? ""}/`, description: "", hidden: false };
  const answers = await askAll(vscode.l10n.t("Create Repository"), start, [
    async (state, place) => {
      const problem = (text: string): string | undefined => quickProblem(text, vscode.l10n.t);
      const answer = await askText(
        {
          prompt: vscode.l10n.t("Name of the new repository"),
          value: state.name,
          selection: tail(state.name),
          problem,
        },
        place,
      );
      return typeof answer === "object" ? { state: { ...state, name: answer.text } } : answer;
    },
    async (state, place) => {
      const prompt = vscode.l10n.t("Description (may be empty)");
      const answer = await askText({ prompt, value: state.description }, place);
      return typeof answer === "object" ? { state: { ...state, description: answer.text } } : answer;
    },
    async (state, place) => {
      const question = vscode.l10n.t("Who may see it?");
      const answer = await askPick(visibilities, question, visibilities[0], place);
      return typeof answer === "object" ? { state: { ...state, hidden: answer.item.hidden } } : answer;
    },
  ]);
  if (answers === undefined) return;
  const { name, description, hidden } = answers;
  const made = await call(ctx, proto.registryCreateRepository, { name, description, private: hidden });
  if (made === undefined) return;
  ctx.registries.refresh(found);
  void vscode.window.showInformationMessage(vscode.l10n.t("Created repository {0}.", familiar(made.repository)));
}

function tail(text: string): [number, number] {
  return [text.length, text.length];
}

export async function copyName(node: unknown): Promise<void> {
  if (node instanceof RemoteTagNode) await vscode.env.clipboard.writeText(node.fullTag);
  if (node instanceof RemoteRepositoryNode) await vscode.env.clipboard.writeText(familiar(node.name));
}

export async function copyDigest(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof RemoteTagNode)) return;
  const { digest } = await request(ctx, proto.registryManifest, { reference: node.reference });
  await vscode.env.clipboard.writeText(digest);
  vscode.window.setStatusBarMessage(vscode.l10n.t("Copied {0}", digest), 5000);
}

export async function inspect(ctx: Ctx, node: unknown): Promise<void> {
  if (node instanceof RemoteTagNode) await ctx.documents.open("manifest", node.reference, `${node.fullTag}.json`);
}

/** Deletes a tag after a question that tells what it means; once more where other tags would go with it. */
export async function deleteTag(ctx: Ctx, node: unknown): Promise<void> {
  if (!(node instanceof RemoteTagNode)) return;
  const { reference, fullTag } = node;
  const { t } = vscode.l10n;
  try {
    const { digest, kept } = await request(ctx, proto.registryDeleteTag, { reference, dryRun: true });
    const place = registryTitle(node.parent.parent.info.host);
    const stays = kept.length > 0 ? [t("The image stays under its other tags: {0}", shortened(kept))] : [];
    const last = kept.length > 0 ? [] : [t("It is the image's only tag; the image goes with it.")];
    const detail = [t("Digest: {0}", digest), "", ...stays, ...last, t("This cannot be undone.")];
    if (!(await sure(t("Delete {0} from {1}?", fullTag, place), detail, t("Delete")))) return;
    try {
      await request(ctx, proto.registryDeleteTag, { reference });
    } catch (error) {
      if (asFailure(error).kind !== "conflict") throw error;
      const question = t("{0} cannot delete {1} alone. Delete the image with all its tags?", place, node.tag);
      if (!(await sure(question, [shortened([node.tag, ...kept])], t("Delete All {0} Tags", kept.length + 1)))) return;
      await request(ctx, proto.registryDeleteTag, { reference, force: true });
    }
    ctx.registries.refresh(node.parent);
  } catch (error) {
    await showError(ctx, error);
  }
}

async function sure(question: string, lines: readonly string[], button: string): Promise<boolean> {
  const options = { modal: true, detail: lines.join("\n") };
  return (await vscode.window.showWarningMessage(question, options, button)) === button;
}

/** The first names in order, and how many more there are. */
function shortened(names: readonly string[]): string {
  const first = [...names].sort().slice(0, MOST_NAMES).join(", ");
  const rest = names.length - MOST_NAMES;
  return rest > 0 ? `${first}, ${vscode.l10n.t("and {0} more", rest)}` : first;
}
