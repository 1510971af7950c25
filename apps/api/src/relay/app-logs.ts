/** The logs of one app while somebody writes or reads them: its feed, and when nothing more will come. */
import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "@squall/services/context";
import { AppFeed, type FeedEntry } from "@squall/services/log/app-feed";
import type { LogFiles } from "@squall/services/log/log-files";
import { findLoggedApp } from "@squall/services/log/log-owner";

/** How long after an app's end its containers' last bytes are waited for. The client waits 10 s for the end of the log. */
const lastBytesWithinMs = 4_000;

export interface AppLogsOptions {
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "log">;
  readonly files: LogFiles;
}

export class AppLogs {
  readonly feed: AppFeed;
  readonly #options: AppLogsOptions;
  /** Containers whose log is not complete though the app has ended; undefined while the app goes on. */
  #missing: readonly Id<"container">[] | undefined;
  #waitsUntilMs = 0;

  private constructor(feed: AppFeed, options: AppLogsOptions) {
    this.feed = feed;
    this.#options = options;
  }

  static async open(appId: Id<"app">, options: AppLogsOptions): Promise<AppLogs> {
    const app = await findLoggedApp(options.deps, appId);
    const logs = new AppLogs(await AppFeed.open({ appId, files: options.files, containers: app.containers }), options);
    if (app.isStopped) logs.#ended(app.containers);
    return logs;
  }

  /** The app is stopped and its containers have ended. */
  async end(): Promise<void> {
    const app = await findLoggedApp(this.#options.deps, this.feed.appId);
    this.#ended(app.containers);
  }

  /** Whether nothing more will come after what the feed holds now. */
  get isComplete(): boolean {
    if (this.#missing === undefined) return false;
    return this.#options.deps.clock.monotonic() >= this.#waitsUntilMs || this.#missing.every((containerId) => this.feed.isComplete(containerId));
  }

  /** Entries after `afterEntryId` as they come, until nothing more will come ("complete"), or `signal` is aborted and all that is there has been read ("stopped"). */
  async *entries(afterEntryId: number, signal: AbortSignal): AsyncGenerator<FeedEntry, "complete" | "stopped"> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    let entryId = afterEntryId > this.feed.endOffset ? 0 : afterEntryId; // an id of a feed that is gone
    for (;;) {
      const changed = this.feed.changed();
      const isComplete = this.isComplete;
      const entries = await this.feed.read(entryId);
      for (const entry of entries) {
        yield entry;
        entryId = entry.entryId;
      }
      if (entries.length > 0) continue;
      if (isComplete) return "complete";
      if (signal.aborted) return "stopped";
      await Promise.race([changed, aborted]);
    }
  }

  #ended(containers: readonly { readonly containerId: Id<"container">; readonly hasStarted: boolean }[]): void {
    if (this.#missing !== undefined) return;
    this.#missing = containers.filter(({ hasStarted }) => hasStarted).map(({ containerId }) => containerId);
    this.#waitsUntilMs = this.#options.deps.clock.monotonic() + lastBytesWithinMs;
    this.feed.wake();
    setTimeout(() => this.feed.wake(), lastBytesWithinMs + 1).unref();
  }
}
