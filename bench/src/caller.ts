/** A Node caller of the public API: makes an app with one function from plain values, and calls it as the stock clients do. */
import { Channel } from "@squall/grpc/client";
import {
  AppState,
  DataFormat,
  DeploymentNamespace,
  Function_DefinitionType,
  Function_FunctionType,
  FunctionCallInvocationType,
  FunctionCallType,
  GenericResult_GenericStatus,
  ModalClient,
  ObjectCreationType,
} from "@squall/protocol/modal";

export interface CallerOptions {
  readonly url: string;
  readonly tokenId: string;
  readonly tokenSecret: string;
}

const api = ModalClient.method;

export class Caller {
  readonly #channel: Channel;
  #appId = "";
  #functionId = "";
  #heartbeat: NodeJS.Timeout | undefined;

  constructor({ url, tokenId, tokenSecret }: CallerOptions) {
    const headers = { "x-modal-token-id": tokenId, "x-modal-token-secret": tokenSecret, "x-modal-client-version": "1.6.4", "x-modal-client-type": "1" };
    this.#channel = new Channel({ url, headers });
  }

  /** An ephemeral app whose only function needs `memoryMb`: only a worker that has as much is given it. */
  async makeFunction({ memoryMb }: { readonly memoryMb: number }): Promise<void> {
    const { appId } = await this.#channel.unary(api.appCreate, { description: "bench", environmentName: "main", appState: AppState.EPHEMERAL });
    this.#appId = appId;
    this.#heartbeat = setInterval(() => this.#channel.unary(api.appHeartbeat, { appId }).catch(() => undefined), 15_000);
    const image = await this.#channel.unary(api.imageGetOrCreate, {
      appId,
      image: { dockerfileCommands: ["FROM python:3.11-slim-bookworm"] },
      namespace: DeploymentNamespace.WORKSPACE,
      builderVersion: "2025.06",
    });
    const mount = await this.#channel.unary(api.mountGetOrCreate, { objectCreationType: ObjectCreationType.ANONYMOUS_OWNED_BY_APP, appId, files: [] });
    const created = await this.#channel.unary(api.functionCreate, {
      appId,
      function: {
        moduleName: "bench",
        functionName: "nothing",
        mountIds: [mount.mountId],
        imageId: image.imageId,
        definitionType: Function_DefinitionType.FILE,
        functionType: Function_FunctionType.FUNCTION,
        resources: { memoryMb, milliCpu: 100 },
        timeoutSecs: 300,
        autoscalerSettings: { maxContainers: 1, scaledownWindow: 600 },
        maxConcurrentInputs: 64,
        supportedInputFormats: [DataFormat.PICKLE, DataFormat.CBOR],
        supportedOutputFormats: [DataFormat.PICKLE, DataFormat.CBOR],
      },
    });
    this.#functionId = created.functionId;
    await this.#channel.unary(api.appPublish, { appId, appState: AppState.EPHEMERAL, functionIds: { nothing: created.functionId } });
  }

  /** One call, from request to result. Throws unless it succeeded. */
  async call(args: Uint8Array): Promise<void> {
    const call = await this.#channel.unary(api.functionMap, {
      functionId: this.#functionId,
      functionCallType: FunctionCallType.UNARY,
      functionCallInvocationType: FunctionCallInvocationType.SYNC,
      pipelinedInputs: [{ idx: 0, input: { argsOneof: { case: "args", value: args }, dataFormat: DataFormat.CBOR } }],
    });
    const inputJwts = call.pipelinedInputs.map(({ inputJwt }) => inputJwt);
    for (let lastEntryId = "0-0"; ; ) {
      const answer = await this.#channel.unary(api.functionGetOutputs, {
        functionCallId: call.functionCallId,
        maxValues: 1,
        timeout: 55,
        lastEntryId,
        clearOnSuccess: true,
        requestedAt: Date.now() / 1000,
        inputJwts,
        startIdx: 0,
        endIdx: 0,
      });
      const [output] = answer.outputs;
      if (output?.result?.status === GenericResult_GenericStatus.SUCCESS) return;
      if (output) throw new Error(`the call ended with ${output.result?.status}: ${output.result?.exception}`);
      lastEntryId = answer.lastEntryId;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#channel.unary(api.appClientDisconnect, { appId: this.#appId });
    this.#channel.close();
  }
}
