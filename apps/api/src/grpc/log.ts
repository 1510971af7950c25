/** Logs as clients follow them: one stream per app, held open; a stream that ended early or failed would be opened again at once, in a hot loop. */
import type { Id } from "@squall/core/ids";
import { FileDescriptor, type ModalClient } from "@squall/protocol/modal";
import type { FeedPiece } from "@squall/services/log/app-feed";
import { authorizeLogRead } from "@squall/services/log/authorize-read";
import { decodeLogFrames, logStream } from "@squall/streams/log-frames";
import { type Procedures, procedure } from "../procedure.ts";
import { LineDecoders } from "../relay/line-decoders.ts";
import { type Logs, systemLogOf } from "../relay/logs.ts";

const maxTimeoutMs = 300_000;
/** Streams that ended in the middle of a character: who goes on from there gets it whole. */
const maxCarried = 1_000;

const descriptorOf: Readonly<Record<number, FileDescriptor>> = {
  [logStream.stdout]: FileDescriptor.STDOUT,
  [logStream.stderr]: FileDescriptor.STDERR,
  [logStream.system]: FileDescriptor.INFO,
};

export function logProcedures(logs: Logs) {
  const carried = new Map<string, LineDecoders>();
  return {
    appGetLogs: procedure({ resource: "log", action: "read" }, async function* (request, { ctx, info }) {
      const appId = await authorizeLogRead({ ctx, input: { appId: request.appId, containerId: request.taskId } });
      const after = Math.max(0, Number.parseInt(request.lastEntryId, 10) || 0);
      const patience = AbortSignal.timeout(Math.min(maxTimeoutMs, Math.max(0, request.timeout * 1000)));
      const reader = logs.reader(appId, after, AbortSignal.any([patience, info.signal]));
      const decoders = carried.get(`${appId}/${after}`) ?? new LineDecoders();
      let last = after;
      try {
        for (let next = await reader.next(); ; next = await reader.next()) {
          if (next.done) {
            if (next.value === "complete") yield { entryId: String(last), appDone: true };
            return;
          }
          const { piece, entryId } = next.value;
          last = entryId;
          if (piece.kind === "end" || !isWanted(piece, request)) continue;
          const items = await readItems(logs, { appId, piece, decoders });
          const wanted =
            request.fileDescriptor === FileDescriptor.UNSPECIFIED ? items : items.filter(({ fileDescriptor }) => fileDescriptor === request.fileDescriptor);
          if (wanted.length > 0) yield { entryId: String(entryId), taskId: piece.containerId ?? "", functionId: piece.functionId ?? "", items: wanted };
        }
      } finally {
        await reader.return("stopped");
        carried.set(`${appId}/${last}`, decoders);
        const oldest = carried.size > maxCarried ? carried.keys().next().value : undefined;
        if (oldest !== undefined) carried.delete(oldest);
      }
    }),
  } satisfies Procedures<typeof ModalClient>;
}

type BytesPiece = Extract<FeedPiece, { kind: "bytes" }>;

function isWanted({ containerId, functionId }: BytesPiece, request: { readonly taskId: string; readonly functionId: string }): boolean {
  return (request.taskId === "" || request.taskId === containerId) && (request.functionId === "" || request.functionId === functionId);
}

async function readItems(logs: Logs, { appId, piece, decoders }: { appId: Id<"app">; piece: BytesPiece; decoders: LineDecoders }) {
  const name = piece.containerId ?? systemLogOf(appId);
  const { frames } = decodeLogFrames(await logs.files.read(name, piece));
  return decoders.decode(name, frames).map(({ atMs, stream, text }) => ({
    data: text,
    timestamp: atMs / 1000,
    fileDescriptor: descriptorOf[stream] ?? FileDescriptor.INFO,
    containerId: piece.containerId ?? "",
  }));
}
