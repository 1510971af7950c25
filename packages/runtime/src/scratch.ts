import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import type { Spawner } from "@squall/native/spawner";
import { RuntimeError } from "./error.ts";
import { makeLayer } from "./layer.ts";
import { Refill } from "./refill.ts";

/** What the writable layers of an instance are made with. */
export interface ScratchOptions {
  readonly nativePath: string;
  /** Mount points and, for a moment, images lie in `<containersDir>/.scratch`. */
  readonly containersDir: string;
  readonly spawner: Spawner;
  readonly poolSize: number;
  readonly onError: (error: unknown) => void;
}

/** Room of a writable layer when nothing else is asked for. Sparse: it costs what is written. */
export const defaultScratchBytes = 16 * 2 ** 30;

const smallestScratchBytes = 16 * 2 ** 20;

// No journal and nothing zeroed in advance: the file system lives as long as its container. One inode per 16 KiB, as mkfs would have it.
const mkfsArguments = ["-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode,sparse_super2", "-E", "lazy_itable_init=1,nodiscard,num_backup_sb=0"];

/**
 * Size-limited file systems for writable layers: sparse ext4 images on loop devices. Not a tmpfs, since its pages would count as the container's memory, and not
 * a folder, since project quotas are missing on many kernels and a full disk must stay inside. The image is unlinked once mounted: its room goes with the mount.
 */
export class ScratchPool {
  readonly #options: ScratchOptions;
  readonly #ready: string[] = [];
  #next = Date.now(); // unique among mount points that an earlier process left
  readonly #refill: Refill;

  constructor(options: ScratchOptions) {
    this.#options = options;
    this.#refill = new Refill({
      isFull: () => this.#ready.length >= options.poolSize,
      makeOne: async () => {
        this.#ready.push(await this.#make(defaultScratchBytes));
      },
      onError: options.onError,
    });
    this.#refill.now();
  }

  /** The mount point of a file system of the caller's own, with an empty layer in it (layer.ts). */
  async take({ bytes }: { bytes: number }): Promise<string> {
    if (bytes !== defaultScratchBytes) return this.#make(Math.max(bytes, smallestScratchBytes));
    const mountPoint = this.#ready.shift() ?? (await this.#make(bytes));
    this.#refill.nudge();
    return mountPoint;
  }

  /** Resolves when the pool is full; for tests and benches. */
  async filled(): Promise<void> {
    await this.#refill.now();
  }

  /** Stops filling; unmounts what nobody took. */
  async close(): Promise<void> {
    await this.#refill.stop();
    const ready = this.#ready.splice(0);
    if (ready.length > 0) await unmount(this.#options, ready);
  }

  async #make(bytes: number): Promise<string> {
    const { containersDir, nativePath } = this.#options;
    const mountPoint = path.join(containersDir, ".scratch", (this.#next++).toString(36));
    const image = `${mountPoint}.ext4`;
    await mkdir(mountPoint, { recursive: true, mode: 0o711 });
    await makeSparseFile(image, bytes);
    await run(this.#options, "format writable layer", ["/sbin/mkfs.ext4", ...mkfsArguments, "-N", String(Math.ceil(bytes / 16_384)), image]);
    await run(this.#options, "mount writable layer", [nativePath, "scratch-disk", "--image", image, "--target", mountPoint]);
    makeLayer(mountPoint);
    return mountPoint;
  }
}

/** Detaches mounts; paths that are not mounted are fine. */
export async function unmount({ nativePath, spawner }: Pick<ScratchOptions, "nativePath" | "spawner">, paths: readonly string[]): Promise<void> {
  await run({ spawner }, "unmount", [nativePath, "unmount", ...paths]);
}

async function run({ spawner }: { spawner: Spawner }, step: string, argv: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await spawner.run(argv);
  if (code !== 0) throw new RuntimeError(step, `${stderr || stdout || `exit ${code}`}`);
}

async function makeSparseFile(file: string, bytes: number): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.truncate(bytes);
  } finally {
    await handle.close();
  }
}
