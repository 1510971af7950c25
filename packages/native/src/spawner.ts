import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { decodeAnswers, encodeRequest, type SpawnAnswer, type SpawnKind } from "./spawn-frames.ts";

/** What a finished program left. `code` is the exit status, 128 + n after signal n, or `-errno` when it could not be started. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts programs from a small process of its own, so that the caller's (big) process never forks. */
export interface Spawner {
  /** Runs to the end. Never rejects for a failing program; rejects only when the spawner itself is gone. */
  run(argv: readonly string[], options?: { stdin?: string }): Promise<Finished>;
  /** Starts a program in a session of its own and resolves with what it wrote to descriptor 3 once it closed that. It outlives the spawner. */
  detach(argv: readonly string[]): Promise<{ pid: number; code: number; ready: string }>;
  /** Begins the kernel's wait that a move between cgroups needs after a quiet time; costs next to nothing and changes nothing. */
  nudgeCgroups(): void;
  /** Ends the spawner; detached programs live on. */
  close(): Promise<void>;
}

const maxInFlight = 64;

/** Starts `squall-native spawn`. */
export function startSpawner({ nativePath }: { nativePath: string }): Spawner {
  const child = spawn(nativePath, ["spawn"], { stdio: ["pipe", "pipe", "inherit"] });
  return new PipeSpawner(child);
}

type Waiting = { resolve: (answer: SpawnAnswer) => void; reject: (error: Error) => void };

class PipeSpawner implements Spawner {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #queue: Array<() => void> = [];
  readonly #ended: Promise<void>;
  #nextId = 1;
  #gone: Error | undefined;

  constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    decodeAnswers(child.stdout, (answer) => this.#settle(answer));
    child.stdin.on("error", () => {}); // told by "close" too, with the reason
    child.on("error", (error) => this.#fail(new Error("cannot start the spawner", { cause: error })));
    this.#ended = new Promise((resolve) => {
      child.on("close", (code, signal) => {
        this.#fail(new Error(`the spawner ended (${signal ?? code})`));
        resolve();
      });
    });
  }

  async run(argv: readonly string[], options: { stdin?: string } = {}): Promise<Finished> {
    const answer = await this.#request("run", argv, options.stdin ?? "");
    return { code: answer.status, stdout: answer.stdout, stderr: answer.stderr };
  }

  async detach(argv: readonly string[]): Promise<{ pid: number; code: number; ready: string }> {
    const answer = await this.#request("detach", argv, "");
    return { pid: answer.pid, code: answer.status, ready: answer.stdout };
  }

  nudgeCgroups(): void {
    if (!this.#gone) this.#child.stdin.write(encodeRequest({ id: 0, kind: "nudge", argv: [], stdin: "" }));
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }

  async #request(kind: SpawnKind, argv: readonly string[], stdin: string): Promise<SpawnAnswer> {
    if (this.#waiting.size >= maxInFlight) await new Promise<void>((resolve) => this.#queue.push(resolve));
    if (this.#gone) throw this.#gone;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin.write(encodeRequest({ id, kind, argv, stdin }));
    });
  }

  #settle(answer: SpawnAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    waiting?.resolve(answer);
    this.#queue.shift()?.();
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#gone);
    this.#waiting.clear();
    for (const wake of this.#queue.splice(0)) wake();
  }
}
