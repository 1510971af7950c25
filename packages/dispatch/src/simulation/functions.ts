/** The functions of a schedule, one of each temper. */
import { asId } from "@squall/core/ids";
import type { FunctionPolicy } from "../events.ts";
import type { World } from "./world.ts";

export interface SimFunction {
  readonly policy: FunctionPolicy;
  /** Its containers never come to their first input. */
  readonly isBroken: boolean;
  /** Every input takes its container down. */
  readonly isDeadly: boolean;
  readonly longestRunMs: number;
  readonly slots: number;
  fails(world: World): boolean;
}

export function simFunctions(world: World): SimFunction[] {
  const make = (
    n: number,
    traits: { isBroken?: boolean; isDeadly?: boolean; failPercent?: number; retryMax?: number; longestRunMs?: number; slots?: number; lingerMs?: number },
  ): SimFunction => ({
    policy: {
      functionId: asId("function", `fu-${String(n).padStart(22, "0")}`),
      appId: asId("app", `ap-${String(n).padStart(22, "0")}`),
      workspaceId: asId("workspace", `ac-${"0".repeat(22)}`),
      retry: { max: traits.retryMax ?? 0, initialDelayMs: 100, maxDelayMs: 1000, backoff: 2 },
      batchLingerMs: traits.lingerMs ?? 0,
    },
    isBroken: traits.isBroken ?? false,
    isDeadly: traits.isDeadly ?? false,
    longestRunMs: traits.longestRunMs ?? 200,
    slots: traits.slots ?? 1,
    fails: (w) => w.chance(traits.failPercent ?? 0),
  });
  return [
    make(1, { longestRunMs: world.pick([50, 300, 3000]) ?? 50 }),
    make(2, { failPercent: 50, retryMax: 3 }),
    make(3, { slots: 4, lingerMs: 50, failPercent: 10 }),
    make(4, { isBroken: true }),
    make(5, { isDeadly: true, longestRunMs: 20 }),
  ];
}
