/**
 * Every RPC that clients and containers may call is made here: `procedure` names what it touches and how, and nothing runs before the caller is known
 * and allowed to. The api does not boot with an RPC that was made otherwise.
 */
import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { CallInfo } from "@squall/grpc/handler";
import type { ServiceContext } from "@squall/services/context";

/** What a procedure touches and what it does to it: a cell of the role table (`services/authorize.ts`). */
export interface Access {
  readonly resource: string;
  readonly action: string;
}

/** One request of a known caller. */
export interface Call extends PublicCall {
  readonly ctx: ServiceContext;
}

/** One request of a caller that nobody has checked. */
export interface PublicCall {
  readonly info: CallInfo;
  readonly requestId: string;
  /** Shows `text` to the user once, after the answer (trailer `x-modal-warning`): for what is honoured only in part. */
  warn(text: string): void;
}

/** An RPC with the right it needs; `access` is undefined for the few that need no credentials. */
export interface Procedure<Request, Response> {
  readonly access: Access | undefined;
  readonly run: (request: Request, call: Call) => Response;
}

type RequestOf<Method extends DescMethod> = Method extends { methodKind: "unary" | "server_streaming" }
  ? MessageShape<Method["input"]>
  : AsyncIterable<MessageShape<Method["input"]>>;
type ResponseOf<Method extends DescMethod> = Method extends { methodKind: "unary" | "client_streaming" }
  ? Promise<MessageInitShape<Method["output"]>>
  : AsyncIterable<MessageInitShape<Method["output"]>>;

/** What the file of a noun returns: some procedures of `Service` by the generated local name. Use with `satisfies`. */
export type Procedures<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]?: Procedure<RequestOf<Service["method"][Name]>, ResponseOf<Service["method"][Name]>>;
};

const made = new WeakSet<object>();

/** An RPC for callers whose role allows `access`. The handler calls one verb and maps its result; verbs authorise again. */
export function procedure<Request, Response>(access: Access, handler: (request: Request, call: Call) => Response): Procedure<Request, Response> {
  return keep({ access, run: handler });
}

/**
 * An RPC that needs no credentials.
 * @public none needs it yet
 */
export function publicProcedure<Request, Response>(handler: (request: Request, call: PublicCall) => Response): Procedure<Request, Response> {
  return keep({ access: undefined, run: handler });
}

/** Whether `value` came out of `procedure` or `publicProcedure`. */
export function isProcedure(value: unknown): value is Procedure<unknown, unknown> {
  return typeof value === "object" && value !== null && made.has(value);
}

function keep<Request, Response>(one: Procedure<Request, Response>): Procedure<Request, Response> {
  made.add(one);
  return one;
}
