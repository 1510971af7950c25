/** The one list of the RPCs that clients and containers may call. */
import { HandlerTable } from "@squall/grpc/handler-table";
import { Inspect } from "@squall/protocol/inspect";
import { ModalClient } from "@squall/protocol/modal";
import { parseAccess } from "@squall/services/authorize";
import type { RunningCluster } from "../agents/start-cluster.ts";
import type { Deps } from "../deps.ts";
import type { BlobUrls } from "../doors/blob-urls.ts";
import type { Procedure } from "../procedure.ts";
import type { Logs } from "../relay/logs.ts";
import { appProcedures } from "./app.ts";
import { appDefinitionProcedures } from "./app-definition.ts";
import { authProcedures } from "./auth.ts";
import { bindProcedures, type Gate } from "./bind.ts";
import { blobProcedures } from "./blob.ts";
import { containerProcedures } from "./container.ts";
import { environmentProcedures } from "./environment.ts";
import { functionProcedures } from "./function.ts";
import { functionCallProcedures } from "./function-call.ts";
import { functionScalingProcedures } from "./function-scaling.ts";
import { imageProcedures } from "./image.ts";
import { inspectProcedures } from "./inspect.ts";
import { logProcedures } from "./log.ts";
import { mountProcedures } from "./mount.ts";
import { secretProcedures } from "./secret.ts";

export interface TableDeps {
  readonly deps: Deps;
  readonly gate: Gate;
  readonly lifecycle: RunningCluster;
  readonly blobUrls: BlobUrls;
  readonly logs: Logs;
}

/** Everything that people and containers may call, each behind its gate. Throws for an RPC that names a right which the role table does not have. */
export function clientTable({ deps, gate, lifecycle, blobUrls, logs }: TableDeps): HandlerTable {
  const procedures = merge([
    authProcedures(deps),
    environmentProcedures(),
    secretProcedures(),
    mountProcedures(deps),
    imageProcedures(),
    blobProcedures({ ...deps, blobUrls }),
    functionProcedures(),
    functionScalingProcedures({ lifecycle }),
    appDefinitionProcedures(deps),
    appProcedures({ ...deps, lifecycle }),
    functionCallProcedures(deps),
    containerProcedures(),
    logProcedures(logs),
  ]);
  const inspect = inspectProcedures({ ...deps, lifecycle });
  for (const { access } of Object.values<Procedure<never, unknown>>({ ...procedures, ...inspect })) if (access) parseAccess(access);
  return new HandlerTable({ unknown: unknownText })
    .add(ModalClient, bindProcedures(ModalClient, procedures, gate))
    .add(Inspect, bindProcedures(Inspect, inspect, gate));
}

/** One object of all; an RPC that two files define is a mistake. */
function merge<Part extends object>(parts: readonly Part[]): UnionToIntersection<Part> {
  const names = parts.flatMap((part) => Object.keys(part));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`two files define the RPC ${twice}`);
  return asAll(Object.assign({}, ...parts));
}

function unknownText(path: string): string {
  const [, service = "", method = ""] = path.split("/");
  if (service !== ModalClient.typeName) return `This server has no service ${service}.`;
  return `${method} is not available on this Squall server yet. docs/status.md lists what is.`;
}

type UnionToIntersection<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void ? All : never;

// `Object.assign` of a list is untyped; names were checked to be distinct.
function asAll<All>(merged: unknown): All {
  return merged as All;
}
