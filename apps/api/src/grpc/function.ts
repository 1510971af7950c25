import { ServiceError } from "@squall/core/errors";
import { type Id, type IdKind, isId } from "@squall/core/ids";
import type { FunctionCreateRequest, Function as FunctionMessage, ModalClient } from "@squall/protocol/modal";
import { createClass } from "@squall/services/class/create";
import { createFunction } from "@squall/services/function/create";
import { findFunction } from "@squall/services/function/find";
import { getFunction } from "@squall/services/function/get";
import { precreateFunction } from "@squall/services/function/precreate";
import { type Procedures, procedure } from "../procedure.ts";
import { decodeFunction, encodeFunction, functionColumns, functionData, functionHandleMetadata, precreatedFunction } from "../wire/function.ts";
import { checkSupport } from "../wire/function-support.ts";

/** Definition and look-up of functions and classes. */
export function functionProcedures() {
  return {
    functionPrecreate: procedure({ resource: "function", action: "write" }, async (request, { ctx }) => {
      const message = precreatedFunction(request);
      const input = { appId: idOf("app", request.appId), tag: request.functionName, definition: encodeFunction(message), columns: functionColumns(message) };
      const stored = await precreateFunction({ ctx, input });
      return { functionId: stored.id, handleMetadata: functionHandleMetadata(stored) };
    }),

    functionCreate: procedure({ resource: "function", action: "write" }, async (request, { ctx, warn }) => {
      const definition = definitionOf(request, warn);
      const stored = await createFunction({
        ctx,
        input: {
          appId: idOf("app", request.appId),
          tag: definition.functionName,
          definition: encodeFunction(definition),
          columns: functionColumns(definition),
        },
      });
      return { functionId: stored.id, function: decodeFunction(stored), functionData: functionData(stored), handleMetadata: functionHandleMetadata(stored) };
    }),

    functionGet: procedure({ resource: "function", action: "read" }, async ({ appName, objectTag, environmentName }, { ctx }) => {
      const stored = await findFunction({ ctx, input: { appName, tag: objectTag, environmentName } });
      return { functionId: stored.id, handleMetadata: functionHandleMetadata(stored), function: functionData(stored) };
    }),

    functionGetById: procedure({ resource: "function", action: "read" }, async ({ functionId }, { ctx }) => {
      const stored = await getFunction({ ctx, input: { functionId: idOf("function", functionId) } });
      return { handleMetadata: functionHandleMetadata(stored), function: functionData(stored) };
    }),

    classCreate: procedure({ resource: "function", action: "write" }, async ({ appId }, { ctx }) => {
      return { classId: await createClass({ ctx, input: { appId: idOf("app", appId) } }), handleMetadata: {} };
    }),
  } satisfies Procedures<typeof ModalClient>;
}

/** What is honoured only in part says so once; what cannot be honoured at all is refused. */
function definitionOf(request: FunctionCreateRequest, warn: (text: string) => void): FunctionMessage {
  const ranked = request.functionData?.rankedFunctions ?? [];
  const definition = request.function ?? ranked[0]?.function;
  if (!definition) throw new ServiceError("invalidArgument", "The function has no definition.");
  if (ranked.length > 1) warn(`Function '${definition.functionName}' lists ${ranked.length} GPU types; only the first one is used for now.`);
  checkSupport(definition, warn);
  return definition;
}

/** `text` as an id of this kind, or a refusal that names it. */
function idOf<Kind extends IdKind>(kind: Kind, text: string): Id<Kind> {
  if (!isId(kind, text)) throw new ServiceError("invalidArgument", `${JSON.stringify(text.slice(0, 80))} is not the id of a ${kind}.`);
  return text;
}
