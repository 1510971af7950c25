import { createHash } from "node:crypto";
import type { Clock } from "@squall/core/clock";

interface Remembered<Value> {
  readonly untilMs: number;
  readonly value: Promise<Value>;
}

/**
 * `look` whose answers are kept for a short time, by a hash of what was asked: no secret stays in memory as it came. Holds at most `maxEntries`; a failed
 * look-up is not kept.
 */
export function remember<Value>(
  look: (id: string, secret: string) => Promise<Value>,
  { keptMs, maxEntries, clock }: { readonly keptMs: number; readonly maxEntries: number; readonly clock: Clock },
): (id: string, secret: string) => Promise<Value> {
  const kept = new Map<string, Remembered<Value>>();
  return (id, secret) => {
    const key = createHash("sha256").update(`${id}\0${secret}`).digest("base64");
    const nowMs = clock.monotonic();
    const known = kept.get(key);
    if (known && known.untilMs > nowMs) return known.value;
    kept.delete(key);
    const value = look(id, secret);
    value.catch(() => kept.delete(key));
    kept.set(key, { untilMs: nowMs + keptMs, value });
    const oldest = kept.size > maxEntries ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
    return value;
  };
}
