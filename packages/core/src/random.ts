/** Randomness as a dependency, so that a run can be repeated from its seed. */
export interface Random {
  /** A whole number in [0, bound). */
  int(bound: number): number;
}

/** A repeatable source (sfc32) from a whole-number seed. Not for secrets. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = seed | 0;
  let c = Math.floor(seed / 2 ** 32) | 0;
  let d = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return t >>> 0;
  };
  for (let i = 0; i < 15; i++) next();
  return { int: (bound) => Math.floor((next() / 2 ** 32) * bound) };
}
