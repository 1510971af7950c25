import type { Id } from "@squall/core/ids";

/** What other engines of the api tell the logs. */
export interface LogRelay {
  /** Adds a line of ours to the app's log, as file descriptor 3: why something waits, what was stopped. */
  appendSystemLine(appId: Id<"app">, functionId: Id<"function"> | undefined, text: string): void;
  /** The app is stopped and its containers have ended: readers get what is left, then the end. */
  appEnded(appId: Id<"app">): void;
}
