/** The gRPC door's words for what went wrong: one status per error code, what the client shall do, and what stays inside. */
import { create, toBinary } from "@bufbuild/protobuf";
import { type ErrorCode, ServiceError } from "@squall/core/errors";
import { GrpcError, type StatusCode, statusCode } from "@squall/grpc/handler";
import { RPCRetryPolicySchema } from "@squall/protocol/modal";

const statusOf = {
  invalidArgument: statusCode.invalidArgument,
  unauthenticated: statusCode.unauthenticated,
  permissionDenied: statusCode.permissionDenied,
  notFound: statusCode.notFound,
  alreadyExists: statusCode.alreadyExists,
  failedPrecondition: statusCode.failedPrecondition,
  resourceExhausted: statusCode.resourceExhausted,
  aborted: statusCode.aborted,
  unavailable: statusCode.unavailable,
  unimplemented: statusCode.unimplemented,
  internal: statusCode.internal,
} satisfies Record<ErrorCode, StatusCode>;

/**
 * What the caller is told. A `ServiceError` speaks for itself; whatever else was thrown is a bug and becomes INTERNAL with the request's id, which the
 * log has beside the cause. `retryAfterMs` travels as RPCRetryPolicy: clients then sleep and come back without counting it as a failure.
 */
export function toGrpcError(error: unknown, requestId: string): GrpcError {
  if (error instanceof GrpcError) return error;
  if (!(error instanceof ServiceError)) return new GrpcError(statusCode.internal, `internal error, request ${requestId}`, { cause: error });
  const details = error.retryAfterMs === undefined ? [] : [retryPolicy(error.retryAfterMs)];
  return new GrpcError(statusOf[error.code], error.publicMessage, { cause: error, details });
}

/** Whether it is a fault of ours that the log must have. */
export function isFault(error: unknown): boolean {
  if (error instanceof ServiceError) return error.code === "internal";
  return !(error instanceof GrpcError);
}

function retryPolicy(retryAfterMs: number) {
  return {
    typeName: RPCRetryPolicySchema.typeName,
    value: toBinary(RPCRetryPolicySchema, create(RPCRetryPolicySchema, { retryAfterSecs: retryAfterMs / 1000 })),
  };
}
