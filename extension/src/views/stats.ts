// What containers use, as a live text; asked for only while somebody sees it.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { SCHEME } from "../documents";
import { containerStats, containerStatsProgress, type ContainerStatsEvent } from "../protocol.gen";
import { asFailure, newToken, request } from "../rpc";
import { statsText } from "../util/stats";

const KIND = "stats";
const KEPT = 60;

interface Watch {
  looks: ContainerStatsEvent[];
  ended: boolean;
  cancel: vscode.CancellationTokenSource;
}

/** The documents of that kind, and the requests behind those that are visible. */
export class Stats implements vscode.Disposable {
  private readonly watches = new Map<string, Watch>();
  private readonly subscription: vscode.Disposable;

  constructor(private readonly ctx: () => Ctx) {
    this.subscription = vscode.window.onDidChangeVisibleTextEditors(() => {
      this.follow();
    });
  }

  /** Shows what a container uses. */
  async open(container: string, name: string): Promise<void> {
    const { documents } = this.ctx();
    documents.register(KIND, (id) => Promise.resolve(this.text(id)));
    await documents.open(KIND, container, vscode.l10n.t("{0} (use)", name));
    this.follow();
  }

  dispose(): void {
    this.subscription.dispose();
    for (const watch of this.watches.values()) watch.cancel.cancel();
    this.watches.clear();
  }

  private text(id: string): string {
    const watch = this.watches.get(id);
    if (watch?.ended === true) return vscode.l10n.t("The container does not run.");
    return statsText(watch?.looks ?? [], vscode.env.language, vscode.l10n.t);
  }

  /** Begins with what came into sight, and ends with what went out of it. */
  private follow(): void {
    const seen = vscode.window.visibleTextEditors
      .map(({ document }) => document.uri)
      .filter(({ scheme, authority }) => scheme === SCHEME && authority === KIND);
    const wanted = new Set(seen.map(({ query }) => query));
    for (const [id, watch] of this.watches) {
      if (wanted.has(id)) continue;
      watch.cancel.cancel();
      this.watches.delete(id);
    }
    for (const uri of seen) if (!this.watches.has(uri.query)) void this.watch(uri);
  }

  private async watch(uri: vscode.Uri): Promise<void> {
    const watch: Watch = { looks: [], ended: false, cancel: new vscode.CancellationTokenSource() };
    this.watches.set(uri.query, watch);
    const ctx = this.ctx();
    const token = newToken();
    let listener: vscode.Disposable | undefined;
    try {
      const client = await ctx.server.client();
      listener = client.onProgress(containerStatsProgress, token, (looks) => {
        watch.looks = [...watch.looks, ...looks].slice(-KEPT);
        ctx.documents.refresh(uri);
      });
      const params = { containers: [uri.query], partialResultToken: token };
      await request(ctx, containerStats, params, watch.cancel.token);
      watch.ended = true;
    } catch (error) {
      const failure = asFailure(error);
      if (!failure.cancelled) ctx.log.warn(`stats: ${failure.message}`);
      watch.ended = !failure.cancelled;
    } finally {
      listener?.dispose();
      if (watch.ended) ctx.documents.refresh(uri);
    }
  }
}
