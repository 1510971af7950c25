/** What a function may ask for and does not get yet: refused when it would run wrongly, warned of when it runs all the same. */
import { ServiceError } from "@squall/core/errors";
import type { Function as FunctionMessage } from "@squall/protocol/modal";

interface Part {
  /** Ends "Function 'x' …". */
  readonly says: string;
  readonly isAsked: (definition: FunctionMessage) => boolean;
}

const refused: readonly Part[] = [
  { says: "is a web endpoint; these come", isAsked: ({ webhookConfig }) => Boolean(webhookConfig?.type) },
  { says: "is a server; these come", isAsked: ({ isServer }) => isServer },
  { says: "mounts a volume; volumes come", isAsked: ({ volumeMounts }) => volumeMounts.length > 0 },
  { says: "mounts a network file system; volumes come", isAsked: ({ sharedVolumeMounts }) => sharedVolumeMounts.length > 0 },
  { says: "mounts a cloud bucket; these come", isAsked: ({ cloudBucketMounts, s3Mounts }) => cloudBucketMounts.length + s3Mounts.length > 0 },
  { says: "uses a proxy; proxies come", isAsked: ({ proxyId }) => proxyId !== undefined && proxyId !== "" },
  { says: "sets restrict_modal_access; that comes", isAsked: ({ untrusted }) => untrusted },
  { says: "is clustered over several containers; that comes", isAsked: ({ ExperimentalGroupSize }) => ExperimentalGroupSize > 1 },
];

const ignored: readonly Part[] = [
  { says: "has a schedule; it does not fire yet.", isAsked: ({ schedule }) => schedule?.scheduleOneof.case !== undefined },
  { says: "asks for memory snapshots; it starts without them for now.", isAsked: ({ checkpointingEnabled }) => checkpointingEnabled },
  {
    says: "names a cloud or region; it runs on the machines of this installation.",
    isAsked: ({ cloudProviderStr, schedulerPlacement }) => cloudProviderStr !== "" || (schedulerPlacement?.regions.length ?? 0) > 0,
  },
];

/** Throws `unimplemented` for what cannot be done without; calls `warn` for what is left out. */
export function checkSupport(definition: FunctionMessage, warn: (text: string) => void): void {
  const name = `Function '${definition.functionName}'`;
  const missing = refused.find(({ isAsked }) => isAsked(definition));
  if (missing) throw new ServiceError("unimplemented", `${name} ${missing.says} with a later version of Squall.`);
  for (const { says, isAsked } of ignored) if (isAsked(definition)) warn(`${name} ${says}`);
}
