import { mkdir, readdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import path from "node:path";
import type { Spawner } from "@squall/native/spawner";
import { blockContains, blockSubnet, hostAddress, networkBlockCount, slotAddress, slotsPerBlock } from "./addresses.ts";
import { claimBlock } from "./claims.ts";
import { RuntimeError } from "./error.ts";
import { firewallScript } from "./firewall.ts";
import { hostInterfaceName, linkName } from "./names.ts";
import { Refill } from "./refill.ts";

/** A network namespace of one container: `eth0` with one IPv4 address, `lo`, and a sysfs that shows these two. */
export interface ContainerNetwork {
  readonly slot: number;
  /** IPv4 literal of eth0; the host can connect to it. */
  readonly address: string;
  /** The host's end: DNS and blob door, also the default gateway. */
  readonly hostAddress: string;
  readonly interfaceName: string;
  readonly netnsPath: string;
  readonly sysfsPath: string;
}

/** What a pool of networks is made with. */
export interface NetworkOptions {
  readonly instance: string;
  readonly nativePath: string;
  /** Pins of namespaces lie in `<runDir>/net`. */
  readonly runDir: string;
  readonly blobPort: number;
  /** How many are kept ready. */
  readonly poolSize: number;
  readonly preferredBlock?: number | undefined;
  /** Networks of containers that were running before this process; every other namespace of the instance is dropped. */
  readonly inUse: readonly ContainerNetwork[];
  readonly spawner: Spawner;
  readonly onError: (error: unknown) => void;
}

/**
 * Ready network namespaces. Making one costs some milliseconds of kernel time, so it happens before it is needed; each is used by one container and thrown
 * away, since open connections and neighbours must not be inherited.
 */
export class NetworkPool {
  readonly hostAddress: string;
  readonly block: number;
  readonly #options: NetworkOptions;
  readonly #release: () => Promise<void>;
  readonly #ready: ContainerNetwork[] = [];
  readonly #freeSlots: number[];
  readonly #refill: Refill;

  private constructor(options: NetworkOptions, claim: { block: number; release: () => Promise<void> }) {
    this.#options = options;
    this.#release = claim.release;
    this.block = claim.block;
    this.hostAddress = hostAddress(claim.block);
    this.#refill = new Refill({
      isFull: () => this.#ready.length >= options.poolSize,
      makeOne: async () => {
        this.#ready.push(await this.#make());
      },
      onError: options.onError,
    });
    this.#freeSlots = Array.from({ length: slotsPerBlock }, (_, slot) => slot); // taken from the front, given to the back: an address rests before it returns
  }

  /** Claims addresses, sets up the host's end and the packet filter, and begins to fill the pool. Replaces what an earlier process of the instance left. */
  static async open(options: NetworkOptions): Promise<NetworkPool> {
    const addresses = Object.entries(networkInterfaces())
      .filter(([name]) => name !== hostInterfaceName(options.instance))
      .flatMap(([, list]) => (list ?? []).map((each) => each.address));
    const isUsable = (block: number) => !addresses.some((address) => blockContains(block, address));
    const preferred = options.preferredBlock === undefined ? {} : { preferred: options.preferredBlock };
    const claim = await claimBlock({ name: "net", count: networkBlockCount, isUsable, ...preferred });
    const pool = new NetworkPool(options, claim);
    await pool.#setUpHost();
    await pool.#dropUnused();
    pool.#refill.now();
    return pool;
  }

  /** A network of the caller's own, at once when the pool has one. `blockNetwork` leaves only the host's address reachable. */
  async take({ blockNetwork }: { blockNetwork: boolean }): Promise<ContainerNetwork> {
    const network = this.#ready.shift() ?? (await this.#make());
    this.#refill.nudge();
    if (blockNetwork) await this.#native("block network", ["net-block", "--netns", network.netnsPath]);
    return network;
  }

  /** Removes the namespace; safe to repeat. */
  async release(network: ContainerNetwork): Promise<void> {
    const { netnsPath, sysfsPath, interfaceName } = network;
    await this.#native("drop network", ["net-drop", "--netns", netnsPath, "--sysfs", sysfsPath, "--host-interface", interfaceName]);
    if (!this.#freeSlots.includes(network.slot)) this.#freeSlots.push(network.slot);
  }

  /** Resolves when the pool is full; for tests and benches. */
  async filled(): Promise<void> {
    await this.#refill.now();
  }

  /** Stops filling and drops what is ready; networks in use stay. */
  async close(): Promise<void> {
    await this.#refill.stop();
    for (const network of this.#ready.splice(0)) await this.release(network).catch(this.#options.onError);
    await this.#release();
  }

  async #setUpHost(): Promise<void> {
    const { instance, blobPort, spawner, runDir } = this.#options;
    await mkdir(path.join(runDir, "net"), { recursive: true, mode: 0o711 });
    await this.#native("set up host network", ["net-host", "--interface", hostInterfaceName(instance), "--address", this.hostAddress]);
    const script = firewallScript({ instance, hostAddress: this.hostAddress, subnet: blockSubnet(this.block), blobPort });
    const { code, stderr } = await spawner.run(["nft", "-f", "-"], { stdin: script });
    if (code !== 0) throw new RuntimeError("set up packet filter", stderr);
  }

  async #dropUnused(): Promise<void> {
    const { instance, runDir, inUse } = this.#options;
    const used = new Set(inUse.map((network) => network.slot));
    for (const name of await readdir(path.join(runDir, "net"))) {
      const slot = Number.parseInt(name, 36);
      if (name.endsWith(".ns") && !used.has(slot)) await this.release(networkOfSlot({ instance, runDir, block: this.block, slot }));
    }
    for (const slot of used) this.#freeSlots.splice(this.#freeSlots.indexOf(slot), 1);
  }

  /** An address that a link of another, ending instance still has is left for later: those links vanish a moment after their namespace. */
  async #make(triesLeft = 32): Promise<ContainerNetwork> {
    const slot = this.#freeSlots.shift();
    if (slot === undefined) throw new RuntimeError("make network", `all ${slotsPerBlock} container addresses are in use`);
    const { instance, runDir } = this.#options;
    const network = networkOfSlot({ instance, runDir, block: this.block, slot });
    const args = ["--host-interface", network.interfaceName, "--address", network.address, "--host-address", network.hostAddress];
    try {
      await this.#native("make network", ["net-make", ...args, "--netns", network.netnsPath, "--sysfs", network.sysfsPath]);
    } catch (error) {
      await this.release(network).catch(this.#options.onError);
      if (triesLeft > 1 && error instanceof RuntimeError && error.message.includes("File exists")) return this.#make(triesLeft - 1);
      throw error;
    }
    return network;
  }

  async #native(step: string, args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.#options.spawner.run([this.#options.nativePath, ...args]);
    if (code !== 0) throw new RuntimeError(step, stderr);
  }
}

function networkOfSlot({ instance, runDir, block, slot }: { instance: string; runDir: string; block: number; slot: number }): ContainerNetwork {
  const pin = path.join(runDir, "net", slot.toString(36));
  return {
    slot,
    address: slotAddress(block, slot),
    hostAddress: hostAddress(block),
    interfaceName: linkName(instance, slot),
    netnsPath: `${pin}.ns`,
    sysfsPath: `${pin}.sys`,
  };
}
