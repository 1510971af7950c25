import { ServiceError } from "@squall/core/errors";
import type { SecretValues } from "./seal-values.ts";

const keyShape = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const maxKeys = 200;
const maxBytes = 256 * 1024; // what an exec may carry as environment is 2 MiB; several secrets share it

/** Values as a container can have them as environment variables; throws `invalidArgument`, naming the key and never the value. */
export function parseSecretValues(values: SecretValues): SecretValues {
  const entries = Object.entries(values);
  if (entries.length > maxKeys) throw new ServiceError("invalidArgument", `A secret has at most ${maxKeys} keys; this one has ${entries.length}.`);
  for (const [key, value] of entries) {
    if (!keyShape.test(key)) {
      throw new ServiceError(
        "invalidArgument",
        `Invalid secret key ${JSON.stringify(key.slice(0, 80))}. Use letters, digits and underscores, not beginning with a digit.`,
      );
    }
    if (value.includes("\0"))
      throw new ServiceError("invalidArgument", `The value of secret key '${key}' holds a zero byte, which no environment variable can.`);
  }
  const bytes = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (bytes > maxBytes)
    throw new ServiceError("invalidArgument", `A secret holds at most ${maxBytes / 1024} KiB; this one has ${Math.ceil(bytes / 1024)} KiB.`);
  return Object.fromEntries(entries); // an object of ours, with own keys only
}
