import type { RetryPolicy } from "./events.ts";

/** How long the `failures`-th failure (from 1) waits before its retry. */
export function retryDelayMs(policy: RetryPolicy, failures: number): number {
  const delayMs = policy.initialDelayMs * policy.backoff ** Math.max(0, failures - 1);
  return Math.max(0, Math.min(Number.isFinite(delayMs) ? delayMs : policy.maxDelayMs, policy.maxDelayMs));
}
