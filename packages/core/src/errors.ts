/**
 * A refusal that is somebody's to act on. `publicMessage` is shown to the caller: it names the object and the next step and leaks nothing;
 * `cause` goes to the log only. Doors map `code` to their own status in one exhaustive table.
 */
export type ErrorCode =
  | "invalidArgument"
  | "unauthenticated"
  | "permissionDenied"
  | "notFound"
  | "alreadyExists"
  | "failedPrecondition"
  | "resourceExhausted"
  | "aborted"
  | "unavailable"
  | "unimplemented"
  | "internal";

export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly publicMessage: string;
  readonly details: Readonly<Record<string, string>>;
  /** Ask the caller to come back after this long; set with `resourceExhausted` and `unavailable`. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, publicMessage: string, options: { cause?: unknown; details?: Record<string, string>; retryAfterMs?: number } = {}) {
    super(publicMessage, { cause: options.cause });
    this.name = "ServiceError";
    this.code = code;
    this.publicMessage = publicMessage;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}
