// What every command gets: the server, the log, the views, the memory of a workspace.

import type * as vscode from "vscode";
import type { Accounts } from "./accounts";
import type { Server } from "./client";
import type { Documents } from "./documents";
import type { Transfers } from "./transfers";
import type { ContainersView } from "./views/containers";
import type { ImagesView } from "./views/images";
import type { RegistriesView } from "./views/registries";
import type { Stats } from "./views/stats";

export interface Ctx {
  readonly extension: vscode.ExtensionContext;
  readonly log: vscode.LogOutputChannel;
  readonly server: Server;
  readonly documents: Documents;
  /** Failing lines of Dockerfiles, until the next build or edit. */
  readonly problems: vscode.DiagnosticCollection;
  readonly images: ImagesView;
  readonly containers: ContainersView;
  readonly registries: RegistriesView;
  readonly stats: Stats;
  readonly accounts: Accounts;
  readonly transfers: Transfers;
}
