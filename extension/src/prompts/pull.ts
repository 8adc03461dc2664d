// Asks what to pull: Docker Hub is searched while one types, any full name is taken as it is, then its tag.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { registrySearch, registryTags, type SearchHit } from "../protocol.gen";
import { asFailure, request } from "../rpc";
import { sentence } from "../util/format";
import { compareTags, familiar, quickProblem, registryOf, saysWhich } from "../util/reference";
import { unsorted } from "./steps";

interface PullItem extends vscode.QuickPickItem {
  /** Pulls this name as it is… */
  reference?: string;
  /** …or asks for a tag of this repository… */
  repository?: string;
  /** …or loads more tags. */
  more?: boolean;
}

const PAUSE_MS = 300;
const HITS = 25;
const PAGE = 1000;

/** The name to pull. */
export async function askPull(ctx: Ctx): Promise<string | undefined> {
  let typed = "";
  for (;;) {
    const found = await askName(ctx, typed);
    if (found === undefined) return undefined;
    typed = found.typed;
    if (found.item.reference !== undefined) return found.item.reference;
    const tagged = await askRemoteTag(ctx, found.item.repository ?? "", true);
    if (tagged !== "back") return tagged?.reference;
  }
}

function askName(ctx: Ctx, start: string): Promise<{ item: PullItem; typed: string } | undefined> {
  const pick = unsorted(vscode.window.createQuickPick<PullItem>());
  pick.title = vscode.l10n.t("Pull Image");
  pick.placeholder = vscode.l10n.t("Search Docker Hub, or type a full name such as registry.example/team/app:1");
  pick.value = start;
  pick.ignoreFocusOut = true;
  let pause: NodeJS.Timeout | undefined;
  let asked: vscode.CancellationTokenSource | undefined;
  let hits: PullItem[] = [];
  const show = (): void => {
    pick.items = [...typedItems(pick.value.trim()), ...hits];
  };
  const find = async (): Promise<void> => {
    const term = pick.value.trim();
    const source = new vscode.CancellationTokenSource();
    asked = source;
    pick.busy = true;
    const items = await searched(ctx, term, source.token);
    if (asked !== source) return;
    pick.busy = false;
    hits = items;
    show();
  };
  const changed = (): void => {
    clearTimeout(pause);
    asked?.cancel();
    asked = undefined;
    pick.busy = false;
    if (searchable(pick.value.trim())) pause = setTimeout(() => void find(), PAUSE_MS);
    else hits = [];
    show();
  };
  changed();
  return new Promise((resolve) => {
    const end = (answer: { item: PullItem; typed: string } | undefined): void => {
      clearTimeout(pause);
      asked?.cancel();
      resolve(answer);
      pick.dispose();
    };
    pick.onDidChangeValue(changed);
    pick.onDidAccept(() => {
      const [item] = pick.activeItems;
      if (item?.reference !== undefined || item?.repository !== undefined) end({ item, typed: pick.value });
    });
    pick.onDidHide(() => {
      end(undefined);
    });
    pick.show();
  });
}

/** A name of Docker Hub without a tag can be searched for. */
function searchable(text: string): boolean {
  return text.length >= 2 && !saysWhich(text) && registryOf(`${text}/`) === "docker.io" && !/\s/.test(text);
}

function typedItems(text: string): PullItem[] {
  if (text === "") return [];
  const problem = quickProblem(text, vscode.l10n.t);
  if (problem !== undefined) return [{ label: `$(info) ${problem}`, alwaysShow: true }];
  if (saysWhich(text)) {
    return [{ label: `$(cloud-download) ${vscode.l10n.t("Pull {0}", text)}`, reference: text, alwaysShow: true }];
  }
  return [
    {
      label: `$(cloud-download) ${vscode.l10n.t("Pull {0}", `${text}:latest`)}`,
      reference: `${text}:latest`,
      alwaysShow: true,
    },
    {
      label: `$(bookmark) ${vscode.l10n.t("Choose a tag of {0}...", text)}`,
      repository: text,
      alwaysShow: true,
    },
  ];
}

