/** When to start a child again that ended by itself. */

/** A life shorter than this counts as a quick death. */
export const quickDeathMs = 10_000;
const freeRestarts = 3;
const firstDelayMs = 500;
const longestDelayMs = 15_000;

/** Wait before the next start, in milliseconds: none for the first three quick deaths in a row, then doubling from 0.5 s up to 15 s. */
export function restartDelayMs(quickDeaths: number): number {
  if (quickDeaths <= freeRestarts) return 0;
  return Math.min(longestDelayMs, firstDelayMs * 2 ** (quickDeaths - freeRestarts - 1));
}

/** Quick deaths in a row, after a child that lived `livedMs`: a long life starts the count anew. */
export function countDeath(quickDeaths: number, livedMs: number): number {
  return livedMs < quickDeathMs ? quickDeaths + 1 : 0;
}
