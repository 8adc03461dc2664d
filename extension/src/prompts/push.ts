// Asks what to push: the image's own tag first, then its other tags, all of them, or a name that is typed.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { imagePushPlan, type ImagePushPlanResult } from "../protocol.gen";
import { asFailure, request } from "../rpc";
import { formatSize, sentence } from "../util/format";
import { familiar, isBare, quickProblem, registryOf, registryTitle, saysWhich } from "../util/reference";
import type { ImageNode } from "../views/images";
import { unsorted } from "./steps";

/** What to push: the image `reference`, under another name if there is a `target`. */
export interface PushChoice {
  reference: string;
  target: string | null;
  allTags: boolean;
  /** For people. */
  name: string;
}

interface PushItem extends vscode.QuickPickItem {
  choice?: PushChoice;
}

const PAUSE_MS = 200;

/** The choice; Enter at once takes the tag that was clicked. */
export async function askPush(ctx: Ctx, image: ImageNode): Promise<PushChoice | undefined> {
  const accounts = await knownAccounts(ctx);
  const offered = offers(image, accounts);
  const pick = unsorted(vscode.window.createQuickPick<PushItem>());
  pick.title = vscode.l10n.t("Push Image");
  pick.placeholder = vscode.l10n.t("Press Enter to push, or type another name to push it as");
  pick.ignoreFocusOut = true;
  pick.matchOnDescription = false;
  const plans = new Plans(ctx);
  let typed: PushItem | undefined;
  const show = (active: PushItem | undefined): void => {
    pick.items = typed === undefined ? offered : [typed, ...offered];
    pick.activeItems = active !== undefined && pick.items.includes(active) ? [active] : typed ? [typed] : [];
  };
  const explain = async (): Promise<void> => {
    const [item] = pick.activeItems;
    if (item?.choice === undefined || item.choice.allTags || item.detail !== undefined) return;
    pick.busy = true;
    item.detail = await plans.detail(item.choice);
    pick.busy = false;
    if (pick.items.includes(item)) show(pick.activeItems[0]);
  };
  let pause: NodeJS.Timeout | undefined;
  show(offered[0]);
  pick.activeItems = offered.slice(0, 1);
  const chosen = await new Promise<PushChoice | undefined>((resolve) => {
    pick.onDidChangeValue((value) => {
      typed = typedItem(image, value.trim(), accounts);
      show(undefined);
    });
    pick.onDidChangeActive(() => {
      clearTimeout(pause);
      pause = setTimeout(() => void explain(), PAUSE_MS);
    });
    pick.onDidAccept(() => {
      const choice = pick.activeItems[0]?.choice;
      if (choice !== undefined) resolve(choice);
    });
    pick.onDidHide(() => {
      resolve(undefined);
    });
    pick.show();
    void explain();
  });
  clearTimeout(pause);
  plans.dispose();
  pick.dispose();
  return chosen;
}

/** User names by registry, as the server would show them; empty for those connected without an account. */
async function knownAccounts(ctx: Ctx): Promise<Map<string, string>> {
  const { registries, connected } = await ctx.registries.known();
  return new Map(
    registries
      .filter(({ host, username }) => username !== null || connected.has(host))
      .map(({ host, username }) => [host, username ?? ""]),
  );
}

