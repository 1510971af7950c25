/** User files by content, fetched from the api once per machine and instance: `<dir>/<sha256>`, written whole or not at all, read-only. */
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";

export interface FileCacheOptions {
  readonly dir: string;
  readonly apiUrl: string;
  readonly workerToken: string;
}

export interface FileKey {
  readonly workspaceId: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

const fetchTimeoutMs = 60_000;

export class FileCache {
  readonly #options: FileCacheOptions;
  readonly #inFlight = new Map<string, Promise<string>>();

  constructor(options: FileCacheOptions) {
    this.#options = options;
  }

  /** Path of the file on this machine. Rejects when the api does not have it, or what came is not what its hash says. */
  fetch(key: FileKey): Promise<string> {
    if (!/^[0-9a-f]{64}$/.test(key.sha256)) return Promise.reject(new Error(`not a sha256: ${JSON.stringify(key.sha256)}`));
    const running = this.#inFlight.get(key.sha256);
    if (running) return running;
    const started = this.#fetch(key).finally(() => this.#inFlight.delete(key.sha256));
    this.#inFlight.set(key.sha256, started);
    return started;
  }

  async #fetch({ workspaceId, sha256, sizeBytes }: FileKey): Promise<string> {
    const path = join(this.#options.dir, sha256);
    const present = await stat(path).catch(() => undefined);
    if (present?.size === sizeBytes) return path;
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    const temporary = `${path}.${randomUUID()}`;
    try {
      const body = await this.#download(`mount/${workspaceId}/${sha256}`);
      const hash = createHash("sha256");
      const hashing = new Transform({
        transform(chunk, _encoding, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      });
      await pipeline(body, hashing, createWriteStream(temporary, { mode: 0o444 }));
      if (hash.digest("hex") !== sha256) throw new Error(`the object of ${sha256} has other bytes`);
      await rename(temporary, path);
      return path;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #download(key: string): Promise<Readable> {
    const { apiUrl, workerToken } = this.#options;
    const response = await fetch(`${apiUrl}/internal/objects/${key}`, {
      headers: { "x-squall-worker-token": workerToken },
      signal: AbortSignal.timeout(fetchTimeoutMs),
    });
    if (!response.ok || !response.body) throw new Error(`the api answered ${response.status} for ${key}`);
    return Readable.fromWeb(asNodeWebStream(response.body));
  }
}

/** The DOM's and Node's declarations of the same class differ; `fetch` of Node gives Node's. */
function asNodeWebStream(body: globalThis.ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  return body as unknown as ReadableStream<Uint8Array>;
}
