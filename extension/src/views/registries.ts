// The Registries view: what people connected and what Docker's settings know, listed only when somebody opens it.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { registryList, type RegistryInfo } from "../protocol.gen";
import { request } from "../rpc";
import { registryOf } from "../util/reference";
import { Provider, type Node } from "./provider";
import { RegistryNode } from "./registryNodes";

/** The view. */
export class RegistriesView implements vscode.Disposable {
  private readonly provider = new Provider<RegistryNode>(() => this.list());
  private readonly view: vscode.TreeView<Node>;
  private roots: RegistryNode[] = [];

  constructor(private readonly ctx: () => Ctx) {
    this.view = vscode.window.createTreeView("orlop.registries", {
      treeDataProvider: this.provider,
      showCollapseAll: true,
    });
  }

  /** Everything, or one row with what is under it. */
  refresh(node?: Node): void {
    this.provider.refresh(node);
  }

  /** A name was pushed: lists its registry again if it is on the screen. */
  arrived(reference: string): void {
    const host = registryOf(reference);
    const node = this.roots.find(({ info }) => info.host === host);
    if (node !== undefined && this.view.visible) this.refresh(node);
  }

  /** All registries with a login, and those that were connected without one; no registry is asked. */
  async known(): Promise<{ registries: RegistryInfo[]; connected: Set<string> }> {
    const { registries } = await request(this.ctx(), registryList, {});
    const connected = new Set((await this.ctx().accounts.list()).map(({ host }) => host));
    const listed = new Set(registries.map(({ host }) => host));
    const others = [...connected].filter((host) => !listed.has(host)).sort();
    const more = others.map((host): RegistryInfo => ({ host, username: null, source: "", kept: "" }));
    return { registries: [...registries, ...more], connected };
  }

  dispose(): void {
    this.view.dispose();
    this.provider.dispose();
  }

  private async list(): Promise<RegistryNode[]> {
    const ctx = this.ctx();
    try {
      const { registries, connected } = await this.known();
      // Docker Hub is known everywhere, but without an account it lists nothing.
      const shown = registries.filter(
        ({ host, username }) => host !== "docker.io" || username !== null || connected.has(host),
      );
      this.roots = shown.map((info) => new RegistryNode(ctx, info, connected.has(info.host)));
    } catch (error) {
      ctx.log.warn(`registries: ${error instanceof Error ? error.message : String(error)}`);
      this.roots = [];
    }
    return this.roots;
  }
}
