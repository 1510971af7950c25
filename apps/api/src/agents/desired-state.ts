/** What a worker is told of a container: everything it needs to start it without asking back. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import { mebibyte } from "@squall/core/resources";
import { type DesiredContainer, DesiredContainerSchema } from "@squall/protocol/agent";
import { type AppLayout, ContainerArgumentsSchema, FunctionSchema$ } from "@squall/protocol/modal";
import { getAppLayout } from "@squall/services/app-definition/layout";
import type { ContainerRecord } from "@squall/services/cluster/state";
import { type ContainerRecipe, readContainerRecipe } from "@squall/services/container/read-recipe";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import { revealSecrets } from "@squall/services/secret/reveal";
import { appLayoutMessage } from "../wire/function.ts";

/** Limit of a container whose function names no memory: it reserves 128 MiB and may use this much. */
export const defaultMemoryLimitBytes = 1024 * mebibyte;
const recipeKeptMs = 2_000; // containers of one burst share the reading; a secret that changes is seen by the next
const stopGraceMs = 30_000;
const functionDefField = 7; // ContainerArguments.function_def

export interface DesiredContainersOptions {
  readonly deps: ServiceDeps;
  /** A container that cannot be described will never start. */
  readonly failed: (containerId: Id<"container">, message: string) => void;
}

interface Prepared {
  readonly recipe: ContainerRecipe;
  readonly layout: AppLayout;
  readonly environment: Readonly<Record<string, string>>;
}

export class DesiredContainers {
  readonly #options: DesiredContainersOptions;
  readonly #prepared = new Map<Id<"function">, { readonly untilMs: number; readonly value: Promise<Prepared> }>();

  constructor(options: DesiredContainersOptions) {
    this.#options = options;
  }

  /**
   * These containers as their worker wants them, without those that are to stop or have ended. One that its worker has reported is named only: a worker
   * never starts a container twice and reads no more of it.
   */
  async read(containers: readonly ContainerRecord[]): Promise<DesiredContainer[]> {
    const read = await Promise.all(containers.filter(isWanted).map((container) => this.#readOne(container)));
    return read.filter((entry) => entry !== undefined && isWanted(entry.container)).flatMap((entry) => entry?.desired ?? []);
  }

  async #readOne(container: ContainerRecord): Promise<{ container: ContainerRecord; desired: DesiredContainer } | undefined> {
    const { containerId, appId, functionId, workspaceId } = container;
    if (container.isReported) return { container, desired: create(DesiredContainerSchema, { containerId, generation: 1n, appId, functionId, workspaceId }) };
    try {
      return { container, desired: desiredContainer(container, await this.#prepare(functionId)) };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      this.#options.failed(containerId, error.publicMessage);
      return undefined;
    }
  }

  #prepare(functionId: Id<"function">): Promise<Prepared> {
    const nowMs = this.#options.deps.clock.monotonic();
    const known = this.#prepared.get(functionId);
    if (known !== undefined && known.untilMs > nowMs) return known.value;
    for (const [id, { untilMs }] of this.#prepared) if (untilMs <= nowMs) this.#prepared.delete(id);
    const value = this.#readAll(functionId);
    value.catch(() => this.#prepared.delete(functionId)); // whoever waits for it learns why; the next one reads again
    this.#prepared.set(functionId, { untilMs: nowMs + recipeKeptMs, value });
    return value;
  }

  async #readAll(functionId: Id<"function">): Promise<Prepared> {
    const { deps } = this.#options;
    const recipe = await readContainerRecipe({ deps, functionId });
    const ctx: ServiceContext = {
      actor: { kind: "system", name: "placement" },
      workspace: { id: recipe.workspaceId, name: recipe.workspaceName },
      requestId: functionId,
      idempotencyKey: undefined,
      clientVersion: undefined,
      deps,
    };
    const [layout, secrets] = await Promise.all([
      getAppLayout({ ctx, input: { appId: recipe.appId } }),
      revealSecrets({ ctx, input: { secretIds: recipe.secretIds } }),
    ]);
    return { recipe, layout: appLayoutMessage(layout), environment: Object.assign({}, ...secrets.map((secret) => secret.values)) };
  }
}

function isWanted({ state, stop }: ContainerRecord): boolean {
  return stop === undefined && state !== "exited";
}

function desiredContainer({ containerId, resources, gpuType }: ContainerRecord, { recipe, layout, environment }: Prepared): DesiredContainer {
  const { resources: asked } = fromBinary(FunctionSchema$, recipe.definition);
  const limitMiB = asked?.memoryMbMax || asked?.memoryMb || 0;
  return create(DesiredContainerSchema, {
    containerId,
    generation: 1n,
    appId: recipe.appId,
    functionId: recipe.functionId,
    workspaceId: recipe.workspaceId,
    environmentName: recipe.environmentName,
    functionName: recipe.tag,
    arguments: containerArguments(containerId, recipe, layout),
    imageId: recipe.imageId,
    imageKey: recipe.imageKey,
    clientVersion: recipe.clientVersion,
    imageBuilderVersion: recipe.builderVersion,
    files: recipe.files.map(({ path, sha256, mode, sizeBytes }) => ({ path, sha256, mode, sizeBytes: BigInt(sizeBytes) })),
    environment: { ...environment },
    milliCpu: resources.milliCpu,
    memoryBytes: BigInt(limitMiB === 0 ? defaultMemoryLimitBytes : limitMiB * mebibyte),
    gpuType: gpuType ?? "",
    gpuCount: resources.gpu?.count ?? 0,
    diskBytes: BigInt((asked?.ephemeralDiskMb ?? 0) * mebibyte),
    startupTimeoutMs: recipe.startupTimeoutMs,
    inputTimeoutMs: BigInt(recipe.timeoutMs),
    stopGraceMs,
    blockNetwork: recipe.blockNetwork,
    isGenerator: recipe.isGenerator,
    maxConcurrentInputs: recipe.maxConcurrentInputs,
  });
}

/** The definition is spliced in as the client sent it, so that fields which we do not know reach the container. */
function containerArguments(containerId: Id<"container">, recipe: ContainerRecipe, appLayout: AppLayout): Uint8Array {
  const known: MessageInitShape<typeof ContainerArgumentsSchema> = {
    taskId: containerId,
    functionId: recipe.functionId,
    appId: recipe.appId,
    environmentName: recipe.environmentName,
    appLayout,
  };
  const head = toBinary(ContainerArgumentsSchema, create(ContainerArgumentsSchema, known));
  return Buffer.concat([head, varint((functionDefField << 3) | 2), varint(recipe.definition.length), recipe.definition]);
}

/** Protobuf's variable-length form of a whole number from 0. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
