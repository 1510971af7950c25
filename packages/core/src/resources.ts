/** What a container needs and what a worker has. CPU in thousandths of a core, memory in bytes, GPUs in whole cards of one type. */
export interface Resources {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpu: GpuRequest | undefined;
}

/** `type` is upper case as users write it (`A100`, `H100`, `A100-80GB`), or `ANY`. */
export interface GpuRequest {
  readonly type: string;
  readonly count: number;
}

export const mebibyte = 1 << 20;

/** What a function gets that asks for nothing: a tenth of a core, so that a machine of two runs twenty at once; 128 MiB requested. */
export const defaultResources: Resources = { milliCpu: 100, memoryBytes: 128 * mebibyte, gpu: undefined };
