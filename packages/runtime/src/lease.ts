import { renameSync, writeFileSync } from "node:fs";
import type { Identity } from "./identities.ts";
import { containerFiles } from "./names.ts";
import type { ContainerNetwork } from "./network.ts";
import { number, readJson } from "./shim-files.ts";

/** What a container holds of the machine; kept in its folder, so that a restarted agent neither gives it to another nor forgets to free it. */
export interface Lease {
  readonly identity?: Identity;
  readonly network?: ContainerNetwork;
  readonly scratchPath?: string;
}

/** Reads a container's lease; empty when there is none. */
export function readLease(containersDir: string, containerId: string): Lease {
  const record = readJson(containerFiles(containersDir, containerId).lease);
  if (!record) return {};
  return {
    ...(typeof record.uidBase === "number" ? { identity: { uidBase: record.uidBase } } : {}),
    ...(record.network === undefined ? {} : { network: parseNetwork(record.network) }),
    ...(typeof record.scratchPath === "string" ? { scratchPath: record.scratchPath } : {}),
  };
}

/** Keeps what a container holds; written once, before its start: until then a process that takes over sweeps it up as unknown. */
export function writeLease(containersDir: string, containerId: string, lease: Lease): void {
  const file = containerFiles(containersDir, containerId).lease;
  writeFileSync(`${file}.tmp`, JSON.stringify({ uidBase: lease.identity?.uidBase, network: lease.network, scratchPath: lease.scratchPath }), { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}

function parseNetwork(value: unknown): ContainerNetwork {
  if (typeof value !== "object" || value === null) throw new Error("lease.json: network is not an object");
  const record: Record<string, unknown> = { ...value };
  return {
    slot: number(record, "slot"),
    address: text(record, "address"),
    hostAddress: text(record, "hostAddress"),
    interfaceName: text(record, "interfaceName"),
    netnsPath: text(record, "netnsPath"),
    sysfsPath: text(record, "sysfsPath"),
  };
}

function text(record: Record<string, unknown>, key: string): string {
  const value = record[key];
  if (typeof value !== "string") throw new Error(`lease.json: ${key} is missing`);
  return value;
}
