import { ServiceError } from "@squall/core/errors";
import { Prisma } from "../generated/prisma/client.ts";

const zeroByteCodes = ["22021", "22P05"]; // in text, in jsonb

/** What callers are told of a database error that their input caused and no verb looks for: a zero byte, which PostgreSQL cannot store. Others pass. */
export function explainError(error: unknown): unknown {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return error;
  const text = JSON.stringify(error.meta ?? {});
  const isZeroByte = zeroByteCodes.some((code) => text.includes(`"originalCode":"${code}"`));
  return isZeroByte ? new ServiceError("invalidArgument", "Text must not hold zero bytes.", { cause: error }) : error;
}
