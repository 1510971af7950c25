/**
 * What a container finds behind its socket: the hot path answered here, everything else passed to the control plane with the container's identity. A
 * container proves who it is by the socket alone; what it claims in a message or a header is not believed.
 */
import { type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type CallInfo, GrpcError, type Implementation, statusCode } from "@squall/grpc/handler";
import { HandlerTable, pathOf } from "@squall/grpc/handler-table";
import { ModalClient } from "@squall/protocol/modal";
import type { CallRelay } from "./call-relay.ts";
import { type GatewayContainer, localProcedures } from "./procedures.ts";

export interface GatewayOptions {
  readonly relay: CallRelay;
  /** The live container of this id. */
  readonly find: (containerId: string) => GatewayContainer | undefined;
  /** Where containers fetch and put blobs. */
  readonly blobBaseUrl: string;
}

/** Procedures for every RPC of the client. The peer of a call is the id of the container whose door it came through. */
export function gatewayTable({ relay, find, blobBaseUrl }: GatewayOptions): HandlerTable {
  const containerOf = (info: CallInfo) => {
    const container = find(peerId(info));
    if (!container) throw new GrpcError(statusCode.unavailable, "this container has ended");
    return container;
  };
  const relayed = Object.fromEntries(ModalClient.methods.map((method) => [method.localName, relayProcedure(method, { relay, blobBaseUrl })]));
  const stop = relayed["containerStop"];
  const table = new HandlerTable();
  return table.add(ModalClient, {
    ...asImplementation(relayed),
    ...localProcedures(containerOf),
    containerStop: async (request, info) => {
      const container = containerOf(info);
      if (request.taskId === "" || request.taskId === container.containerId) {
        container.stopAsked();
        return {};
      }
      return asUnary(stop)(request, info);
    },
  });
}

type Relayed = (request: Message | AsyncIterable<Message>, info: CallInfo) => unknown;

function relayProcedure(method: DescMethod, { relay, blobBaseUrl }: Pick<GatewayOptions, "relay" | "blobBaseUrl">): Relayed {
  const path = pathOf(method);
  const isUnaryAnswer = method.methodKind === "unary" || method.methodKind === "client_streaming";
  const answers = (request: Message | AsyncIterable<Message>, info: CallInfo) =>
    relay.call(
      {
        containerId: peerId(info),
        path,
        metadata: passedMetadata(info.headers),
        blobBaseUrl,
        timeoutMs: Math.max(0, Math.ceil(info.timeoutMs() ?? 0)),
        requests: encoded(method, request),
        signal: info.signal,
      },
      {
        ended: (end) => {
          for (const [name, value] of Object.entries(end.trailers)) info.setTrailer(name, value);
          if (end.details.length > 0) info.setTrailer("grpc-status-details-bin", Buffer.from(end.details).toString("base64"));
        },
      },
    );
  if (isUnaryAnswer) return async (request, info) => only(method, answers(request, info));
  return (request, info) => decoded(method, answers(request, info));
}

async function only(method: DescMethod, answers: AsyncIterable<Uint8Array>): Promise<Message> {
  let answer: Uint8Array | undefined;
  for await (const message of answers) answer = message;
  if (!answer) throw new GrpcError(statusCode.internal, `${method.name} ended without an answer`);
  return fromBinary(method.output, answer);
}

async function* decoded(method: DescMethod, answers: AsyncIterable<Uint8Array>): AsyncGenerator<Message> {
  for await (const message of answers) yield fromBinary(method.output, message);
}

async function* encoded(method: DescMethod, request: Message | AsyncIterable<Message>): AsyncGenerator<Uint8Array> {
  if (Symbol.asyncIterator in request) for await (const message of request) yield toBinary(method.input, message);
  else yield toBinary(method.input, request);
}

const dropped = /^(:|grpc-|x-modal-token-|x-squall-)|^(authorization|cookie|connection|content-type|content-length|te|host|user-agent)$/;

/** What a handler may want to read, without credentials: a container has none, and whoever sends some has them from elsewhere. */
export function passedMetadata(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined || dropped.test(name) ? [] : [[name, value]])));
}

/** Doors of containers put the container's id there (`main.ts`). */
function peerId(info: CallInfo): string {
  return String(info.peer);
}

/** Each handler was made for the method of its name: `relayProcedure` follows the method's kind. */
function asImplementation(procedures: Record<string, Relayed>): Implementation<typeof ModalClient> {
  return procedures as Implementation<typeof ModalClient>;
}

/** As above, for ContainerStop, which is unary. */
function asUnary(procedure: Relayed | undefined): NonNullable<Implementation<typeof ModalClient>["containerStop"]> {
  return procedure as NonNullable<Implementation<typeof ModalClient>["containerStop"]>;
}
