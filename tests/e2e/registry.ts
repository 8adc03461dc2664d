// Registries for the scenes: Debian's docker-registry on a free port, a slow line to one, and what searches Docker Hub.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { freePort } from "./server";

/** The account of a registry with passwords. */
export const ACCOUNT = { username: "someone", password: "correct horse" };
const HTPASSWD = `${ACCOUNT.username}:$2b$05$SAbluMOQvCAgRgZnrzT/RegRAfAbc5ajij3YqYAKOW4KDC6m3QLbS\n`;
const DOCUMENTS = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** One docker-registry process with a storage of its own. */
export class Registry {
  private readonly folder = mkdtempSync(path.join(tmpdir(), "orlop-registry-"));
  private process: ChildProcess | undefined;
  private readonly lines: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private port = 0;

  /** Starts one; `passwords` lets only ACCOUNT in. */
  static async start(passwords = false): Promise<Registry> {
    const registry = new Registry();
    await registry.launch(passwords);
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The digest of a tag, or undefined where there is none. */
  async digest(repository: string, tag: string): Promise<string | undefined> {
    const answer = await this.ask("HEAD", `${repository}/manifests/${tag}`);
    return answer.ok ? (answer.headers.get("docker-content-digest") ?? undefined) : undefined;
  }

  /** Gives an image many more tags. */
  async tags(repository: string, tag: string, more: readonly string[]): Promise<void> {
    const answer = await this.ask("GET", `${repository}/manifests/${tag}`);
    const body = await answer.text();
    const type = answer.headers.get("content-type") ?? "";
    for (const name of more) {
      const { status } = await this.ask("PUT", `${repository}/manifests/${name}`, body, type);
      if (status !== 201) throw new Error(`${name}: ${String(status)}`);
    }
  }

  /** An address of the same registry at which so many bytes go in or out in a second. */
  async slowly(bytesPerSecond: number, port = 0): Promise<string> {
    const line = createServer((client) => {
      const far = connect(this.port, "127.0.0.1");
      far.pipe(client);
      client.on("data", (data) => {
        far.write(data);
        client.pause();
        setTimeout(() => client.resume(), (1000 * data.length) / bytesPerSecond);
      });
      client.on("end", () => far.end());
      for (const socket of [client, far]) {
        this.sockets.add(socket);
        socket.on("error", () => {
          client.destroy();
          far.destroy();
        });
      }
    });
    this.lines.push(line);
    await new Promise<void>((resolve) => line.listen(port, "127.0.0.1", resolve));
    return `127.0.0.1:${(line.address() as AddressInfo).port}`;
  }

  stop(): void {
    for (const line of this.lines) line.close();
    for (const socket of this.sockets) socket.destroy();
    this.process?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  private ask(method: string, what: string, body?: string, type = ""): Promise<Response> {
    const { username, password } = ACCOUNT;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    const headers = { accept: DOCUMENTS, authorization, ...(type === "" ? {} : { "content-type": type }) };
    return fetch(`http://${this.host}/v2/${what}`, { method, headers, ...(body === undefined ? {} : { body }) });
  }

  private async launch(passwords: boolean): Promise<void> {
    this.port = await freePort();
    const htpasswd = path.join(this.folder, "htpasswd");
    writeFileSync(htpasswd, HTPASSWD);
    const storage = path.join(this.folder, "storage");
    mkdirSync(storage);
    // JSON is YAML.
    const config = {
      version: 0.1,
      storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
      http: { addr: this.host, secret: "only for tests" },
      ...(passwords ? { auth: { htpasswd: { realm: "Test", path: htpasswd } } } : {}),
    };
    const file = path.join(this.folder, "config.yml");
    writeFileSync(file, JSON.stringify(config));
    this.process = spawn("docker-registry", ["serve", file], { stdio: "ignore" });
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const answer = await fetch(`http://${this.host}/v2/`).catch(() => undefined);
      if (answer !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("docker-registry did not start");
  }
}

/** What Docker Hub's index would answer to searches; `asked` are the terms that came. */
export class Index {
  readonly asked: string[] = [];
  private constructor(private readonly server: HttpServer) {}

  static async start(names: readonly { name: string; description: string; stars: number }[]): Promise<Index> {
    const server = createHttpServer((message, answer) => {
      const term = new URL(message.url ?? "/", "http://index").searchParams.get("q") ?? "";
      index.asked.push(term);
      const results = names
        .filter(({ name }) => name.includes(term))
        .map(({ name, description, stars }) => ({
          name,
          description,
          star_count: stars,
          is_official: !name.includes("/"),
          is_automated: false,
        }));
      answer.setHeader("content-type", "application/json");
      answer.end(JSON.stringify({ num_results: results.length, query: term, results }));
    });
    const index = new Index(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return index;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
