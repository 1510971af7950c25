/** The part of `@squall/runtime` that the agent uses, so that its parts can be tested beside a runtime that starts nothing. */
export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerNetwork {
  readonly address: string;
  readonly netnsPath: string;
  readonly sysfsPath: string;
  readonly interfaceName: string;
}
