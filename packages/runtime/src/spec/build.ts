import type { ContainerEdits } from "./container-edits.ts";
import type { OciMount, OciSpec } from "./oci-spec.ts";
import { seccompProfile } from "./seccomp.ts";

/** How many user and group ids a container has; 0…65535 inside. */
export const idCount = 65_536;

/** Where our pid 1 lies inside every container. */
export const initTarget = "/__modal/.bin/init";

/** A folder or file of the host shown inside; always nosuid and nodev. */
export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** Everything that makes one container differ from another. Paths are the host's unless named `target`. */
export interface ContainerSpec {
  readonly rootPath: string;
  readonly initPath: string;
  /** First host id of the container's 65,536. */
  readonly uidBase: number;
  readonly hostname: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly netnsPath: string;
  /** The sysfs of that network namespace. */
  readonly sysfsPath: string;
  readonly binds: readonly Bind[];
  /** Below `/sq-<instance>/`. */
  readonly cgroupPath: string;
  /** Weight under contention; idle processors may be used beyond it. */
  readonly milliCpu: number;
  /** Hard ceiling of processor time, where one is wanted. */
  readonly milliCpuLimit?: number;
  readonly memoryBytes: number;
  /** Whether the host can limit swap: then none is allowed. */
  readonly limitsSwap: boolean;
  readonly pidsLimit: number;
  readonly sharedMemoryBytes: number;
  /** Already clamped to the agent's own hard limit. */
  readonly openFilesLimit: number;
  readonly devices: readonly ContainerEdits[];
}

/** What root of a container may do, with its own ids and namespaces only. */
const capabilities = [
  ...["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_SETFCAP", "CAP_KILL"],
  ...["CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"],
];

const maskedPaths = [
  ...["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats"],
  ...["/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
];

const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const cpuPeriodUs = 100_000;

/** The OCI spec of a hardened container. Pure: same input, same spec. */
export function buildOciSpec(spec: ContainerSpec): OciSpec {
  const ids = [{ containerID: 0, hostID: spec.uidBase, size: idCount }];
  const environment = { ...spec.env, ...Object.assign({}, ...spec.devices.map((edits) => edits.env)) };
  return {
    ociVersion: "1.0.2",
    hostname: spec.hostname,
    root: { path: spec.rootPath, readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, umask: 0o022 },
      args: [initTarget, ...spec.args],
      env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      cwd: spec.cwd,
      noNewPrivileges: true,
      oomScoreAdj: 500, // when the whole machine runs out of memory, a container goes before the control plane
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [], ambient: [] },
      rlimits: [
        { type: "RLIMIT_NOFILE", hard: spec.openFilesLimit, soft: spec.openFilesLimit },
        { type: "RLIMIT_CORE", hard: 0, soft: 0 },
      ],
    },
    mounts: mounts(spec),
    linux: {
      namespaces: [...["pid", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type })), { type: "network", path: spec.netnsPath }],
      uidMappings: ids,
      gidMappings: ids,
      cgroupsPath: spec.cgroupPath,
      seccomp: seccompProfile(),
      resources: {
        devices: [{ allow: false, access: "rwm" }, ...spec.devices.flatMap((edits) => edits.deviceRules)],
        memory: { limit: spec.memoryBytes, ...(spec.limitsSwap ? { swap: spec.memoryBytes } : {}) },
        pids: { limit: spec.pidsLimit },
        cpu: cpu(spec),
      },
      maskedPaths,
      readonlyPaths,
    },
  };
}

function mounts(spec: ContainerSpec): OciMount[] {
  const own = (destination: string, type: string, ...options: string[]): OciMount => ({ destination, type, source: type, options: ["nosuid", ...options] });
  return [
    own("/proc", "proc", "nodev", "noexec"),
    own("/dev", "tmpfs", "strictatime", "mode=755", "size=65536k"),
    own("/dev/pts", "devpts", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
    own("/dev/shm", "tmpfs", "nodev", "noexec", "mode=1777", `size=${spec.sharedMemoryBytes}`),
    own("/dev/mqueue", "mqueue", "nodev", "noexec"),
    // a container in a user namespace cannot mount the sysfs of a network namespace of the host: runtimes would silently show the host's, writable
    bind({ source: spec.sysfsPath, target: "/sys", readOnly: true }, "noexec"),
    bind({ source: spec.initPath, target: initTarget, readOnly: true }),
    ...spec.binds.map((each) => bind(each)),
    ...spec.devices.flatMap((edits) => edits.mounts),
  ];
}

function bind({ source, target, readOnly }: Bind, ...more: string[]): OciMount {
  return { destination: target, type: "bind", source, options: ["bind", "nosuid", "nodev", ...(readOnly ? ["ro"] : ["rw"]), ...more] };
}

function cpu(spec: ContainerSpec): OciSpec["linux"]["resources"]["cpu"] {
  const shares = Math.min(262_144, Math.max(2, Math.round((spec.milliCpu * 1024) / 1000))); // 1024 is one processor; the kernel's bounds
  if (spec.milliCpuLimit === undefined) return { shares };
  return { shares, period: cpuPeriodUs, quota: Math.max(1000, Math.round((spec.milliCpuLimit * cpuPeriodUs) / 1000)) };
}
