/** A call's outcome as trailers, and back. */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { GrpcError, type StatusCode, statusCode } from "./handler.ts";

type Details = GrpcError["details"];
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const typeUrlPrefix = "type.googleapis.com/";

/** Trailers of success. */
export const okTrailers: Readonly<Record<string, string>> = { "grpc-status": "0" };

/** Trailers that say `error`. */
export function errorTrailers({ code, message, details }: GrpcError): Record<string, string> {
  const trailers: Record<string, string> = { "grpc-status": String(code), "grpc-message": encodeMessage(message) };
  if (details.length > 0) trailers["grpc-status-details-bin"] = encodeBinary(encodeDetails(code, message, details));
  return trailers;
}

/** The error that trailers tell of; undefined for success. */
export function errorOf(trailers: Headers): GrpcError | undefined {
  const status = single(trailers["grpc-status"]);
  if (status === "0") return undefined;
  if (status === undefined) return new GrpcError(statusCode.unavailable, "the connection ended before the call did");
  const binary = single(trailers["grpc-status-details-bin"]);
  const details = binary === undefined ? [] : decodeDetails(Buffer.from(binary, "base64"));
  return new GrpcError(asStatusCode(Number(status)), decodeMessage(single(trailers["grpc-message"]) ?? ""), { details });
}

/** What the caller is told of something thrown: a GrpcError speaks for itself, the text of anything else stays here. */
export function toldOf(error: unknown): GrpcError {
  return error instanceof GrpcError ? error : new GrpcError(statusCode.internal, "internal error", { cause: error });
}

/** google.rpc.Status, which no package of ours generates: code 1, message 2, details 3 (Any: type URL 1, value 2). */
export function encodeDetails(code: StatusCode, message: string, details: Details): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.Varint).int32(code).tag(2, WireType.LengthDelimited).string(message);
  for (const { typeName, value } of details) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(typeUrlPrefix + typeName);
    writer.tag(2, WireType.LengthDelimited).bytes(value).join();
  }
  return writer.finish();
}

/** The details of an encoded google.rpc.Status; what cannot be read is left out. */
export function decodeDetails(bytes: Uint8Array): Details {
  try {
    return fields(bytes).flatMap(({ field, value }) => (field === 3 && value ? [decodeAny(value)] : []));
  } catch {
    return []; // a hint that cannot be read is no reason to lose the error that it belongs to
  }
}

function decodeAny(bytes: Uint8Array): Details[number] {
  const found = new Map(fields(bytes).map(({ field, value }) => [field, value ?? new Uint8Array()]));
  const typeUrl = Buffer.from(found.get(1) ?? []).toString();
  return { typeName: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value: found.get(2) ?? new Uint8Array() };
}

function fields(bytes: Uint8Array): { field: number; value: Uint8Array | undefined }[] {
  const reader = new BinaryReader(bytes);
  const found: { field: number; value: Uint8Array | undefined }[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const isBytes = wireType === WireType.LengthDelimited;
    found.push({ field, value: isBytes ? reader.bytes() : undefined });
    if (!isBytes) reader.skip(wireType);
  }
  return found;
}

// Clients undo it byte by byte; encodeURIComponent refuses unpaired surrogates.
function encodeMessage(message: string): string {
  return encodeURIComponent(message.toWellFormed());
}

function decodeMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message; // a peer that does not encode
  }
}

function encodeBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "object" ? value[0] : value;
}

const known = new Map<number, StatusCode>(Object.values(statusCode).map((code) => [code, code]));

function asStatusCode(code: number): StatusCode {
  return known.get(code) ?? statusCode.unknown;
}
