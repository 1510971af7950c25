import { createHash } from "node:crypto";
import type { Clock } from "@squall/core/clock";

interface Remembered<Value> {
  readonly untilMs: number;
  readonly value: Promise<Value>;
}

/**
 * `look` whose answers are kept for a short time, by a hash of what was asked: no secret stays in memory as it came. Holds at most `maxEntries`; a look-up
 * that failed or found nothing is not kept.
 */
export function remember<Value, Name extends string, Secret extends string>(
  look: (id: Name, secret: Secret) => Promise<Value | undefined>,
  { keptMs, maxEntries, clock }: { readonly keptMs: number; readonly maxEntries: number; readonly clock: Clock },
): (id: Name, secret: Secret) => Promise<Value | undefined> {
  const kept = new Map<string, Remembered<Value | undefined>>();
  return (id, secret) => {
    const key = createHash("sha256").update(`${id}\0${secret}`).digest("base64");
    const nowMs = clock.monotonic();
    const known = kept.get(key);
    if (known && known.untilMs > nowMs) return known.value;
    kept.delete(key);
    const value = look(id, secret);
    value.then(
      (found) => found === undefined && kept.delete(key),
      () => kept.delete(key),
    );
    kept.set(key, { untilMs: nowMs + keptMs, value });
    const oldest = kept.size > maxEntries ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
    return value;
  };
}
