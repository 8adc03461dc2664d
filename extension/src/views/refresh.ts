// Lists a view again when the server says that its kind changed, and at no other time.

import * as vscode from "vscode";
import type { Server, ServerState } from "../client";
import type { StoreDidChange } from "../protocol.gen";

/** A view by the kind of things it shows. */
export type Views = Record<StoreDidChange["kinds"][number], { refresh(): void }>;

/** Connects the server's news with the views, and its state with the context key of menus and welcome texts.

`others` show what the server knows but do not change with its store. */
export function connect(server: Server, views: Views, others: readonly { refresh(): void }[]): vscode.Disposable {
  const tell = (state: ServerState): Thenable<unknown> =>
    vscode.commands.executeCommand("setContext", "orlop.state", state);
  void tell("starting");
  return vscode.Disposable.from(
    server.onDidChangeStore(({ kinds }) => {
      for (const kind of kinds) views[kind].refresh();
    }),
    server.onDidChangeState((state) => {
      void tell(state);
      if (state === "ready") for (const view of [...Object.values(views), ...others]) view.refresh();
    }),
  );
}
