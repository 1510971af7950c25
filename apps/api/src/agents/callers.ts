/** When the callers of apps were last heard. In memory: after a restart every caller gets a whole lease, since nobody could have heard it before. */
import type { Id } from "@squall/core/ids";

export class Callers {
  readonly #lastHeardMs = new Map<Id<"app">, number>();

  heard(appId: Id<"app">, nowMs: number): void {
    this.#lastHeardMs.set(appId, nowMs);
  }

  /** When it was last heard; an app that is new here is heard now. */
  lastHeardMs(appId: Id<"app">, nowMs: number): number {
    const known = this.#lastHeardMs.get(appId);
    if (known === undefined) this.#lastHeardMs.set(appId, nowMs);
    return known ?? nowMs;
  }

  /** Forgets all but these. */
  keepOnly(appIds: ReadonlySet<Id<"app">>): void {
    for (const appId of this.#lastHeardMs.keys()) if (!appIds.has(appId)) this.#lastHeardMs.delete(appId);
  }
}
