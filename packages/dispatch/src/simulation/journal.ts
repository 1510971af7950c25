/** Group commit as the services do it: one batch in flight, the next gathers; a batch of unknown fate is sent again as it was. */
import type { World } from "./world.ts";

export interface Entry {
  readonly apply: () => void;
  readonly done: () => void;
}

export class SimJournal {
  #gathering: Entry[] = [];
  #isBusy = false;
  /** Set when the api process dies: what it had in memory is gone. */
  isDead = false;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  append(entry: Entry): void {
    this.#gathering.push(entry);
    if (!this.#isBusy) this.#flush();
  }

  #flush(): void {
    const batch = this.#gathering;
    if (batch.length === 0) return;
    this.#gathering = [];
    this.#isBusy = true;
    this.#send(batch);
  }

  #send(batch: readonly Entry[]): void {
    const world = this.#world;
    world.after(world.between(1, 6), () => {
      const fate = world.isHealed ? 100 : world.random.int(100);
      // The database works on what it was sent even when the sender is dead by now.
      if (fate >= 2) {
        for (const entry of batch) entry.apply();
        world.counters.commits++;
      }
      if (fate < 5) {
        world.counters.repliesLost++;
        world.after(30, () => !this.isDead && this.#send(batch)); // fate unknown: once more
        return;
      }
      world.after(1, () => {
        if (this.isDead) return;
        this.#isBusy = false;
        for (const entry of batch) entry.done();
        if (!this.#isBusy) this.#flush();
      });
    });
  }
}
