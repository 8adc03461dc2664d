// Registries that people connected: kept in VS Code's secret storage, and handed to the server's memory when it starts.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { registryLogin, registryLogout } from "./protocol.gen";

const SECRETS = "orlop.registries";
const NAMED = "registry.repositories";

/** A registry with its account; an empty `username` means without one. */
export interface Account {
  host: string;
  username: string;
  secret: string;
}

/** All connected registries of this person, in every window. */
export class Accounts implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscription: vscode.Disposable;
  /** Hosts whose login a running server holds. */
  private handed = new Set<string>();

  readonly onDidChange = this.changed.event;

  constructor(
    private readonly secrets: vscode.SecretStorage,
    private readonly memento: vscode.Memento,
  ) {
    this.subscription = secrets.onDidChange(({ key }) => {
      if (key === SECRETS) this.changed.fire();
    });
  }

  async list(): Promise<Account[]> {
    const text = await this.secrets.get(SECRETS);
    return text === undefined ? [] : (JSON.parse(text) as Account[]);
  }

  async find(host: string): Promise<Account | undefined> {
    return (await this.list()).find((account) => account.host === host);
  }

  /** Keeps an account, in place of an earlier one of the same registry. */
  async keep(account: Account): Promise<void> {
    const others = (await this.list()).filter(({ host }) => host !== account.host);
    await this.store([...others, account]);
  }

  async forget(host: string): Promise<void> {
    await this.store((await this.list()).filter((account) => account.host !== host));
    await this.nameRepositories(host, []);
  }

  /** Gives a server what it needs to know; it asks no registry for that. */
  async handOver(client: LanguageClient): Promise<void> {
    const accounts = (await this.list()).filter(({ username }) => username !== "");
    const hosts = new Set(accounts.map(({ host }) => host));
    for (const account of accounts) {
      await client.sendRequest(registryLogin, { ...account, remember: "memory", check: false });
    }
    for (const host of this.handed) {
      if (!hosts.has(host)) await client.sendRequest(registryLogout, { host, kept: "memory" });
    }
    this.handed = hosts;
  }

  /** Repositories that were added by name, of registries that do not list theirs. */
  namedRepositories(host: string): string[] {
    return this.memento.get<Record<string, string[]>>(NAMED, {})[host] ?? [];
  }

  async nameRepositories(host: string, names: readonly string[]): Promise<void> {
    const all = { ...this.memento.get<Record<string, string[]>>(NAMED, {}), [host]: [...new Set(names)].sort() };
    await this.memento.update(NAMED, all);
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
  }

  private async store(accounts: readonly Account[]): Promise<void> {
    if (accounts.length === 0) await this.secrets.delete(SECRETS);
    else await this.secrets.store(SECRETS, JSON.stringify(accounts));
  }
}
