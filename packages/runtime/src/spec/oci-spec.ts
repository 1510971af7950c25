// The parts of the OCI runtime specification (config.json, version 1.0.2) that we write. https://github.com/opencontainers/runtime-spec

/** One mount inside the container. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** A filter rule; all its `args` must match. */
export interface OciSyscallRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly { readonly index: number; readonly value: number; readonly valueTwo?: number; readonly op: string }[];
}

/** The system call filter. */
export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly OciSyscallRule[];
}

/** A rule of the device cgroup. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly access: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
}

/** config.json. */
export interface OciSpec {
  readonly ociVersion: string;
  readonly hostname: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly process: {
    readonly terminal: boolean;
    readonly user: { readonly uid: number; readonly gid: number; readonly umask: number };
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly noNewPrivileges: boolean;
    readonly oomScoreAdj: number;
    readonly capabilities: Readonly<Record<"bounding" | "effective" | "permitted" | "inheritable" | "ambient", readonly string[]>>;
    readonly rlimits: readonly { readonly type: string; readonly hard: number; readonly soft: number }[];
  };
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly uidMappings: readonly OciIdMapping[];
    readonly gidMappings: readonly OciIdMapping[];
    readonly cgroupsPath: string;
    readonly seccomp: OciSeccomp;
    readonly resources: {
      readonly devices: readonly OciDeviceRule[];
      readonly memory: { readonly limit: number; readonly swap?: number };
      readonly pids: { readonly limit: number };
      readonly cpu: { readonly shares: number; readonly quota?: number; readonly period?: number };
    };
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

/** `size` ids from `containerID` inside are `hostID`… on the host. */
export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}
