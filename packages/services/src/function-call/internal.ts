import { createHash } from "node:crypto";
import { ServiceError } from "@squall/core/errors";
import { type Id, isId } from "@squall/core/ids";
import type { ObjectStore } from "@squall/objects/object-store";
import type { ServiceContext } from "../context.ts";
import { maxInlineBytes, type StoredBytes } from "../journal/batch.ts";
import type { CallEngine } from "./call-engine.ts";
import type { CallInfo } from "./call-info.ts";
import type { CallTarget } from "./call-target.ts";

/** Accepted inputs of one workspace that have no output yet; more are refused before they are accepted. */
export const maxUnfinishedInputs = 1_000_000;

/** The function of this id in the caller's workspace; to a container, in its environment. */
export async function fetchTarget(ctx: ServiceContext<never>, calls: CallEngine, functionId: string): Promise<CallTarget> {
  const target = isId("function", functionId) ? await calls.targets.get(functionId) : undefined;
  if (target?.policy.workspaceId !== ctx.workspace.id || !(await isInReach(ctx, calls, target)))
    throw new ServiceError("notFound", `Function ${functionId} not found.`);
  return target;
}

/** The call of this id in the caller's workspace; to a container, of a function in its environment. */
export async function fetchCall(ctx: ServiceContext<never>, calls: CallEngine, callId: string): Promise<CallInfo> {
  const info = isId("functionCall", callId) ? await calls.infos.get(callId) : undefined;
  const target = info?.workspaceId === ctx.workspace.id ? await calls.targets.get(info.functionId) : undefined;
  if (info === undefined || target === undefined || !(await isInReach(ctx, calls, target)))
    throw new ServiceError("notFound", `Function call ${callId} not found.`);
  return info;
}

/** Code inside a container reaches its own environment only; ids of others are not found. */
async function isInReach({ actor }: ServiceContext<never>, calls: CallEngine, { environmentId }: CallTarget): Promise<boolean> {
  if (actor.kind !== "container") return true;
  return (await calls.targets.get(actor.functionId))?.environmentId === environmentId;
}

export function refuseStopped(target: CallTarget): void {
  if (target.appState === "stopped" || target.appState === "stopping") {
    throw new ServiceError("failedPrecondition", `App ${target.policy.appId} is stopped: run or deploy it again.`);
  }
}

export function refuseOverflow(calls: CallEngine, workspaceId: Id<"workspace">, added: number): void {
  if (calls.journal.isFull) throw new ServiceError("resourceExhausted", "More calls arrive than can be stored; come back in a moment.", { retryAfterMs: 1000 });
  if (calls.unfinishedInputsOf(workspaceId) + added <= maxUnfinishedInputs) return;
  throw new ServiceError("resourceExhausted", `The workspace has ${maxUnfinishedInputs} unfinished inputs; more are taken when some are done.`, {
    retryAfterMs: 2000,
  });
}

/** Small bytes stay in the row; large ones are durable in objects before this resolves. */
export async function storeBytes(objects: ObjectStore, bytes: Uint8Array, key: string): Promise<StoredBytes> {
  if (bytes.length <= maxInlineBytes) return { bytes };
  await objects.put(key, bytes);
  return { objectKey: key };
}

export async function readBytes(objects: ObjectStore, bytes: Uint8Array | undefined, objectKey: string | undefined): Promise<Uint8Array> {
  if (bytes !== undefined) return bytes;
  if (objectKey === undefined) throw new Error("a row without bytes and without object");
  return await objects.read(objectKey);
}

export function hashRequest(parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "object" ? part : Buffer.from(String(part));
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest();
}
