/** Runs background work: at once when nudged, and by itself after the time that it asked for. */
import type { Logger } from "@squall/services/log";

/**
 * Reads the world and moves it one step towards what is wanted. May run twice without harm; a failure is not retried inside, since the next activation
 * is the retry.
 */
export interface Reconciler {
  readonly name: string;
  /** Answers after how long it wants to run again unasked; undefined to wait for a nudge. */
  activate(): Promise<number | undefined>;
}

export interface Driven {
  /** Nudges during an activation run it once more after it, however many they were. */
  nudge(): void;
  /** No activation begins after this; resolves when the one under way is over. */
  stop(): Promise<void>;
}

const afterFailureMs = 1_000;

export function drive(reconciler: Reconciler, log: Logger): Driven {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let isNudged = false;
  let isStopped = false;

  const run = async (): Promise<void> => {
    await Promise.resolve(); // nudges of the same tick are one
    let againMs: number | undefined;
    do {
      isNudged = false;
      againMs = await attempt(reconciler, log);
    } while (isNudged && !isStopped);
    running = undefined;
    if (againMs !== undefined && !isStopped) timer = setTimeout(nudge, againMs);
  };
  const nudge = (): void => {
    if (isStopped) return;
    isNudged = true;
    if (running !== undefined) return;
    clearTimeout(timer);
    running = run();
  };
  const stop = async (): Promise<void> => {
    isStopped = true;
    clearTimeout(timer);
    await running;
  };
  return { nudge, stop };
}

async function attempt(reconciler: Reconciler, log: Logger): Promise<number | undefined> {
  try {
    return await reconciler.activate();
  } catch (error) {
    log.error({ err: error, reconciler: reconciler.name }, "a reconciler failed; it tries again");
    return afterFailureMs;
  }
}
