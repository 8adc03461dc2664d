// Asks for the build arguments that a Dockerfile uses and gives no value for.

import * as vscode from "vscode";
import { isSecret } from "./args";
import { askText, type Place } from "./steps";

/** One value; it may be empty. */
export function askBuildArg(
  name: string,
  remembered: string | undefined,
  place: Place,
): Promise<{ text: string } | "back" | undefined> {
  return askText(
    {
      prompt: vscode.l10n.t("Value of the build argument {0}", name),
      value: remembered ?? "",
      password: isSecret(name),
    },
    place,
  );
}
