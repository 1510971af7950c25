import type { ProbeReport } from "@squall/native/probe";

/** What `doctor` knows about a machine. Plain values, so that every judgement can be tested. */
export interface MachineFacts {
  /** As `uname -r` says. */
  readonly kernel: string;
  readonly isRoot: boolean;
  readonly filesystems: readonly string[];
  readonly maxUserNamespaces: number;
  readonly seccompActions: readonly string[];
  readonly hasFuse: boolean;
  readonly cgroups: { readonly kind: "v1" | "v2" | "hybrid" | "none"; readonly controllers: readonly string[] };
  /** First line of what each tool says about its version; undefined when it is not there. */
  readonly versions: Readonly<Record<"crun" | "runc" | "nft" | "ip" | "gcc", string | undefined>>;
  readonly freeDiskBytes: { readonly home: number; readonly cache: number };
  readonly memoryBytes: number;
  readonly hasApt: boolean;
  /** Undefined when the trials could not be run (no compiler yet). */
  readonly probe: ProbeReport | undefined;
}
