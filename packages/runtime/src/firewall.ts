/** What the packet filter of an instance is made from. */
export interface FirewallOptions {
  readonly instance: string;
  readonly hostAddress: string;
  /** All addresses of the instance's containers. */
  readonly subnet: string;
  /** TCP port of the signed blob door on the host address. */
  readonly blobPort: number;
}

/** Never reachable from a container: "this", private, shared, loopback, link-local (cloud metadata), protocol, benchmark, multicast and reserved ranges. */
const refusedDestinations = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"],
  ...["224.0.0.0/4", "240.0.0.0/4"],
];

/** Name of the instance's table; the nft grammar takes hyphens in names. */
export function firewallTable(instance: string): string {
  return `sq-${instance}`;
}

/**
 * The whole packet filter of an instance as an nft script that replaces an earlier one. It never changes while containers come and go: it speaks of all links
 * of the instance at once. Containers reach the DNS proxy and the blob door on the host's address and public addresses, nothing else; what comes from outside
 * reaches them only as an answer. Rules of other tables still apply.
 */
export function firewallScript({ instance, hostAddress, subnet, blobPort }: FirewallOptions): string {
  const table = firewallTable(instance);
  const links = `"sq-${instance}-*"`;
  return `table inet ${table} {
}
delete table inet ${table}
table inet ${table} {
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    iifname ${links} meta nfproto ipv6 drop
    iifname ${links} ip saddr != ${subnet} drop
  }
  chain input {
    type filter hook input priority -10; policy accept;
    iifname != ${links} accept
    ip daddr ${hostAddress} udp dport 53 accept
    ip daddr ${hostAddress} tcp dport { 53, ${blobPort} } accept
    ct state established,related accept
    drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname ${links} ip daddr { ${refusedDestinations.join(", ")} } drop
    iifname ${links} accept
    oifname ${links} ct state established,related accept
    oifname ${links} drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${subnet} oifname != ${links} masquerade
  }
}
`;
}

/** Removes the instance's filter; fine when there is none. */
export function firewallRemovalScript(instance: string): string {
  const table = firewallTable(instance);
  return `table inet ${table} {\n}\ndelete table inet ${table}\n`;
}