function offers(image: ImageNode, accounts: ReadonlyMap<string, string>): PushItem[] {
  const { t } = vscode.l10n;
  const items: PushItem[] = [];
  const { tag } = image;
  if (tag !== undefined) {
    items.push(item(image, tag.fullTag, null, accounts));
    const others = image.image.tags.filter((other) => other.reference !== tag.reference);
    if (others.length > 0)
      items.push({ label: t("Other tags of this image"), kind: vscode.QuickPickItemKind.Separator });
    items.push(
      ...others.map((other) => ({ ...item(image, other.fullTag, null, accounts), choice: own(other.fullTag) })),
    );
    const siblings = new Set(image.parent.images.map((sibling) => sibling.tag?.tag));
    if (siblings.size > 1) {
      const repository = familiar(tag.repository);
      items.push({
        label: `$(versions) ${t("All {0} tags of {1}", siblings.size, repository)}`,
        description: place(tag.repository, accounts),
        choice: { reference: tag.repository, target: null, allTags: true, name: repository },
      });
    }
  }
  if (tag === undefined || isBare(tag.reference)) {
    const rest = tag?.tag ?? "latest";
    const path = tag === undefined ? image.image.shortId : familiar(tag.repository);
    const targets = [...accounts].map(([host, username]) => {
      const home = host === "docker.io" || host === "ghcr.io" ? `${host}/${username.toLowerCase()}` : host;
      return `${home}/${path}:${rest}`;
    });
    if (targets.length > 0) items.push({ label: t("Push as"), kind: vscode.QuickPickItemKind.Separator });
    items.push(...targets.map((target) => item(image, familiar(target), target, accounts)));
  }
  return items;
}

function own(name: string): PushChoice {
  return { reference: name, target: null, allTags: false, name };
}

function item(image: ImageNode, name: string, target: string | null, accounts: ReadonlyMap<string, string>): PushItem {
  return {
    label: `$(cloud-upload) ${name}`,
    description: place(target ?? name, accounts),
    choice: { reference: image.name, target, allTags: false, name },
  };
}

/** The registry and the account of a name. */
function place(name: string, accounts: ReadonlyMap<string, string>): string {
  const host = registryOf(name);
  const username = accounts.get(host);
  const title = registryTitle(host);
  if (username === "") return vscode.l10n.t("{0}, without an account", title);
  return username === undefined
    ? vscode.l10n.t("{0}, not logged in", title)
    : vscode.l10n.t("{0} as {1}", title, username);
}

/** A name that is typed is one more thing to push as, once it looks right. */
function typedItem(image: ImageNode, text: string, accounts: ReadonlyMap<string, string>): PushItem | undefined {
  if (text === "" || quickProblem(text, vscode.l10n.t) !== undefined || image.tag?.fullTag === text) return undefined;
  const target = saysWhich(text) ? text : `${text}:latest`;
  const made = item(image, target, target, accounts);
  return { ...made, label: `$(cloud-upload) ${vscode.l10n.t("Push as {0}", target)}`, alwaysShow: true };
}

/** What the registries said of pushes that were looked at. */
class Plans implements vscode.Disposable {
  private readonly texts = new Map<string, Promise<string>>();
  private readonly cancel = new vscode.CancellationTokenSource();

  constructor(private readonly ctx: Ctx) {}

  detail({ reference, target }: PushChoice): Promise<string> {
    const key = `${reference} ${target ?? ""}`;
    const text = this.texts.get(key) ?? this.ask(reference, target);
    this.texts.set(key, text);
    return text;
  }

  dispose(): void {
    this.cancel.cancel();
    this.cancel.dispose();
  }

  private async ask(reference: string, target: string | null): Promise<string> {
    try {
      return told(await request(this.ctx, imagePushPlan, { reference, target }, this.cancel.token));
    } catch (error) {
      const { message, kind } = asFailure(error);
      const login = kind === "registry-unauthorized" || kind === "registry-denied";
      return `$(${login ? "key" : "warning"}) ${sentence(message, null)}`;
    }
  }
}

/** How much travels. */
function told({ upload, size, exact, layers }: ImagePushPlanResult): string {
  const { t } = vscode.l10n;
  const { language } = vscode.env;
  const there = layers.filter((layer) => layer.exists).length;
  if (upload === 0) return t("Nothing to upload: the registry has all {0} layers.", layers.length);
  const bytes = formatSize(upload, language);
  const amount = exact ? t("{0} to upload", bytes) : t("At most {0} to upload", bytes);
  if (there === 0)
    return layers.length === 1 ? t("{0} in 1 layer.", amount) : t("{0} in {1} layers.", amount, layers.length);
  return t("{0} of {1}; the registry has {2} of {3} layers.", amount, formatSize(size, language), there, layers.length);
}
