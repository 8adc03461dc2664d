// Asks for an image name: checked while it is typed, at once here and a moment later by the server.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { imageValidateReference } from "../protocol.gen";
import { request } from "../rpc";
import { sentence } from "../util/format";
import { prefixSelection, quickProblem } from "../util/reference";
import { askText, type Place } from "./steps";

/** The name as typed. */
export function askTag(ctx: Ctx, value: string, place: Place): Promise<{ text: string } | "back" | undefined> {
  return askText(
    {
      prompt: vscode.l10n.t("Tag image as..."),
      placeholder: vscode.l10n.t("name, account/name or registry.example/account/name, with :tag if not latest"),
      value,
      selection: prefixSelection(value),
      problem: (text) => quickProblem(text, vscode.l10n.t),
      lateProblem: (text) => serverProblem(ctx, text),
    },
    place,
  );
}

async function serverProblem(ctx: Ctx, text: string): Promise<string | undefined> {
  try {
    const { problem, hint } = await request(ctx, imageValidateReference, { text });
    return problem === null ? undefined : sentence(problem, hint);
  } catch {
    // A server that cannot answer must not lock the box; the request that follows will say what is wrong.
    return undefined;
  }
}
