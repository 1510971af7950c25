/** modal.client.Function to what we decide by, and back to the handles that clients hold. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import { defaultResources, mebibyte } from "@squall/core/resources";
import {
  type AppLayout as AppLayoutMessage,
  AppLayoutSchema,
  ClassHandleMetadataSchema,
  Function_FunctionType,
  type FunctionData,
  FunctionDataSchema,
  type FunctionHandleMetadata,
  FunctionHandleMetadataSchema,
  type Function as FunctionMessage,
  type FunctionPrecreateRequest,
  FunctionSchema$,
  type Object$,
  ObjectSchema,
} from "@squall/protocol/modal";
import type { AppLayout } from "@squall/services/app-definition/layout";
import type { FunctionColumns, StoredFunction } from "@squall/services/function/stored-function";

const defaultTimeoutSecs = 300;
const defaultScaledownWindowSecs = 60;
const maxSecs = 24 * 3600;
const maxContainers = 100_000;
/** Clients stop at 16 MiB. A definition goes on to workers in one message. */
const maxDefinitionBytes = 20 << 20;

/** The message as bytes, fields that we do not know included. Throws `invalidArgument` when it is too large to be sent to a worker. */
export function encodeFunction(definition: FunctionMessage): Uint8Array {
  const bytes = toBinary(FunctionSchema$, definition);
  if (bytes.length > maxDefinitionBytes)
    throw new ServiceError("invalidArgument", `The function's definition has ${bytes.length} bytes; it may have ${maxDefinitionBytes}.`);
  return bytes;
}

/** The stored definition as a message. */
export function decodeFunction({ definition }: Pick<StoredFunction, "definition">): FunctionMessage {
  return fromBinary(FunctionSchema$, definition);
}

/** What is known of a function before its dependencies are: enough for a handle. */
export function precreatedFunction(request: FunctionPrecreateRequest): FunctionMessage {
  const { functionName, functionType, methodDefinitions, supportedInputFormats, supportedOutputFormats, webhookConfig, functionSchema } = request;
  return create(FunctionSchema$, {
    functionName,
    functionType,
    methodDefinitions,
    supportedInputFormats,
    supportedOutputFormats,
    isClass: functionName.endsWith(".*"),
    ...(webhookConfig ? { webhookConfig } : {}),
    ...(functionSchema ? { functionSchema } : {}),
  });
}

/** What the scheduler, dispatch and the agent decide by. Throws `invalidArgument` for numbers and names that cannot be. */
export function functionColumns(definition: FunctionMessage): FunctionColumns {
  const { resources, autoscalerSettings: scaling, retryPolicy: retry } = definition;
  const gpu = resources?.gpuConfig;
  const timeoutSecs = bounded("timeout", definition.timeoutSecs || defaultTimeoutSecs, maxSecs);
  const maxConcurrentInputs = bounded("max_inputs", definition.maxConcurrentInputs || 1, 10_000);
  return {
    kind: definition.isClass ? "class" : definition.functionType === Function_FunctionType.GENERATOR ? "generator" : "function",
    imageId: definition.imageId || null,
    mountIds: definition.mountIds,
    secretIds: definition.secretIds,
    milliCpu: bounded("cpu", resources?.milliCpu || defaultResources.milliCpu, 1_000_000),
    memoryBytes: resources?.memoryMb ? bounded("memory", resources.memoryMb, 64 << 20) * mebibyte : defaultResources.memoryBytes,
    gpuType: gpu?.gpuType ? gpuTypeOf(gpu.gpuType) : null,
    gpuCount: gpu?.gpuType ? bounded("gpu count", Math.max(1, gpu.count), 1024) : 0,
    timeoutMs: 1000 * timeoutSecs,
    startupTimeoutMs: 1000 * bounded("startup_timeout", definition.startupTimeoutSecs || timeoutSecs, maxSecs),
    minContainers: bounded("min_containers", scaling?.minContainers ?? 0, maxContainers),
    maxContainers: bounded("max_containers", scaling?.maxContainers || definition.concurrencyLimit, maxContainers) || null,
    bufferContainers: bounded("buffer_containers", scaling?.bufferContainers ?? 0, maxContainers),
    scaledownWindowMs: 1000 * bounded("scaledown_window", scaling?.scaledownWindow || definition.taskIdleTimeoutSecs || defaultScaledownWindowSecs, maxSecs),
    maxConcurrentInputs,
    targetConcurrentInputs: bounded("target_inputs", definition.targetConcurrentInputs || maxConcurrentInputs, 10_000),
    batchMaxSize: bounded("max_batch_size", definition.batchMaxSize, 10_000),
    batchLingerMs: bounded("wait_ms", Number(definition.batchLingerMs), 3_600_000),
    retryMax: bounded("max_retries", retry?.retries ?? 0, 100),
    retryInitialDelayMs: bounded("initial_delay", retry?.initialDelayMs ?? 0, 1000 * maxSecs),
    retryMaxDelayMs: bounded("max_delay", retry?.maxDelayMs ?? 0, 1000 * maxSecs),
    retryBackoff: bounded("backoff_coefficient", backoffOf(retry?.backoffCoefficient), 100),
    builderVersion: "2025.06",
    blockNetwork: definition.blockNetwork,
  };
}

