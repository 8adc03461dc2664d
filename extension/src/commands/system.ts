// The texts about the system and the images that open as documents: history, doctor, disk use.

import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import * as proto from "../protocol.gen";
import { asFailure, call, request } from "../rpc";
import { width } from "../terminal/ansi";
import { formatAge, formatSize, sentence } from "../util/format";

/** Binds the kinds of documents to what fills them. */
export function registerDocuments(ctx: Ctx): void {
  const fill = (kind: string, work: (argument: string) => Promise<string>): void => {
    ctx.documents.register(kind, (argument) =>
      work(argument).catch((error: unknown) => {
        const failure = asFailure(error);
        return sentence(failure.message, failure.hint);
      }),
    );
  };
  fill("image", async (image) => (await request(ctx, proto.imageInspect, { image })).json);
  fill("container", async (container) => (await request(ctx, proto.containerInspect, { container })).json);
  fill("manifest", async (reference) => (await request(ctx, proto.registryManifest, { reference })).json);
  fill("history", (image) => historyText(ctx, image));
  fill("doctor", () => doctorText(ctx));
  fill("usage", () => usageText(ctx));
}

export function doctor(ctx: Ctx): Promise<void> {
  return ctx.documents.open("doctor", "", vscode.l10n.t("Check This Computer"));
}

export function usage(ctx: Ctx): Promise<void> {
  return ctx.documents.open("usage", "", vscode.l10n.t("Disk Use"));
}

/** Says hello to the server once, so that the log tells what is there. */
export async function greet(ctx: Ctx): Promise<void> {
  const info = await call(ctx, proto.serverInfo, {});
  if (info === undefined) return;
  const { version, python, platform, root, rootless } = info;
  ctx.log.info(`orlop ${version}, Python ${python}, ${platform}, store ${root}${rootless ? ", rootless" : ""}`);
  if (!info.canRun) ctx.log.warn(sentence(info.reason ?? "containers cannot run here", info.hint));
}

/** Another window, or this one, connected or disconnected a registry. */
export async function accountsChanged(ctx: Ctx): Promise<void> {
  const client = ctx.server.ready;
  try {
    if (client !== undefined) await ctx.accounts.handOver(client);
  } catch (error) {
    ctx.log.warn(`accounts: ${asFailure(error).message}`);
  }
  ctx.registries.refresh();
}

async function historyText(ctx: Ctx, image: string): Promise<string> {
  const { id, rows } = await request(ctx, proto.imageHistory, { image });
  const { language } = vscode.env;
  const body = rows.map((row) => [
    row.id?.replace("sha256:", "").slice(0, 12) ?? vscode.l10n.t("<missing>"),
    formatAge(row.created, Date.now(), language),
    formatSize(row.size, language),
    row.createdBy.replaceAll(/\s+/g, " "),
  ]);
  const head = [vscode.l10n.t("Image"), vscode.l10n.t("Created"), vscode.l10n.t("Size"), vscode.l10n.t("Created by")];
  return `${id}\n\n${table([head, ...body])}`;
}

async function doctorText(ctx: Ctx): Promise<string> {
  const { checks } = await request(ctx, proto.serverDoctor, {});
  const lines = checks.flatMap(({ name, ok, detail, fix }) => [
    `${ok ? "✔" : "✘"} ${name}: ${detail}`,
    ...(fix === null ? [] : [`    ${fix}`]),
  ]);
  const failed = checks.filter((check) => !check.ok).length;
  const verdict =
    failed === 0
      ? vscode.l10n.t("Everything that building and running containers needs is there.")
      : vscode.l10n.t("{0} of {1} checks failed.", failed, checks.length);
  return `${verdict}\n\n${lines.join("\n")}\n`;
}

async function usageText(ctx: Ctx): Promise<string> {
  const { rows } = await request(ctx, proto.serverUsage, {});
  const { language } = vscode.env;
  const names: Record<proto.UsageRow["type"], string> = {
    images: vscode.l10n.t("Images"),
    containers: vscode.l10n.t("Containers"),
    "build-cache": vscode.l10n.t("Build cache"),
  };
  const head = [
    vscode.l10n.t("Type"),
    vscode.l10n.t("Total"),
    vscode.l10n.t("Active"),
    vscode.l10n.t("Size"),
    vscode.l10n.t("Reclaimable"),
  ];
  const body = rows.map((row) => [
    names[row.type],
    String(row.total),
    String(row.active),
    formatSize(row.size, language),
    formatSize(row.reclaimable, language),
  ]);
  return table([head, ...body]);
}

/** Columns as wide as their widest cell; the last one as long as it is. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ""))));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
      .join("   ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}
