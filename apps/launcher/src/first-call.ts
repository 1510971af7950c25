import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./paths.ts";
import type { Stack } from "./stack/stack.ts";

/** What to type for a first call, for somebody who has nothing but Python. */
export function firstCallLines({ serverUrl, instance: { operator } }: Pick<Stack, "serverUrl" | "instance">): string {
  const client: { version: string } = JSON.parse(readFileSync(join(repository, "packages/protocol/modal-client.json"), "utf8"));
  return `
Squall runs at ${serverUrl}. Ctrl-C stops it. A first call, in another terminal:

  python3 -m venv hello && . hello/bin/activate && pip install modal==${client.version}
  export MODAL_SERVER_URL=${serverUrl}
  export MODAL_TOKEN_ID=${operator.token_id}
  export MODAL_TOKEN_SECRET=${operator.token_secret}
  cat > hello.py <<'EOF'
import modal

app = modal.App("hello")


@app.function()
def square(x):
    print(f"the square of {x}")
    return x * x


@app.local_entrypoint()
def main():
    print("answer:", square.remote(7))
EOF
  modal run hello.py

`;
}
