/** Time as a dependency: nothing in `core`, `scheduler` or `dispatch` reads the machine's clock. */
export interface Clock {
  /** Milliseconds since 1970 of the wall clock: for what people read and what is stored. */
  now(): number;
  /** Milliseconds of a clock that never steps back: for every duration, deadline and lease. */
  monotonic(): number;
}
