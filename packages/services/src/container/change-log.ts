/** Group commit of container changes: one statement in flight, the next one gathers meanwhile. */
import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";
import { type ContainerChange, mergeChanges, recordContainerChanges } from "./record-changes.ts";

const retryAfterMs = 250;

export class ContainerChangeLog {
  readonly #deps: Pick<ServiceDeps, "db" | "log">;
  #pending = new Map<Id<"container">, ContainerChange>();
  #flushing: Promise<void> | undefined;

  constructor(deps: Pick<ServiceDeps, "db" | "log">) {
    this.#deps = deps;
  }

  /** Resolves when the database has it. While the database is away it waits: the changes of a container are one entry, however many they are. */
  async append(change: ContainerChange): Promise<void> {
    this.#pending.set(change.containerId, mergeChanges(this.#pending.get(change.containerId), change));
    const before = this.#flushing;
    if (before !== undefined) await before; // a statement that is under way does not hold this change
    this.#flushing ??= this.#flush();
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    const changes = [...this.#pending.values()];
    this.#pending = new Map();
    try {
      for (let attempt = 0; changes.length > 0; attempt++) {
        try {
          await recordContainerChanges({ deps: this.#deps, changes });
          return;
        } catch (error) {
          this.#deps.log.error({ err: error, containers: changes.length, attempt }, "changes of containers are not stored yet");
          await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
        }
      }
    } finally {
      this.#flushing = undefined;
    }
  }
}
