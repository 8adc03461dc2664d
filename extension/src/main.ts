// Activation: the parts are made and connected here, and every command is bound.

import * as vscode from "vscode";
import { Accounts } from "./accounts";
import { NoServer, Server, explainNoServer } from "./client";
import { build } from "./commands/build";
import { connect as connectRegistry } from "./commands/connect";
import * as files from "./commands/containerFiles";
import * as containers from "./commands/containers";
import * as images from "./commands/images";
import { pull, pullAll } from "./commands/pull";
import { push } from "./commands/push";
import * as registries from "./commands/registries";
import { restore } from "./commands/sessions";
import * as system from "./commands/system";
import { ContainerFiles } from "./containerFiles";
import type { Ctx } from "./ctx";
import { Documents } from "./documents";
import { showError } from "./rpc";
import { Transfers } from "./transfers";
import { ContainersView } from "./views/containers";
import { ImagesView } from "./views/images";
import { connect } from "./views/refresh";
import { RegistriesView } from "./views/registries";
import { Stats } from "./views/stats";

type Command = (...args: unknown[]) => unknown;

/** Every command; those that need no server and harm nothing are `always` allowed. */
function commands(ctx: Ctx): { trusted: Record<string, Command>; always: Record<string, Command> } {
  return {
    trusted: {
      "orlop.image.build": (uri) => build(ctx, uri as vscode.Uri | undefined),
      "orlop.image.load": (uri) => images.load(ctx, uri as vscode.Uri | undefined),
      "orlop.image.run": (node) => images.runImage(ctx, node, false),
      "orlop.image.runInteractive": (node) => images.runImage(ctx, node, true),
      "orlop.image.tag": (node) => images.tag(ctx, node),
      "orlop.image.inspect": (node) => images.inspect(ctx, node),
      "orlop.image.history": (node) => images.history(ctx, node),
      "orlop.image.push": (node) => push(ctx, node),
      "orlop.image.pull": (node) => pull(ctx, node),
      "orlop.image.pullAll": (node) => pullAll(ctx, node),
      "orlop.image.save": (node) => images.save(ctx, node),
      "orlop.image.remove": (node, nodes) => images.remove(ctx, node, nodes),
      "orlop.container.start": (node, nodes) => containers.start(ctx, node, nodes),
      "orlop.container.stop": (node, nodes) => containers.stop(ctx, node, nodes),
      "orlop.container.restart": (node, nodes) => containers.restart(ctx, node, nodes),
      "orlop.container.pause": (node, nodes) => containers.pause(ctx, node, nodes),
      "orlop.container.unpause": (node, nodes) => containers.unpause(ctx, node, nodes),
      "orlop.container.attachShell": (node) => containers.attachShell(ctx, node),
      "orlop.container.attach": (node) => containers.attach(ctx, node),
      "orlop.container.logs": (node) => containers.logs(ctx, node),
      "orlop.container.openInBrowser": (node) => containers.openInBrowser(ctx, node),
      "orlop.container.inspect": (node) => containers.inspect(ctx, node),
      "orlop.container.stats": (node) => containers.stats(ctx, node),
      "orlop.container.commit": (node) => containers.commit(ctx, node),
      "orlop.container.rename": (node) => containers.rename(ctx, node),
      "orlop.container.prune": () => containers.prune(ctx),
      "orlop.container.showFiles": (node) => files.showFiles(ctx, node),
      "orlop.container.showChanges": (node) => files.showChanges(ctx, node),
      "orlop.container.openChange": (node) => files.openChange(node),
      "orlop.container.newFile": (node) => files.newFile(ctx, node),
      "orlop.container.newFolder": (node) => files.newFolder(ctx, node),
      "orlop.container.renameFile": (node) => files.renameFile(ctx, node),
      "orlop.container.deleteFile": (node) => files.deleteFile(ctx, node),
      "orlop.container.download": (node) => files.download(ctx, node),
      "orlop.container.upload": (node) => files.upload(ctx, node),
      "orlop.container.kill": (node, nodes) => containers.kill(ctx, node, nodes),
      "orlop.container.remove": (node, nodes) => containers.remove(ctx, node, nodes),
      "orlop.registry.pull": (node) => pull(ctx, node),
      "orlop.registry.connect": () => connectRegistry(ctx),
      "orlop.registry.edit": (node) => registries.edit(ctx, node),
      "orlop.registry.test": (node) => registries.test(ctx, node),
      "orlop.registry.disconnect": (node) => registries.disconnect(ctx, node),
      "orlop.registry.addRepository": (node) => registries.addRepository(ctx, node),
      "orlop.registry.hideRepository": (node) => registries.hideRepository(ctx, node),
      "orlop.registry.createRepository": (node) => registries.createRepository(ctx, node),
      "orlop.registry.more": (node) => registries.more(ctx, node),
      "orlop.registry.copyDigest": (node) => registries.copyDigest(ctx, node),
      "orlop.registry.inspect": (node) => registries.inspect(ctx, node),
      "orlop.registry.deleteTag": (node) => registries.deleteTag(ctx, node),
      "orlop.system.doctor": () => system.doctor(ctx),
      "orlop.system.usage": () => system.usage(ctx),
      "orlop.server.restart": () => ctx.server.restart(),
    },
    always: {
      "orlop.image.copyFullTag": images.copyFullTag,
      "orlop.image.refresh": () => {
        ctx.images.refresh();
      },
      "orlop.image.showDangling": () => ctx.images.showDangling(true),
      "orlop.image.hideDangling": () => ctx.images.showDangling(false),
      "orlop.image.cancelTransfer": images.cancelTransfer,
      "orlop.registry.copyName": registries.copyName,
      "orlop.registry.refresh": (node) => {
        registries.refresh(ctx, node);
      },
      "orlop.container.copyName": containers.copyName,
      "orlop.container.copyId": containers.copyId,
      "orlop.container.copyPath": files.copyPath,
      "orlop.container.refresh": (node) => {
        files.refresh(ctx, node);
      },
      "orlop.log.show": () => {
        ctx.log.show();
      },
    },
  };
}

