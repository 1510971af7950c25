/** The messages and services of Modal's open clients, generated from the pinned wheel (`modal-client.json`). */
export * from "../generated/modal/modal_proto/api_pb.ts";
