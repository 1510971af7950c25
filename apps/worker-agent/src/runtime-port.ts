/** The part of `@squall/runtime` that the agent uses, so that its own parts can be tested beside a runtime that starts nothing. */
import type { ContainerEdits } from "@squall/runtime/spec/container-edits";

export type DeviceEdits = ContainerEdits;

export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerNetwork {
  readonly address: string;
  readonly netnsPath: string;
  readonly sysfsPath: string;
  readonly interfaceName: string;
}

export type ContainerEnd =
  | {
      readonly kind: "exited";
      readonly code: number;
      readonly oomKills: number;
      readonly cpuNs: number;
      readonly peakMemoryBytes: number;
      readonly exitedAtMs: number;
    }
  | { readonly kind: "lost" };

export interface ContainerUsage {
  readonly cpuNs: number;
  readonly peakMemoryBytes: number;
}

export interface StartContainer {
  readonly containerId: string;
  readonly uidBase: number;
  readonly network: ContainerNetwork;
  readonly hostname: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly binds: readonly Bind[];
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly pidsLimit: number;
  readonly sharedMemoryBytes: number;
  readonly devices: readonly DeviceEdits[];
}

/** Meaning and promises of each: README of `@squall/runtime`. */
export interface RuntimePort {
  readonly hostAddress: string;
  readonly description: string;
  claimIdentity(containerId: string): { readonly uidBase: number };
  releaseIdentity(containerId: string): void | Promise<void>;
  takeNetwork(containerId: string, options: { blockNetwork: boolean }): Promise<ContainerNetwork>;
  releaseNetwork(containerId: string): Promise<void>;
  prepareRoot(options: {
    containerId: string;
    diskBytes: number;
    directories: readonly string[];
    files: readonly string[];
  }): Promise<{ readonly dir: string; readonly upperPath: string; readonly rootPath: string }>;
  mountRoot(options: { containerId: string; lowers: readonly string[]; uidBase: number }): Promise<void>;
  releaseRoot(containerId: string): Promise<void>;
  startContainer(options: StartContainer): Promise<{ readonly startedAtMs: number }>;
  onLog(containerId: string, listener: () => void): () => void;
  readLogs(containerId: string, options: { offset: number; maxBytes: number }): Iterable<{ readonly offset: number; readonly frames: Uint8Array }>;
  dropLogs(containerId: string, options: { belowOffset: number }): void;
  signal(containerId: string, signal: "SIGINT" | "SIGTERM"): Promise<boolean>;
  kill(containerId: string): Promise<void>;
  waitExit(containerId: string): Promise<ContainerEnd>;
  usage(containerId: string): ContainerUsage | undefined;
  adopt(containerId: string): Promise<"running" | "exited" | "lost">;
  listContainers(): Promise<readonly string[]>;
  close(): Promise<void>;
}
