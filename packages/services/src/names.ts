import { ServiceError } from "@squall/core/errors";

const shape = /^[A-Za-z0-9._-]{1,64}$/;
const idShape = /^[a-z]{2}-[0-9A-Za-z]{22}$/;

/**
 * `name` for an object of kind `noun`; throws `invalidArgument` unless it has 1 to 64 letters, digits, dots, dashes and underscores and does not look
 * like an id.
 */
export function parseName(noun: string, name: string): string {
  if (!shape.test(name)) {
    throw new ServiceError(
      "invalidArgument",
      `Invalid ${noun} name ${JSON.stringify(name.slice(0, 80))}. Use 1 to 64 letters, digits, dots, dashes and underscores.`,
    );
  }
  if (idShape.test(name)) throw new ServiceError("invalidArgument", `Invalid ${noun} name '${name}': it looks like an id.`);
  return name;
}
