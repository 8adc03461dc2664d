// Connect Registry...: which one, which account; the registry is asked before anything is kept.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { registryLogin } from "../protocol.gen";
import { askAll, askPick, askText, type Step } from "../prompts/steps";
import { asFailure, request } from "../rpc";
import { sentence } from "../util/format";
import { registryTitle, typedRegistry } from "../util/reference";

interface Login {
  host: string;
  username: string;
  secret: string;
}

interface Provider extends vscode.QuickPickItem {
  host: string | undefined;
}

/** The command. */
export async function connect(ctx: Ctx): Promise<void> {
  await ask(ctx, { host: "", username: "", secret: "" }, [askRegistry, askUser(ctx), askSecret(ctx)]);
}

/** Logs in to one registry, or changes its login; true when the registry took it. */
export async function login(ctx: Ctx, host: string): Promise<boolean> {
  const { registries } = await ctx.registries.known();
  const username = registries.find((registry) => registry.host === host)?.username ?? "";
  return ask(ctx, { host, username, secret: "" }, [askUser(ctx), askSecret(ctx)]);
}

async function ask(ctx: Ctx, start: Login, steps: readonly Step<Login>[]): Promise<boolean> {
  const title = start.host === "" ? vscode.l10n.t("Connect Registry") : registryTitle(start.host);
  const done = await askAll(title, start, steps);
  if (done === undefined) return false;
  await ctx.accounts.keep(done);
  ctx.registries.refresh();
  const message =
    done.username === ""
      ? vscode.l10n.t("Connected {0}.", registryTitle(done.host))
      : vscode.l10n.t("Logged in to {0} as {1}.", registryTitle(done.host), done.username);
  void vscode.window.showInformationMessage(message);
  return true;
}

const askRegistry: Step<Login> = async (state, place) => {
  const items: Provider[] = [
    { label: "$(cloud) Docker Hub", description: "docker.io", host: "docker.io" },
    { label: "$(github) GitHub", description: "ghcr.io", host: "ghcr.io" },
    {
      label: `$(briefcase) ${vscode.l10n.t("Another registry...")}`,
      description: vscode.l10n.t("by its address"),
      host: undefined,
    },
  ];
  const answer = await askPick(items, vscode.l10n.t("Which registry?"), items[0], place);
  if (typeof answer !== "object") return answer;
  if (answer.item.host !== undefined) return { state: { ...state, host: answer.item.host } };
  const typed = await askText(
    {
      prompt: vscode.l10n.t("Address of the registry"),
      placeholder: "registry.example.com:5000",
      value: state.host,
      problem: (text) =>
        typedRegistry(text) === undefined
          ? vscode.l10n.t("Write a host, with a port if it has one, such as registry.example.com:5000.")
          : undefined,
    },
    place,
  );
  if (typeof typed !== "object") return typed;
  return { state: { ...state, host: typedRegistry(typed.text) ?? typed.text } };
};

const askUser =
  (ctx: Ctx): Step<Login> =>
  async (state, place) => {
    const { host } = state;
    const needed = host === "docker.io" || host === "ghcr.io";
    const answer = await askText(
      {
        prompt: needed
          ? vscode.l10n.t("User name at {0}", registryTitle(host))
          : vscode.l10n.t("User name at {0}; leave it empty to connect without an account", host),
        value: state.username,
        problem: (text) => (text === "" && needed ? vscode.l10n.t("Enter the name of your account.") : undefined),
        attempt: (text) =>
          text === "" ? attempt(ctx, { host, username: "", secret: "" }) : Promise.resolve(undefined),
      },
      place,
    );
    return typeof answer === "object" ? { state: { ...state, username: answer.text } } : answer;
  };

const askSecret =
  (ctx: Ctx): Step<Login> =>
  async (state, place) => {
    if (state.username === "") return { state };
    const answer = await askText(
      {
        prompt:
          state.host === "docker.io"
            ? vscode.l10n.t("Password or access token of {0} (read and write)", state.username)
            : state.host === "ghcr.io"
              ? vscode.l10n.t("Access token of {0} (with write:packages)", state.username)
              : vscode.l10n.t("Password or access token of {0}", state.username),
        value: "",
        password: true,
        problem: (text) => (text === "" ? vscode.l10n.t("Enter a password or an access token.") : undefined),
        attempt: (secret) => attempt(ctx, { ...state, secret }),
      },
      place,
    );
    return typeof answer === "object" ? { state: { ...state, secret: answer.text } } : answer;
  };

/** What the registry says against a login; undefined when it takes it, and then the server knows it. */
async function attempt(ctx: Ctx, account: Login): Promise<string | undefined> {
  try {
    await request(ctx, registryLogin, { ...account, remember: "memory" });
    return undefined;
  } catch (error) {
    const { message, hint } = asFailure(error);
    return sentence(message, hint);
  }
}
