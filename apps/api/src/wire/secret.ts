import type { Secret } from "@squall/services/secret/secret";

/** What clients show of a secret; some of them print blanks for whatever is missing here. */
export function secretMetadata(secret: Secret) {
  const { name = "", keys, environmentName, createdAtMs, createdBy, lastUsedAtMs } = secret;
  return {
    name,
    keys: [...keys],
    environmentName,
    creationInfo: { createdAt: createdAtMs / 1000, createdBy },
    lastUsedAt: lastUsedAtMs === undefined ? 0 : lastUsedAtMs / 1000,
  };
}

export function secretListItem(secret: Secret) {
  const { id, name = "", createdAtMs, environmentName } = secret;
  const metadata = secretMetadata(secret);
  return { secretId: id, label: name, createdAt: createdAtMs / 1000, lastUsedAt: metadata.lastUsedAt, environmentName, metadata };
}
