import type { ProbeReport } from "@squall/native/probe";
import type { MachineFacts } from "./machine-facts.ts";

export interface Finding {
  readonly name: string;
  readonly state: "ok" | "missing" | "tooOld" | "tooSmall" | "unknown";
  /** Without it Squall does not run; otherwise a later feature wants it. */
  readonly isRequired: boolean;
  readonly found: string;
  /** The command or step that mends it; absent when nothing is to mend. */
  readonly mend?: string;
}

const gib = 1024 ** 3;
const oldestKernel = [6, 3] as const; // id-mapped tmpfs mounts
const oldestCrun = [1, 8] as const;
const oldestRunc = [1, 1] as const;
const wantedControllers = ["cpu", "memory", "pids"];

/** Says of each thing that Squall needs whether the machine has it. Pure; the order is the order of the report. */
export function judge(facts: MachineFacts): Finding[] {
  const { versions } = facts;
  return [
    required("root", facts.isRoot, facts.isRoot ? "yes" : "no", "sudo ./squall doctor"),
    version("kernel", facts.kernel, oldestKernel, "install a newer kernel: apt-get install -t bookworm-backports linux-image-amd64, then reboot"),
    required("overlayfs", facts.filesystems.includes("overlay"), inKernel(facts, "overlay"), "modprobe overlay"),
    required("user namespaces", facts.maxUserNamespaces > 0, `at most ${facts.maxUserNamespaces}`, "sysctl -w user.max_user_namespaces=10000"),
    required("seccomp", facts.seccompActions.includes("errno"), facts.seccompActions.join(" ") || "no", "use a kernel with CONFIG_SECCOMP_FILTER=y"),
    cgroupFinding(facts),
    ...trials(facts.probe),
    version("crun", versions.crun, oldestCrun, install("crun")),
    optional(version("runc", versions.runc, oldestRunc, install("runc"))),
    required("nft", versions.nft !== undefined, versions.nft ?? "no", install("nftables")),
    required("ip", versions.ip !== undefined, versions.ip ?? "no", install("iproute2")),
    required("gcc", versions.gcc !== undefined, versions.gcc ?? "no", install("gcc libc6-dev")),
    required("apt", facts.hasApt, facts.hasApt ? "yes" : "no", "use a Debian-like system; set-up installs its packages by apt-get"),
    room("disk for the cache", facts.freeDiskBytes.cache, 4 * gib, "free space, or set SQUALL_CACHE to a folder on a larger disk"),
    room("disk for the state", facts.freeDiskBytes.home, 2 * gib, "free space, or set SQUALL_HOME to a folder on a larger disk"),
    room("memory", facts.memoryBytes, 2 * gib, "use a machine with more memory"),
    optional(required("/dev/fuse", facts.hasFuse, facts.hasFuse ? "yes" : "no", "modprobe fuse (wanted by lazily loaded images)")),
    optional(required("erofs", facts.filesystems.includes("erofs"), inKernel(facts, "erofs"), "modprobe erofs (makes lazily loaded images faster)")),
  ];
}

/** True when nothing that is required is wanting. What could not be tried counts as wanting only if it says so by itself. */
export function isFit(findings: readonly Finding[]): boolean {
  return findings.every(({ isRequired, state }) => !isRequired || state === "ok" || state === "unknown");
}

function required(name: string, isThere: boolean, found: string, mend: string): Finding {
  return { name, state: isThere ? "ok" : "missing", isRequired: true, found, ...(isThere ? {} : { mend }) };
}

function optional(finding: Finding): Finding {
  return { ...finding, isRequired: false };
}

function version(name: string, text: string | undefined, [major, minor]: readonly [number, number], mend: string): Finding {
  const match = /(\d+)\.(\d+)/.exec(text ?? "");
  if (!text || !match) return required(name, false, text ?? "no", mend);
  const [foundMajor, foundMinor] = [Number(match[1]), Number(match[2])];
  if (foundMajor > major || (foundMajor === major && foundMinor >= minor)) return required(name, true, text, mend);
  return { name, state: "tooOld", isRequired: true, found: `${text} (wanted ${major}.${minor} or newer)`, mend };
}

function room(name: string, bytes: number, wantedBytes: number, mend: string): Finding {
  const found = `${(bytes / gib).toFixed(1)} GiB`;
  if (bytes >= wantedBytes) return required(name, true, found, mend);
  return { name, state: "tooSmall", isRequired: true, found: `${found} (wanted ${wantedBytes / gib} GiB)`, mend };
}

function cgroupFinding({ cgroups: { kind, controllers } }: MachineFacts): Finding {
  const missing = wantedControllers.filter((name) => !controllers.includes(name));
  const found = `${kind}: ${controllers.join(" ") || "no controllers"}`;
  return required(
    "cgroups",
    kind !== "none" && missing.length === 0,
    found,
    `boot with the controllers ${missing.join(", ")} enabled (cgroup_enable=… on the kernel's command line)`,
  );
}

function trials(probe: ProbeReport | undefined): Finding[] {
  if (!probe)
    return [
      { name: "container trials", state: "unknown", isRequired: true, found: "not tried: the native program is not built yet", mend: "./squall up builds it" },
    ];
  const trial = (name: string, works: boolean, reason: string | undefined) =>
    required(name, works, works ? "works" : (reason ?? "refused"), "run on a kernel and in a machine (not a locked-down container) that allow it");
  return [
    trial("trial: user namespace", probe.userNamespaces, probe.userNamespacesReason),
    trial("trial: id-mapped overlay", probe.mappedOverlay, probe.mappedOverlayReason),
    trial("trial: id-mapped tmpfs", probe.mappedTmpfs, probe.mappedTmpfsReason),
    trial("trial: network namespace", probe.networkNamespaces, probe.networkNamespacesReason),
  ];
}

function inKernel({ filesystems }: MachineFacts, name: string): string {
  return filesystems.includes(name) ? "in the kernel" : "not loaded";
}

function install(packages: string): string {
  return `apt-get install -y --no-install-recommends ${packages}`;
}