/** 0 is what a message says that does not say; unlike `||` this lets NaN through to be refused. */
function backoffOf(coefficient: number | undefined): number {
  return coefficient === undefined || coefficient === 0 ? 1 : coefficient;
}

function bounded(name: string, value: number, most: number): number {
  if (value >= 0 && value <= most) return value;
  throw new ServiceError("invalidArgument", `${name}=${value} is out of range: a function may have 0 to ${most}.`);
}

function gpuTypeOf(text: string): string {
  if (!/^[A-Za-z0-9._+-]{1,40}$/.test(text)) throw new ServiceError("invalidArgument", `${JSON.stringify(text.slice(0, 60))} is no type of GPU.`);
  return text.toUpperCase();
}

/** The handle's metadata, complete: clients refuse calls on what is missing here, and a class's container dies without `useMethodName`. */
export function functionHandleMetadata(stored: StoredFunction): FunctionHandleMetadata {
  const definition = decodeFunction(stored);
  const common = { definitionId: stored.definitionId, appId: stored.appId };
  const methods = Object.entries(definition.methodDefinitions).map(([name, method]) => {
    const { functionName, functionType, functionSchema, supportedInputFormats, supportedOutputFormats } = method;
    const schema = functionSchema ? { functionSchema } : {};
    const handle = { ...common, ...schema, functionName, functionType, supportedInputFormats, supportedOutputFormats, isMethod: true, useMethodName: name };
    return [name, create(FunctionHandleMetadataSchema, handle)] as const;
  });
  const { functionName, functionType, classParameterInfo, functionSchema, supportedInputFormats, supportedOutputFormats, isMethod } = definition;
  return create(FunctionHandleMetadataSchema, {
    ...common,
    functionName,
    functionType,
    isMethod,
    supportedInputFormats,
    supportedOutputFormats,
    methodHandleMetadata: Object.fromEntries(methods),
    ...(classParameterInfo ? { classParameterInfo } : {}),
    ...(functionSchema ? { functionSchema } : {}),
  });
}

/** A created function as FunctionData: clients stop without at least one ranked function. */
export function functionData(stored: StoredFunction): FunctionData {
  const definition = decodeFunction(stored);
  const { webhookConfig, classParameterInfo, schedule, autoscalerSettings, functionSchema, httpConfig } = definition;
  return create(FunctionDataSchema, {
    moduleName: definition.moduleName,
    functionName: definition.functionName,
    functionType: definition.functionType,
    implementationName: definition.implementationName,
    timeoutSecs: definition.timeoutSecs,
    startupTimeoutSecs: definition.startupTimeoutSecs,
    isClass: definition.isClass,
    isMethod: definition.isMethod,
    isServer: definition.isServer,
    isSessioned: definition.isSessioned,
    untrusted: definition.untrusted,
    methodDefinitions: definition.methodDefinitions,
    methodDefinitionsSet: definition.methodDefinitionsSet,
    supportedInputFormats: definition.supportedInputFormats,
    supportedOutputFormats: definition.supportedOutputFormats,
    rankedFunctions: [{ rank: 0, function: definition }],
    ...(webhookConfig ? { webhookConfig } : {}),
    ...(classParameterInfo ? { classParameterInfo } : {}),
    ...(schedule ? { schedule } : {}),
    ...(autoscalerSettings ? { autoscalerSettings } : {}),
    ...(functionSchema ? { functionSchema } : {}),
    ...(httpConfig ? { httpConfig } : {}),
  });
}

/** The layout of an app for containers: every function and class, and every object that a function depends on; a missing one is a KeyError at start. */
export function appLayoutMessage({ functionIds, classIds, functions }: AppLayout): AppLayoutMessage {
  const objects: Object$[] = [];
  const seen = new Set<string>();
  const add = (init: MessageInitShape<typeof ObjectSchema>) => {
    const object = create(ObjectSchema, init);
    if (seen.has(object.objectId)) return;
    seen.add(object.objectId);
    objects.push(object);
  };
  for (const stored of functions) add({ objectId: stored.id, handleMetadataOneof: { case: "functionHandleMetadata", value: functionHandleMetadata(stored) } });
  for (const objectId of Object.values(classIds))
    add({ objectId, handleMetadataOneof: { case: "classHandleMetadata", value: create(ClassHandleMetadataSchema) } });
  for (const stored of functions) for (const { objectId } of decodeFunction(stored).objectDependencies) add({ objectId });
  return create(AppLayoutSchema, { functionIds: { ...functionIds }, classIds: { ...classIds }, objects });
}
