import type { OciDeviceRule, OciMount } from "./oci-spec.ts";

/** What giving a device to a container changes in its spec. Made by `@squall/runtime/devices`. */
export interface ContainerEdits {
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly OciMount[];
  readonly deviceRules: readonly OciDeviceRule[];
}
