import type { Id } from "@squall/core/ids";

/** A named scope inside a workspace: `main`, `dev`. */
export interface Environment {
  readonly id: Id<"environment">;
  readonly name: string;
  readonly isDefault: boolean;
  /** Added to host names of web endpoints. */
  readonly webSuffix: string;
  readonly createdAtMs: number;
}
