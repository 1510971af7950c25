import type { Id } from "@squall/core/ids";

/** Named values that containers get as environment variables. This is all that anybody may read of it: its values go to containers only. */
export interface Secret {
  readonly id: Id<"secret">;
  /** Undefined for one that belongs to an app. */
  readonly name: string | undefined;
  readonly environmentName: string;
  readonly keys: readonly string[];
  readonly version: number;
  readonly createdAtMs: number;
  /** The user's name, or the id of the container. */
  readonly createdBy: string;
  readonly lastUsedAtMs: number | undefined;
}
