import { randomBytes, randomInt } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What identifies an instance. Made once per home, kept there. */
export interface Instance {
  /** Six lower-case letters; every host object of the instance is named `sq-<instance>-…`. */
  readonly name: string;
  readonly operator: { readonly token_id: string; readonly token_secret: string };
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const letters = "abcdefghijklmnopqrstuvwxyz";

/** Makes the home folder and its identity files where they are missing; what exists is kept. Everything secret is readable by root only. */
export function openInstance(home: string): Instance {
  mkdirSync(home, { recursive: true });
  chmodSync(home, 0o711); // container users pass through to their own folders, and list nothing
  for (const folder of ["hold", "logs", "service-logs", "objects", "agent"]) mkdirSync(join(home, folder), { recursive: true, mode: 0o711 });
  const name = keep(join(home, "instance"), 0o644, () => random(letters, 6));
  keep(join(home, "master.key"), 0o600, () => randomBytes(32).toString("base64"));
  keep(join(home, "worker-token"), 0o600, () => `wk-${random(base62, 43)}`);
  const operator = keep(join(home, "operator.json"), 0o600, () =>
    JSON.stringify({ token_id: `ak-${random(base62, 22)}`, token_secret: `as-${random(base62, 43)}` }),
  );
  return { name, operator: JSON.parse(operator) };
}

/** The file's text, made and renamed into place when the file does not exist. */
function keep(path: string, mode: number, make: () => string): string {
  if (!existsSync(path)) {
    writeFileSync(`${path}.aside`, `${make()}\n`, { mode });
    renameSync(`${path}.aside`, path);
  }
  return readFileSync(path, "utf8").trim();
}

function random(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("");
}
