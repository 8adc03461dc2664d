// The files of containers as a file system of VS Code: `orlop-container://ID/path`, with `?image` as the image has them.

import * as path from "node:path";
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import * as proto from "./protocol.gen";
import { asFailure, request } from "./rpc";

export const FILES_SCHEME = "orlop-container";
const IMAGE = "image";

/** The address of a file; the `image` side is what the container began with, and cannot be written. */
export function fileUri(container: string, file: string, side: "container" | "image" = "container"): vscode.Uri {
  return vscode.Uri.from({
    scheme: FILES_SCHEME,
    authority: container,
    path: file,
    query: side === "image" ? IMAGE : "",
  });
}

/** Reads and writes through the server; works for stopped containers and those without a shell. */
export class ContainerFiles implements vscode.FileSystemProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
  private readonly registration: vscode.Disposable;
  readonly onDidChangeFile = this.changed.event;

  constructor(private readonly ctx: () => Ctx) {
    this.registration = vscode.workspace.registerFileSystemProvider(FILES_SCHEME, this, { isCaseSensitive: true });
  }

  /** The kernel tells nobody here of another's writes; opening a file again shows them. */
  watch(): vscode.Disposable {
    return new vscode.Disposable(() => undefined);
  }

  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    const { entry } = await this.ask(uri, proto.fileStat, where(uri));
    const { mtime, size } = entry;
    const readonly = uri.query === IMAGE ? { permissions: vscode.FilePermission.Readonly } : {};
    return { type: fileType(entry), ctime: 0, mtime: Math.floor(mtime), size, ...readonly };
  }

  async readDirectory(uri: vscode.Uri): Promise<[string, vscode.FileType][]> {
    const { entries } = await this.ask(uri, proto.fileList, where(uri));
    return entries.map((entry) => [entry.name, fileType(entry)]);
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const { data } = await this.ask(uri, proto.fileRead, where(uri));
    return Buffer.from(data, "base64");
  }

  async writeFile(
    uri: vscode.Uri,
    content: Uint8Array,
    options: { create: boolean; overwrite: boolean },
  ): Promise<void> {
    const { container, path: file } = writable(uri);
    const known = await this.stat(uri).then(
      () => true,
      () => false,
    );
    const data = Buffer.from(content).toString("base64");
    // VS Code sends more options than it declares.
    const { create, overwrite } = options;
    await this.ask(uri, proto.fileWrite, { container, path: file, data, create, overwrite });
    this.tell(known ? vscode.FileChangeType.Changed : vscode.FileChangeType.Created, uri);
  }

  async createDirectory(uri: vscode.Uri): Promise<void> {
    await this.ask(uri, proto.fileMakeDirectory, writable(uri));
    this.tell(vscode.FileChangeType.Created, uri);
  }

  async delete(uri: vscode.Uri, { recursive }: { recursive: boolean }): Promise<void> {
    await this.ask(uri, proto.fileRemove, { ...writable(uri), recursive });
    this.tell(vscode.FileChangeType.Deleted, uri);
  }

  async rename(from: vscode.Uri, to: vscode.Uri, { overwrite }: { overwrite: boolean }): Promise<void> {
    if (from.authority !== to.authority) {
      throw vscode.FileSystemError.Unavailable(vscode.l10n.t("A file cannot move from one container to another."));
    }
    await this.ask(from, proto.fileRename, { ...writable(from), target: to.path, overwrite });
    this.tell(vscode.FileChangeType.Deleted, from);
    this.tell(vscode.FileChangeType.Created, to);
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }

  private tell(type: vscode.FileChangeType, uri: vscode.Uri): void {
    this.changed.fire([
      { type, uri },
      { type: vscode.FileChangeType.Changed, uri: uri.with({ path: path.posix.dirname(uri.path) }) },
    ]);
  }

  private async ask<P extends object, R>(
    uri: vscode.Uri,
    type: Parameters<typeof request<P, R>>[1],
    params: P,
  ): Promise<R> {
    try {
      return await request(this.ctx(), type, params);
    } catch (error) {
      throw translate(error, uri);
    }
  }
}

function where(uri: vscode.Uri): proto.FilePathParams {
  return { container: uri.authority, path: uri.path, side: uri.query === IMAGE ? "image" : "container" };
}

function writable(uri: vscode.Uri): { container: string; path: string } {
  if (uri.query === IMAGE) throw vscode.FileSystemError.NoPermissions(vscode.l10n.t("An image does not change."));
  return { container: uri.authority, path: uri.path };
}

const TYPES: Record<proto.FileEntry["kind"], vscode.FileType> = {
  directory: vscode.FileType.Directory,
  file: vscode.FileType.File,
  other: vscode.FileType.Unknown,
};

/** What VS Code makes of an entry; a link counts as what it leads to, and as a link. */
export function fileType({ kind, target }: proto.FileEntry): vscode.FileType {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- they are flags, and add up
  return target === null ? TYPES[kind] : TYPES[kind] | vscode.FileType.SymbolicLink;
}

function translate(error: unknown, uri: vscode.Uri): unknown {
  const failure = asFailure(error);
  switch (failure.kind) {
    case "not-found":
    case "container-not-found":
      return vscode.FileSystemError.FileNotFound(uri);
    case "conflict":
      return vscode.FileSystemError.FileExists(failure.message);
    case "unavailable":
      return vscode.FileSystemError.NoPermissions(failure.message);
    default:
      return vscode.FileSystemError.Unavailable(failure.message);
  }
}
