/** The per-worker service for exec, standard streams and snapshots, generated from the pinned wheel. */
export * from "../generated/modal/modal_proto/task_command_router_pb.ts";