async function searched(ctx: Ctx, term: string, token: vscode.CancellationToken): Promise<PullItem[]> {
  const separator = { label: "Docker Hub", kind: vscode.QuickPickItemKind.Separator };
  try {
    const { results } = await request(ctx, registrySearch, { term, limit: HITS }, token);
    if (results.length === 0) return [separator, { label: vscode.l10n.t("Nothing found"), alwaysShow: true }];
    return [separator, ...results.map(hit)];
  } catch (error) {
    const failure = asFailure(error);
    if (failure.cancelled) return [];
    const label = `$(warning) ${vscode.l10n.t("Docker Hub cannot be searched now")}`;
    return [separator, { label, detail: sentence(failure.message, failure.hint), alwaysShow: true }];
  }
}

function hit({ name, description, stars, official }: SearchHit): PullItem {
  const count = new Intl.NumberFormat(vscode.env.language, { notation: "compact" }).format(stars);
  return {
    label: `$(repo) ${familiar(name)}`,
    description: [...(official ? [vscode.l10n.t("official")] : []), `★ ${count}`].join(" · "),
    ...(description === "" ? {} : { detail: description.replaceAll(/\s+/g, " ") }),
    repository: name,
    alwaysShow: true,
  };
}

/** A tag of a repository, as a full name; `back` only where there is something to go back to. */
export async function askRemoteTag(
  ctx: Ctx,
  repository: string,
  canGoBack: boolean,
): Promise<{ reference: string } | "back" | undefined> {
  const pick = unsorted(vscode.window.createQuickPick<PullItem>());
  pick.title = vscode.l10n.t("Pull {0}", familiar(repository));
  pick.placeholder = vscode.l10n.t("Choose a tag, or type one");
  pick.ignoreFocusOut = true;
  if (canGoBack) pick.buttons = [vscode.QuickInputButtons.Back];
  let tags: string[] = [];
  let cursor: string | null = null;
  let trouble: PullItem | undefined;
  const show = (): void => {
    const typed = pick.value.trim();
    const name = `${repository}:${typed}`;
    const own =
      typed === "" || tags.includes(typed) || quickProblem(name, vscode.l10n.t) !== undefined
        ? []
        : [
            {
              label: `$(cloud-download) ${vscode.l10n.t("Pull {0}", familiar(name))}`,
              reference: name,
              alwaysShow: true,
            },
          ];
    const more = cursor === null ? [] : [{ label: vscode.l10n.t("Load more…"), more: true, alwaysShow: true }];
    const listed = tags.map((tag) => ({ label: `$(bookmark) ${tag}`, reference: `${repository}:${tag}` }));
    pick.items = [...own, ...(trouble === undefined ? [] : [trouble]), ...listed, ...more];
  };
  const load = async (): Promise<void> => {
    pick.busy = true;
    try {
      const page: { tags: string[]; cursor: string | null } = await request(ctx, registryTags, {
        repository,
        cursor,
        limit: PAGE,
      });
      cursor = page.cursor;
      tags = [...new Set([...tags, ...page.tags])].sort(compareTags);
    } catch (error) {
      const failure = asFailure(error);
      trouble = {
        label: `$(warning) ${vscode.l10n.t("The tags cannot be listed")}`,
        detail: sentence(failure.message, failure.hint),
        alwaysShow: true,
      };
    }
    pick.busy = false;
    show();
  };
  void load();
  return new Promise((resolve) => {
    const end = (answer: { reference: string } | "back" | undefined): void => {
      resolve(answer);
      pick.dispose();
    };
    pick.onDidChangeValue(show);
    pick.onDidTriggerButton(() => {
      end("back");
    });
    pick.onDidAccept(() => {
      const [item] = pick.activeItems;
      if (item?.more === true) void load();
      else if (item?.reference !== undefined) end({ reference: item.reference });
    });
    pick.onDidHide(() => {
      end(undefined);
    });
    pick.show();
  });
}
