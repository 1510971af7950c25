/** Questions about the cluster: `proto/squall/v1/inspect.proto`. */
export * from "../generated/squall/squall/v1/inspect_pb.ts";
