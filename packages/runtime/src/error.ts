/** A step of a container's life that failed; `message` is for the log and, being about the machine, not for tenants. */
export class RuntimeError extends Error {
  readonly step: string;

  constructor(step: string, message: string, cause?: unknown) {
    super(`${step}: ${message.trim()}`, cause === undefined ? {} : { cause });
    this.name = "RuntimeError";
    this.step = step;
  }
}
