/** Puts authentication, authorisation and the mapping of errors around the procedures of a service. */
import { randomUUID } from "node:crypto";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import type { Id } from "@squall/core/ids";
import type { CallInfo, Implementation } from "@squall/grpc/handler";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import type { Caller } from "../deps.ts";
import { isFault, toGrpcError } from "../errors.ts";
import { asPeer } from "../peer.ts";
import { type Access, type Call, isProcedure, type Procedure, type Procedures } from "../procedure.ts";

export interface Gate {
  readonly deps: ServiceDeps;
  /** Undefined when the token does not exist, is revoked, or has another secret. */
  readonly authenticateToken: (tokenId: string, secret: string) => Promise<Caller | undefined>;
  /** Undefined unless the container lives and this worker holds it. */
  readonly authenticateContainer: (containerId: Id<"container">, workerId: Id<"worker">) => Promise<Caller | undefined>;
  /** Throws `permissionDenied` unless the role table allows it. */
  readonly authorize: (ctx: ServiceContext, access: Access) => void;
}

/** The handlers of `service`. Throws when something in `procedures` was not made by `procedure()` or is no method of the service. */
export function bindProcedures<Service extends DescService>(service: Service, procedures: Procedures<Service>, gate: Gate): Implementation<Service> {
  const bound: Record<string, unknown> = {};
  for (const [name, one] of Object.entries<unknown>(procedures)) {
    const method = service.methods.find((each) => each.localName === name);
    if (!method) throw new Error(`${service.typeName} has no method ${name}`);
    if (!isProcedure(one)) throw new Error(`${service.typeName}.${name} was not made by procedure()`);
    bound[name] = isUnaryOut(method) ? bindUnary(one, gate) : bindStream(one, gate);
  }
  return asImplementation(bound);
}

function bindUnary({ access, run }: Procedure<unknown, unknown>, gate: Gate) {
  return async (request: unknown, info: CallInfo): Promise<unknown> => {
    const requestId = randomUUID();
    try {
      return await run(request, await open(gate, { access, info, requestId }));
    } catch (error) {
      throw refuse(gate, { error, info, requestId });
    }
  };
}

function bindStream({ access, run }: Procedure<unknown, unknown>, gate: Gate) {
  return async function* (request: unknown, info: CallInfo): AsyncIterable<unknown> {
    const requestId = randomUUID();
    try {
      yield* asStream(run(request, await open(gate, { access, info, requestId })));
    } catch (error) {
      throw refuse(gate, { error, info, requestId });
    }
  };
}

interface Opening {
  readonly access: Access | undefined;
  readonly info: CallInfo;
  readonly requestId: string;
}

async function open(gate: Gate, { access, info, requestId }: Opening): Promise<Call> {
  const warnings: string[] = [];
  const warn = (text: string) => {
    warnings.push(text);
    info.setTrailer("x-modal-warning", encodeURIComponent(warnings.join("\n")));
  };
  if (access === undefined) return withoutContext({ info, requestId, warn });
  const { actor, workspace } = await authenticate(gate, info);
  const ctx: ServiceContext = {
    actor,
    workspace,
    requestId,
    idempotencyKey: info.headers["x-idempotency-key"],
    clientVersion: info.headers["x-modal-client-version"],
    deps: gate.deps,
  };
  gate.authorize(ctx, access);
  return { info, requestId, warn, ctx };
}

async function authenticate(gate: Gate, info: CallInfo): Promise<Caller> {
  const peer = asPeer(info.peer);
  if (peer.kind === "container") {
    const caller = await gate.authenticateContainer(peer.containerId, peer.workerId);
    if (!caller) throw new ServiceError("unauthenticated", `Container ${peer.containerId} is not running.`);
    return caller;
  }
  const tokenId = info.headers["x-modal-token-id"];
  const secret = info.headers["x-modal-token-secret"];
  if (!tokenId || !secret)
    throw new ServiceError("unauthenticated", "Token missing. Set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET to the token that this server printed at its start.");
  const caller = await gate.authenticateToken(tokenId, secret);
  if (!caller)
    throw new ServiceError("unauthenticated", "Token ID and secret do not match a token of this server. Check MODAL_TOKEN_ID and MODAL_TOKEN_SECRET.");
  return caller;
}

function refuse(gate: Gate, { error, info, requestId }: { readonly error: unknown; readonly info: CallInfo; readonly requestId: string }) {
  if (isFault(error) && !info.signal.aborted) gate.deps.log.error({ err: error, rpc: info.path, requestId }, "rpc failed");
  return toGrpcError(error, requestId);
}

function isUnaryOut(method: DescMethod): boolean {
  return method.methodKind === "unary" || method.methodKind === "client_streaming";
}

// `Procedures` has checked each procedure's request and response against its method; the table is built by name, where types do not reach.
function asImplementation<Service extends DescService>(bound: Record<string, unknown>): Implementation<Service> {
  return bound as Implementation<Service>;
}

// As above: the procedure of a streaming method returns a stream.
function asStream(value: unknown): AsyncIterable<unknown> {
  return value as AsyncIterable<unknown>;
}

// A public procedure's handler takes a `PublicCall`: it cannot see that there is no context.
function withoutContext(call: Omit<Call, "ctx">): Call {
  return call as Call;
}
