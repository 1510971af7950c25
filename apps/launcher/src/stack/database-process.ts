import { type EmbeddedPostgres, startEmbeddedPostgres } from "@squall/db/embedded/postgres";
import { migrate } from "@squall/db/migrate";
import { roleUrl } from "@squall/db/role-url";
import { countDeath, restartDelayMs } from "@squall/keeper/back-off";
import type { Paths } from "../paths.ts";
import { say } from "../say.ts";

/** The instance's PostgreSQL: our own server, started again when it dies, or the one that DATABASE_URL names. */
export class DatabaseProcess {
  readonly #paths: Paths;
  readonly #run: string;
  readonly #externalUrl: string | undefined;
  #server: EmbeddedPostgres | undefined;
  #starting: Promise<EmbeddedPostgres> | undefined;
  #stopping = false;
  #quickDeaths = 0;

  constructor(paths: Paths, run: string, externalUrl: string | undefined) {
    this.#paths = paths;
    this.#run = run;
    this.#externalUrl = externalUrl;
  }

  /** Pid of the server; undefined between two lives, and when the server is not ours. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Starts the server and brings the schema up to date. */
  async start(): Promise<void> {
    if (this.#externalUrl === undefined) await this.#startServer();
    await migrate(this.#externalUrl ?? this.#started().urlFor("owner"));
  }

  /** Environment of the api: one connection string for each of its two roles. */
  urls(): { readonly DATABASE_URL_APP: string; readonly DATABASE_URL_ENGINE: string } {
    const url = this.#externalUrl;
    if (url === undefined) return { DATABASE_URL_APP: this.#started().urlFor("squall_app"), DATABASE_URL_ENGINE: this.#started().urlFor("squall_engine") };
    return { DATABASE_URL_APP: roleUrl(url, "squall_app"), DATABASE_URL_ENGINE: roleUrl(url, "squall_engine") };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const server = await this.#starting?.catch(() => undefined);
    await server?.stop();
  }

  async #startServer(): Promise<void> {
    if (this.#stopping) return;
    const startedAt = performance.now();
    this.#starting = startEmbeddedPostgres({ ...this.#paths, run: this.#run });
    const server = await this.#starting;
    this.#server = server;
    server.onExit(({ asked, code, signal }) => {
      this.#server = undefined;
      if (asked || this.#stopping) return;
      this.#quickDeaths = countDeath(this.#quickDeaths, performance.now() - startedAt);
      say(`PostgreSQL ended (${signal ?? `exit code ${code}`}); starting it again`);
      setTimeout(() => void this.#restart(), restartDelayMs(this.#quickDeaths));
    });
  }

  async #restart(): Promise<void> {
    await this.#startServer().catch((error: unknown) => {
      say(String(error));
      this.#quickDeaths += 1;
      setTimeout(() => void this.#restart(), restartDelayMs(this.#quickDeaths));
    });
  }

  #started(): EmbeddedPostgres {
    if (!this.#server) throw new Error("PostgreSQL is not running");
    return this.#server;
  }
}
