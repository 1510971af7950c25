import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { BidiHandler, CallInfo, ClientStreamHandler, GrpcError, Implementation, ServerStreamHandler, UnaryHandler } from "./handler.ts";

/** One RPC and the code behind it, by its kind. */
export type TableEntry = { readonly method: DescMethod } & (
  | { readonly kind: "unary"; readonly handler: UnaryHandler }
  | { readonly kind: "server_streaming"; readonly handler: ServerStreamHandler }
  | { readonly kind: "client_streaming"; readonly handler: ClientStreamHandler }
  | { readonly kind: "bidi_streaming"; readonly handler: BidiHandler }
);

/** Everything that is served, by `/package.Service/Method`: the one list behind every door. */
export class HandlerTable {
  readonly #entries = new Map<string, TableEntry>();
  readonly #services: DescService[] = [];
  readonly #unknown: (path: string) => string;

  /** `unknown` words the answer to a path that has no handler. */
  constructor({ unknown = (path: string) => `${path} is not implemented by this server` }: { readonly unknown?: (path: string) => string } = {}) {
    this.#unknown = unknown;
  }

  /** Adds a service; a path may be added once. */
  add<Service extends DescService>(service: Service, implementation: Implementation<Service>): this {
    this.#services.push(service);
    for (const method of service.methods) {
      const handler = handlerOf(implementation, method.localName);
      if (handler === undefined) continue;
      const path = pathOf(method);
      if (this.#entries.has(path)) throw new Error(`${path} has two handlers`);
      this.#entries.set(path, entryOf(method, handler));
    }
    return this;
  }

  find(path: string): TableEntry | undefined {
    return this.#entries.get(path);
  }

  /** The text of the UNIMPLEMENTED answer for `path`. */
  unknownText(path: string): string {
    return this.#unknown(path);
  }

  get services(): readonly DescService[] {
    return this.#services;
  }

  get paths(): readonly string[] {
    return [...this.#entries.keys()];
  }
}

/** Reported for everything that a handler threw and that the caller is not told of. */
export type OnHandlerFault = (fault: { readonly error: unknown; readonly told: GrpcError; readonly info: Pick<CallInfo, "path" | "headers"> }) => void;

/** `/package.Service/Method` */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

// `Implementation` has checked the handler against the method of this name; here the name is a plain string.
function handlerOf(implementation: object, localName: string): unknown {
  return (implementation as Record<string, unknown>)[localName];
}

// As above: the method's kind says which of the four shapes the checked handler has.
function entryOf(method: DescMethod, handler: unknown): TableEntry {
  return { method, kind: method.methodKind, handler } as TableEntry;
}
