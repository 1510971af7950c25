/** The relay of logs: takes in what agents ship, keeps it, and hands it to whoever follows an app. */
import type { Id } from "@squall/core/ids";
import type { LogAck, LogMessage } from "@squall/protocol/agent";
import type { ServiceDeps } from "@squall/services/context";
import type { FeedEntry } from "@squall/services/log/app-feed";
import { LogFiles } from "@squall/services/log/log-files";
import { findLogOwner } from "@squall/services/log/log-owner";
import { encodeLogFrame, logStream, maxFrameDataBytes } from "@squall/streams/log-frames";
import { AppLogs } from "./app-logs.ts";
import { type AgentSessions, receiveLogs } from "./log-intake.ts";
import type { LogRelay } from "./log-relay.ts";

export interface OpenLogsOptions {
  readonly directory: string;
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "log">;
}

// An app whose logs nobody writes or reads costs one open file.
const maxIdleApps = 500;

/** Opens the folder of logs, made when missing. */
export async function openLogs({ directory, deps }: OpenLogsOptions): Promise<Logs> {
  return new Logs(await LogFiles.open(directory), deps);
}

export class Logs implements LogRelay {
  readonly files: LogFiles;
  readonly #deps: OpenLogsOptions["deps"];
  readonly #apps = new Map<Id<"app">, { readonly logs: Promise<AppLogs>; users: number }>();

  constructor(files: LogFiles, deps: OpenLogsOptions["deps"]) {
    this.files = files;
    this.#deps = deps;
  }

  /** Handler of `AgentLink.Logs`. */
  receive(messages: AsyncIterable<LogMessage>, info: { readonly signal: AbortSignal }, sessions: AgentSessions): AsyncIterable<LogAck> {
    const owner = (containerId: string) => findLogOwner(this.#deps, containerId);
    return receiveLogs({
      messages,
      signal: info.signal,
      sessions,
      files: this.files,
      owner,
      withApp: (appId, act) => this.withApp(appId, act),
      log: this.#deps.log,
    });
  }

  appendSystemLine(appId: Id<"app">, functionId: Id<"function"> | undefined, text: string): void {
    const data = Buffer.from(`${text}\n`).subarray(0, maxFrameDataBytes);
    const bytes = encodeLogFrame({ atMs: this.#deps.clock.now(), stream: logStream.system, data });
    void this.#tolerate(appId, async ({ feed }) => {
      const { offset, lengthBytes } = await this.files.append(systemLogOf(appId), { offset: undefined, bytes });
      await feed.append({ kind: "bytes", ...(functionId === undefined ? {} : { functionId }), offset, lengthBytes });
    });
  }

  appEnded(appId: Id<"app">): void {
    void this.#tolerate(appId, (app) => app.end());
  }

  /** Entries of the app's log after this one, as they come; see `AppLogs.entries`. */
  async *reader(appId: Id<"app">, afterEntryId: number, signal: AbortSignal): AsyncGenerator<FeedEntry, "complete" | "stopped"> {
    const app = await this.#open(appId);
    try {
      return yield* app.entries(afterEntryId, signal);
    } finally {
      await this.#release(appId);
    }
  }

  /** Runs `act` with the app's logs open. */
  async withApp<Result>(appId: Id<"app">, act: (app: AppLogs) => Promise<Result>): Promise<Result> {
    const app = await this.#open(appId);
    try {
      return await act(app);
    } finally {
      await this.#release(appId);
    }
  }

  async close(): Promise<void> {
    await this.#closeIdle(0);
  }

  async #open(appId: Id<"app">): Promise<AppLogs> {
    const open = this.#apps.get(appId) ?? { logs: AppLogs.open(appId, { deps: this.#deps, files: this.files }), users: 0 };
    this.#apps.delete(appId); // to the end: the least recently used is closed first
    this.#apps.set(appId, open);
    open.users += 1;
    try {
      return await open.logs;
    } catch (error) {
      if (this.#apps.get(appId) === open) this.#apps.delete(appId); // the next one tries again
      throw error;
    }
  }

  async #release(appId: Id<"app">): Promise<void> {
    const open = this.#apps.get(appId);
    if (open) open.users -= 1;
    await this.#closeIdle(maxIdleApps);
  }

  async #closeIdle(keep: number): Promise<void> {
    for (const [appId, { logs, users }] of this.#apps) {
      if (this.#apps.size <= keep) return;
      if (users > 0) continue;
      this.#apps.delete(appId);
      await logs.then(
        (app) => app.feed.close(),
        () => {}, // was never open
      );
    }
  }

  /** For news that nobody waits for. */
  async #tolerate(appId: Id<"app">, act: (app: AppLogs) => Promise<void>): Promise<void> {
    try {
      await this.withApp(appId, act);
    } catch (error) {
      this.#deps.log.error({ err: error, appId }, "the logs of an app could not be written");
    }
  }
}

/** The name of the file of our own lines about an app. */
export function systemLogOf(appId: Id<"app">): string {
  return `${appId}.system`;
}
