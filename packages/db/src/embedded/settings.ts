/** Settings of the server on a small machine that also runs the containers. */
export const serverSettings: Readonly<Record<string, string>> = {
  listen_addresses: "",
  max_connections: "80",
  shared_buffers: "128MB",
  synchronous_commit: "on",
  max_wal_size: "1GB",
  wal_compression: "on",
  jit: "off", // our statements are short: compiling them costs more than it saves
  io_method: "sync", // three workers fewer
  max_logical_replication_workers: "0", // nor its launcher
  max_parallel_workers_per_gather: "0",
  log_min_messages: "warning",
  log_line_prefix: "%m [%p] %u ",
  timezone: "UTC",
};
