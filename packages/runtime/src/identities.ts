import { claimBlock } from "./claims.ts";
import { RuntimeError } from "./error.ts";
import { idCount } from "./spec/build.ts";

/** User ids of the host that containers get. */
export interface Identity {
  readonly uidBase: number;
}

// From 2^28 up, far from people, subordinate ids and systemd's dynamic users; 48 blocks end below 0x70000000, and all ids below 2^31.
const firstUid = 0x1000_0000;
const blockCount = 48;
const rangesPerBlock = 512;

/** Ranges of 65,536 ids, each held by at most one container of the machine at a time. */
export interface Identities {
  readonly block: number;
  take(): Identity;
  give(identity: Identity): void;
  close(): Promise<void>;
}

/** Claims a block of ranges for this instance: the one in which containers of an earlier process hold `taken`, when it is free. */
export async function openIdentities({ taken }: { taken: readonly Identity[] }): Promise<Identities> {
  const first = taken[0];
  const preferred = first ? { preferred: Math.floor((first.uidBase - firstUid) / (idCount * rangesPerBlock)) } : {};
  const claim = await claimBlock({ name: "uid", count: blockCount, ...preferred });
  const uidBase = (range: number) => firstUid + (claim.block * rangesPerBlock + range) * idCount;
  const held = new Set(taken.map((identity) => identity.uidBase));
  const all = Array.from({ length: rangesPerBlock }, (_, range) => uidBase(range));
  const free = all.filter((each) => !held.has(each)); // taken from the front, given to the back: reused as late as possible
  return {
    block: claim.block,
    take() {
      const base = free.shift();
      if (base === undefined) throw new RuntimeError("claim identity", `all ${rangesPerBlock} id ranges of this instance are in use`);
      return { uidBase: base };
    },
    give(identity) {
      const isOurs = identity.uidBase >= uidBase(0) && identity.uidBase <= uidBase(rangesPerBlock - 1);
      if (isOurs && !free.includes(identity.uidBase)) free.push(identity.uidBase);
    },
    close: () => claim.release(),
  };
}
