/** Our own protocol between api and worker-agent: `proto/squall/agent/v1/agent.proto`. */
export * from "../generated/squall/squall/agent/v1/agent_pb.ts";
