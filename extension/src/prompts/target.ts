// Asks which stage to build, when there is more than one.

import * as vscode from "vscode";
import type { StageInfo } from "../protocol.gen";
import { askPick, type Place } from "./steps";

interface StageItem extends vscode.QuickPickItem {
  target: string | null;
}

/** The stage's name or number; null for the last one, which is what a build makes by itself. */
export async function askTarget(
  stages: readonly StageInfo[],
  remembered: string | null,
  place: Place,
): Promise<{ target: string | null } | "back" | undefined> {
  const last = stages.length - 1;
  const items = stages
    .map((stage): StageItem => {
      const name = stage.name ?? String(stage.index);
      return {
        label: name,
        description: stage.index === last ? vscode.l10n.t("{0} (the last stage)", stage.base) : stage.base,
        target: stage.index === last ? null : name,
      };
    })
    .reverse();
  const active = items.find((item) => item.target === remembered) ?? items[0];
  const answer = await askPick(items, vscode.l10n.t("Choose the stage to build"), active, place);
  return typeof answer === "object" ? { target: answer.item.target } : answer;
}
