import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What a machine can do for containers; each refused capability has its reason beside it. */
export interface ProbeReport {
  readonly kernel: string;
  readonly cgroups: "v1" | "v2" | "hybrid";
  readonly userNamespaces: boolean;
  readonly userNamespacesReason?: string;
  readonly mappedOverlay: boolean;
  readonly mappedOverlayReason?: string;
  readonly mappedTmpfs: boolean;
  readonly mappedTmpfsReason?: string;
  readonly networkNamespaces: boolean;
  readonly networkNamespacesReason?: string;
  readonly loopDevices: boolean;
  readonly loopDevicesReason?: string;
}

/** Tries out the kernel features that containers need, in a folder below `dir` that is removed again. Needs root; rejects without. */
export async function probeMachine({ nativePath, dir }: { nativePath: string; dir: string }): Promise<ProbeReport> {
  const { stdout } = await run(nativePath, ["probe", "--dir", dir]);
  return parseProbeReport(stdout);
}

/** The probe program is ours and of the same source hash, so its JSON has this shape. */
function parseProbeReport(text: string): ProbeReport {
  return JSON.parse(text) as ProbeReport;
}
