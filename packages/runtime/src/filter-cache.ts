import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { OciRuntime } from "./oci-runtime.ts";

/**
 * Compiling the system call filter takes a third of crun's time, and it is the same filter for every container: crun leaves the compiled one in its state and
 * takes it back by an annotation. (crun(1), run.oci.seccomp_bpf_data; runc has no such thing.) Kept in memory only, so it is of this crun and this profile.
 */
export class FilterCache {
  readonly #stateDir: string;
  readonly #isSupported: boolean;
  #compiled: string | undefined;

  constructor({ stateDir, oci }: { stateDir: string; oci: OciRuntime }) {
    this.#stateDir = stateDir;
    this.#isSupported = oci.name === "crun";
  }

  /** What to add to a spec; nothing until a filter is known. */
  annotations(): Record<string, string> {
    return this.#compiled === undefined ? {} : { "run.oci.seccomp_bpf_data": this.#compiled };
  }

  /** Takes the filter of the first container that was started with the whole profile. */
  learn(containerId: string): void {
    const file = path.join(this.#stateDir, containerId, "seccomp.bpf");
    if (!this.#isSupported || this.#compiled !== undefined || !existsSync(file)) return; // it may have ended and been removed already
    const filter = readFileSync(file);
    if (filter.length >= 1024 && filter.length % 8 === 0) this.#compiled = filter.toString("base64"); // whole instructions; ours has some 400
  }
}
