/** Images and client bundles of this machine, by `@squall/imagefs`; what was resolved once is not looked up again. */
import { ensureClientBundle } from "@squall/imagefs/client-bundle";
import { createRootSource } from "@squall/imagefs/root-source";
import type { ImageSources } from "./hooks/image.ts";

export function imageSources(cacheDir: string): ImageSources {
  const roots = createRootSource({ cacheDir });
  const trees = new Remembered((imageKey: string) => roots.resolve(imageKey).then(({ treePath }) => treePath));
  const bundles = new Remembered((key: string) => {
    const [clientVersion = "", builderVersion = "", imageKey = ""] = key.split("\n");
    return ensureClientBundle({ cacheDir, clientVersion, builderVersion, imageKey });
  });
  return {
    resolveTree: (imageKey) => trees.get(imageKey),
    resolveBundle: ({ clientVersion, builderVersion, imageKey }) => bundles.get([clientVersion, builderVersion, imageKey].join("\n")),
  };
}

/** Successes only: what failed is tried again. Callers at the same time share one try. */
class Remembered<Value> {
  readonly #make: (key: string) => Promise<Value>;
  readonly #values = new Map<string, Promise<Value>>();

  constructor(make: (key: string) => Promise<Value>) {
    this.#make = make;
  }

  get(key: string): Promise<Value> {
    const known = this.#values.get(key);
    if (known) return known;
    const made = this.#make(key);
    this.#values.set(key, made);
    made.catch(() => this.#values.delete(key));
    return made;
  }
}
