/**
 * One concern of a container's start. Hooks run in order before the process starts; what each did is undone in reverse order after its end, or when a
 * later hook failed. `release` must be safe to repeat, after an agent's restart too, and is called whether or not `prepare` got far.
 */
import type { DesiredContainer } from "@squall/protocol/agent";
import type { Bind, ContainerNetwork, DeviceEdits } from "../runtime-port.ts";

export interface ContainerHook {
  /** Names the phase and begins the text of a failure. */
  readonly name: string;
  prepare(plan: StartPlan): Promise<void>;
  release(containerId: string): Promise<void>;
}

/** Filled hook by hook; what starts the container reads it. */
export interface StartPlan {
  readonly desired: DesiredContainer;
  readonly binds: Bind[];
  readonly environment: Record<string, string>;
  readonly devices: DeviceEdits[];
  /** Root trees, topmost first. */
  readonly lowers: string[];
  uidBase: number | undefined;
  network: ContainerNetwork | undefined;
  /** Records a moment of the start under a name. */
  readonly mark: (phase: string) => void;
}

/** A hook that failed: its name and what it said. */
export class HookError extends Error {
  constructor(hook: string, cause: unknown) {
    super(`${hook}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "HookError";
  }
}

/** Runs the hooks in order; between two of them the start can be given up by `signal`. */
export async function prepareAll(hooks: readonly ContainerHook[], plan: StartPlan, signal: AbortSignal): Promise<void> {
  for (const hook of hooks) {
    signal.throwIfAborted();
    try {
      await hook.prepare(plan);
    } catch (error) {
      throw new HookError(hook.name, error);
    }
    plan.mark(hook.name);
  }
  signal.throwIfAborted();
}

/** Releases all, last first, whatever fails on the way; the failures are returned. */
export async function releaseAll(hooks: readonly ContainerHook[], containerId: string): Promise<readonly HookError[]> {
  const failures: HookError[] = [];
  for (const hook of hooks.toReversed()) {
    try {
      await hook.release(containerId);
    } catch (error) {
      failures.push(new HookError(`release of ${hook.name}`, error));
    }
  }
  return failures;
}
