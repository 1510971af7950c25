import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ModalClient } from "@squall/protocol/modal";
import { getTokenInfo } from "@squall/services/token/get-info";
import { getNames } from "@squall/services/workspace/get-names";
import type { Deps } from "../deps.ts";
import { type Procedures, procedure } from "../procedure.ts";
import { signWebToken } from "../wire/web-token.ts";

const authTokenSeconds = 20 * 60; // clients ask for another after half of it

/** Who the caller is, in the forms that the published clients ask for. */
export function authProcedures({ clock, signingKey }: Pick<Deps, "clock" | "signingKey">) {
  return {
    /** Asked by `modal token set` to learn whether a token holds: the credentials are checked before we get here. */
    clientHello: procedure({ resource: "workspace", action: "read" }, async () => ({})),

    authTokenGet: procedure({ resource: "workspace", action: "read" }, async (_request, { ctx }) => {
      const issuedAt = Math.floor(clock.now() / 1000);
      const subject = ctx.actor.kind === "user" ? ctx.actor.userId : ctx.workspace.id;
      return { token: signWebToken(signingKey("auth token"), { sub: subject, ws: ctx.workspace.id, iat: issuedAt, exp: issuedAt + authTokenSeconds }) };
    }),

    workspaceNameLookup: procedure({ resource: "workspace", action: "read" }, async (_request, { ctx }) => {
      const { workspaceName, userName } = await getNames({ ctx });
      return { workspaceName, username: userName };
    }),

    tokenInfoGet: procedure({ resource: "token", action: "read" }, async (_request, { ctx }) => {
      const { tokenId, name, createdAtMs, user } = await getTokenInfo({ ctx });
      return {
        tokenId,
        tokenName: name,
        createdAt: timestampFromMs(createdAtMs),
        workspaceId: ctx.workspace.id,
        workspaceName: ctx.workspace.name,
        identity: { case: "userIdentity", value: { userId: user.id, username: user.name } } as const,
      };
    }),
  } satisfies Procedures<typeof ModalClient>;
}