function bind(ctx: Ctx): vscode.Disposable[] {
  const { trusted, always } = commands(ctx);
  const guarded =
    (run: Command, needsTrust: boolean): Command =>
    async (...args) => {
      try {
        if (needsTrust && !vscode.workspace.isTrusted) {
          const message = vscode.l10n.t(
            "Building and running containers executes what this folder says. Trust it first.",
          );
          await explainNoServer(new NoServer(message, "untrusted"));
        } else await run(...args);
      } catch (error) {
        await showError(ctx, error);
      }
    };
  return [
    ...Object.entries(trusted).map(([id, run]) => vscode.commands.registerCommand(id, guarded(run, true))),
    ...Object.entries(always).map(([id, run]) => vscode.commands.registerCommand(id, guarded(run, false))),
  ];
}

let server: Server | undefined;

export function activate(extension: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Orlop", { log: true });
  const accounts = new Accounts(extension.secrets, extension.globalState);
  const transfers = new Transfers();
  server = new Server(extension.extensionPath, log, (client) => accounts.handOver(client));
  const imagesView = new ImagesView(extension.globalState, transfers, () => ctx);
  const containersView = new ContainersView(() => ctx);
  const registriesView = new RegistriesView(() => ctx);
  const stats = new Stats(() => ctx);
  const ctx: Ctx = {
    extension,
    log,
    server,
    documents: new Documents(),
    problems: vscode.languages.createDiagnosticCollection("orlop"),
    images: imagesView,
    containers: containersView,
    registries: registriesView,
    stats,
    accounts,
    transfers,
  };
  const current = server;
  extension.subscriptions.push(
    log,
    ctx.documents,
    ctx.problems,
    imagesView,
    containersView,
    registriesView,
    stats,
    new ContainerFiles(() => ctx),
    accounts,
    transfers,
    connect(current, { images: imagesView, containers: containersView }, [registriesView]),
    accounts.onDidChange(() => void system.accountsChanged(ctx)),
    ...bind(ctx),
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (contentChanges.length > 0) ctx.problems.delete(document.uri);
    }),
    vscode.workspace.onDidChangeConfiguration(() =>
      current.settingsChanged().catch((error: unknown) => showError(ctx, error)),
    ),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void system.greet(ctx)),
  );
  system.registerDocuments(ctx);
  if (vscode.workspace.isTrusted) void system.greet(ctx).then(() => restore(ctx));
}

export async function deactivate(): Promise<void> {
  await server?.dispose();
}
