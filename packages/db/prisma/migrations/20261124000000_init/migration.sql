-- The first schema. Tables as `prisma/schema` has them, then what Prisma's language cannot say: partial indexes, checks, two roles, and row-level
-- security by the setting `squall.workspace`. Ids are compared bytewise (COLLATE "C"), so that order by id is order by time in any database.

-- CreateTable
CREATE TABLE "app" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "environment_id" TEXT COLLATE "C" NOT NULL,
    "name" TEXT,
    "description" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "tags" JSONB NOT NULL DEFAULT '{}',
    "function_ids" JSONB NOT NULL DEFAULT '{}',
    "class_ids" JSONB NOT NULL DEFAULT '{}',
    "client_version" TEXT NOT NULL DEFAULT '',
    "last_heartbeat_at_ms" BIGINT,
    "created_at_ms" BIGINT NOT NULL,
    "stopped_at_ms" BIGINT,
    "stop_reason" TEXT,

    CONSTRAINT "app_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "deployment" (
    "app_id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "version" INTEGER NOT NULL,
    "function_ids" JSONB NOT NULL,
    "class_ids" JSONB NOT NULL,
    "tag" TEXT NOT NULL DEFAULT '',
    "deployed_by" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "deployment_pkey" PRIMARY KEY ("app_id","version")
);

-- CreateTable
CREATE TABLE "function" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "environment_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C" NOT NULL,
    "tag" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "definition" BYTEA NOT NULL,
    "kind" TEXT NOT NULL,
    "image_id" TEXT COLLATE "C",
    "mount_ids" TEXT[],
    "secret_ids" TEXT[],
    "milli_cpu" INTEGER NOT NULL,
    "memory_bytes" BIGINT NOT NULL,
    "gpu_type" TEXT,
    "gpu_count" INTEGER NOT NULL DEFAULT 0,
    "timeout_ms" BIGINT NOT NULL,
    "startup_timeout_ms" BIGINT NOT NULL,
    "min_containers" INTEGER NOT NULL DEFAULT 0,
    "max_containers" INTEGER,
    "buffer_containers" INTEGER NOT NULL DEFAULT 0,
    "scaledown_window_ms" INTEGER NOT NULL,
    "max_concurrent_inputs" INTEGER NOT NULL DEFAULT 1,
    "target_concurrent_inputs" INTEGER NOT NULL DEFAULT 1,
    "batch_max_size" INTEGER NOT NULL DEFAULT 0,
    "batch_linger_ms" INTEGER NOT NULL DEFAULT 0,
    "retry_max" INTEGER NOT NULL DEFAULT 0,
    "retry_initial_delay_ms" INTEGER NOT NULL DEFAULT 0,
    "retry_max_delay_ms" INTEGER NOT NULL DEFAULT 0,
    "retry_backoff" REAL NOT NULL DEFAULT 1,
    "client_version" TEXT NOT NULL DEFAULT '',
    "builder_version" TEXT NOT NULL DEFAULT '',
    "definition_id" TEXT COLLATE "C" NOT NULL,
    "block_network" BOOLEAN NOT NULL DEFAULT false,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "function_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "class" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C" NOT NULL,
    "tag" TEXT NOT NULL DEFAULT '',
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "class_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "function_call" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "function_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C" NOT NULL,
    "kind" TEXT NOT NULL,
    "invocation" SMALLINT NOT NULL,
    "caller_input_id" TEXT COLLATE "C",
    "caller_function_call_id" TEXT COLLATE "C",
    "idempotency_key" TEXT,
    "request_hash" BYTEA,
    "created_at_ms" BIGINT NOT NULL,
    "cancelled_at_ms" BIGINT,
    "inputs_finished" BOOLEAN NOT NULL DEFAULT false,
    "num_inputs" INTEGER,

    CONSTRAINT "function_call_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "input" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "function_call_id" TEXT COLLATE "C" NOT NULL,
    "function_id" TEXT COLLATE "C" NOT NULL,
    "idx" INTEGER NOT NULL,
    "payload" BYTEA,
    "payload_object" TEXT,
    "size_bytes" INTEGER NOT NULL,
    "retry_count" INTEGER NOT NULL DEFAULT 0,
    "status" SMALLINT NOT NULL DEFAULT 0,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "input_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attempt" (
    "input_id" TEXT COLLATE "C" NOT NULL,
    "epoch" BIGINT NOT NULL,
    "counter" BIGINT NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "container_id" TEXT COLLATE "C",
    "outcome" TEXT NOT NULL,
    "started_at_ms" BIGINT,
    "ended_at_ms" BIGINT NOT NULL,
    "message" TEXT NOT NULL DEFAULT '',

    CONSTRAINT "attempt_pkey" PRIMARY KEY ("input_id","epoch","counter")
);

-- CreateTable
CREATE TABLE "output" (
    "input_id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "function_call_id" TEXT COLLATE "C" NOT NULL,
    "entry_sequence" BIGINT NOT NULL,
    "result" BYTEA,
    "result_object" TEXT,
    "data_format" SMALLINT NOT NULL,
    "container_id" TEXT COLLATE "C",
    "started_at_ms" BIGINT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "output_pkey" PRIMARY KEY ("input_id")
);

-- CreateTable
CREATE TABLE "data_chunk" (
    "function_call_id" TEXT COLLATE "C" NOT NULL,
    "idx" INTEGER NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "chunk" BYTEA,
    "chunk_object" TEXT,

    CONSTRAINT "data_chunk_pkey" PRIMARY KEY ("function_call_id","idx")
);

-- CreateTable
CREATE TABLE "container" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C" NOT NULL,
    "function_id" TEXT COLLATE "C" NOT NULL,
    "worker_id" TEXT COLLATE "C",
    "state" TEXT NOT NULL,
    "generation" BIGINT NOT NULL DEFAULT 0,
    "milli_cpu" INTEGER NOT NULL,
    "memory_bytes" BIGINT NOT NULL,
    "gpu_type" TEXT,
    "gpu_count" INTEGER NOT NULL DEFAULT 0,
    "requested_at_ms" BIGINT NOT NULL,
    "assigned_at_ms" BIGINT,
    "started_at_ms" BIGINT,
    "ready_at_ms" BIGINT,
    "exited_at_ms" BIGINT,
    "exit_reason" TEXT,
    "exit_code" INTEGER,
    "exit_message" TEXT,
    "phases" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "container_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "worker" (
    "id" TEXT COLLATE "C" NOT NULL,
    "name" TEXT NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "epoch" BIGINT NOT NULL DEFAULT 0,
    "state" TEXT NOT NULL,
    "milli_cpu" INTEGER NOT NULL DEFAULT 0,
    "memory_bytes" BIGINT NOT NULL DEFAULT 0,
    "gpus" JSONB NOT NULL DEFAULT '[]',
    "kernel" TEXT NOT NULL DEFAULT '',
    "runtimes" JSONB NOT NULL DEFAULT '[]',
    "agent_version" TEXT NOT NULL DEFAULT '',
    "last_report_at_ms" BIGINT NOT NULL DEFAULT 0,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "worker_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "worker_token" (
    "id" TEXT COLLATE "C" NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "created_at_ms" BIGINT NOT NULL,
    "revoked_at_ms" BIGINT,

    CONSTRAINT "worker_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "shard" (
    "id" INTEGER NOT NULL,
    "epoch" BIGINT NOT NULL DEFAULT 0,
    "owner" TEXT NOT NULL DEFAULT '',

    CONSTRAINT "shard_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_segment" (
    "container_id" TEXT COLLATE "C" NOT NULL,
    "seq" BIGINT NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C" NOT NULL,
    "function_id" TEXT COLLATE "C" NOT NULL,
    "from_ms" BIGINT NOT NULL,
    "to_ms" BIGINT NOT NULL,
    "cpu_ns" BIGINT NOT NULL,
    "peak_memory_bytes" BIGINT NOT NULL,
    "milli_cpu" INTEGER NOT NULL,
    "memory_bytes" BIGINT NOT NULL,
    "gpu_type" TEXT,
    "gpu_count" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "usage_segment_pkey" PRIMARY KEY ("container_id","seq")
);

-- CreateTable
CREATE TABLE "workspace" (
    "id" TEXT COLLATE "C" NOT NULL,
    "name" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "workspace_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "app_user" (
    "id" TEXT COLLATE "C" NOT NULL,
    "name" TEXT NOT NULL,
    "email" TEXT,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "app_user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "membership" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "user_id" TEXT COLLATE "C" NOT NULL,
    "role" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "membership_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "environment" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "name" TEXT NOT NULL,
    "is_default" BOOLEAN NOT NULL DEFAULT false,
    "web_suffix" TEXT NOT NULL DEFAULT '',
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "environment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_token" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "user_id" TEXT COLLATE "C" NOT NULL,
    "token_id" TEXT COLLATE "C" NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "name" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,
    "last_used_at_ms" BIGINT,
    "revoked_at_ms" BIGINT,

    CONSTRAINT "api_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "seq" BIGINT NOT NULL,
    "actor" JSONB NOT NULL,
    "action" TEXT NOT NULL,
    "resource_id" TEXT COLLATE "C" NOT NULL,
    "details" JSONB NOT NULL,
    "at_ms" BIGINT NOT NULL,
    "previous_hash" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_record" (
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "key" TEXT NOT NULL,
    "rpc" TEXT NOT NULL,
    "request_hash" BYTEA NOT NULL,
    "response" BYTEA NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "idempotency_record_pkey" PRIMARY KEY ("workspace_id","key","rpc")
);

-- CreateTable
CREATE TABLE "secret" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "environment_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C",
    "name" TEXT,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at_ms" BIGINT NOT NULL,
    "created_by" TEXT NOT NULL,
    "last_used_at_ms" BIGINT,
    "deleted_at_ms" BIGINT,

    CONSTRAINT "secret_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "secret_version" (
    "secret_id" TEXT COLLATE "C" NOT NULL,
    "version" INTEGER NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "keys" TEXT[],
    "ciphertext" BYTEA NOT NULL,
    "nonce" BYTEA NOT NULL,
    "wrapped_key" BYTEA NOT NULL,
    "created_at_ms" BIGINT NOT NULL,
    "created_by" TEXT NOT NULL,

    CONSTRAINT "secret_version_pkey" PRIMARY KEY ("secret_id","version")
);

-- CreateTable
CREATE TABLE "blob" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "md5" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "object_key" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "blob_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mount_file" (
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "object_key" TEXT NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "mount_file_pkey" PRIMARY KEY ("workspace_id","sha256")
);

-- CreateTable
CREATE TABLE "mount" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "app_id" TEXT COLLATE "C",
    "kind" TEXT NOT NULL,
    "content_key" TEXT NOT NULL,
    "files" JSONB NOT NULL,
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "mount_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "image" (
    "id" TEXT COLLATE "C" NOT NULL,
    "workspace_id" TEXT COLLATE "C" NOT NULL,
    "content_key" TEXT NOT NULL,
    "definition" BYTEA NOT NULL,
    "builder_version" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "image_key" TEXT NOT NULL DEFAULT '',
    "python_version" TEXT NOT NULL DEFAULT '',
    "error" TEXT NOT NULL DEFAULT '',
    "created_at_ms" BIGINT NOT NULL,

    CONSTRAINT "image_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "app_workspace_id_id_idx" ON "app"("workspace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "function_app_id_tag_key" ON "function"("app_id", "tag");

-- CreateIndex
CREATE INDEX "class_app_id_idx" ON "class"("app_id");

-- CreateIndex
CREATE INDEX "function_call_function_id_id_idx" ON "function_call"("function_id", "id");

-- CreateIndex
CREATE INDEX "function_call_app_id_idx" ON "function_call"("app_id");

-- CreateIndex
CREATE UNIQUE INDEX "function_call_workspace_id_idempotency_key_key" ON "function_call"("workspace_id", "idempotency_key");

-- CreateIndex
CREATE UNIQUE INDEX "input_function_call_id_idx_key" ON "input"("function_call_id", "idx");

-- CreateIndex
CREATE UNIQUE INDEX "output_function_call_id_entry_sequence_key" ON "output"("function_call_id", "entry_sequence");

-- CreateIndex
CREATE INDEX "container_function_id_id_idx" ON "container"("function_id", "id");

-- CreateIndex
CREATE INDEX "container_app_id_id_idx" ON "container"("app_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "worker_name_key" ON "worker"("name");

-- CreateIndex
CREATE UNIQUE INDEX "worker_token_token_hash_key" ON "worker_token"("token_hash");

-- CreateIndex
CREATE INDEX "usage_segment_workspace_id_from_ms_idx" ON "usage_segment"("workspace_id", "from_ms");

-- CreateIndex
CREATE UNIQUE INDEX "workspace_name_key" ON "workspace"("name");

-- CreateIndex
CREATE UNIQUE INDEX "app_user_email_key" ON "app_user"("email");

-- CreateIndex
CREATE UNIQUE INDEX "membership_workspace_id_user_id_key" ON "membership"("workspace_id", "user_id");

-- CreateIndex
CREATE UNIQUE INDEX "environment_workspace_id_name_key" ON "environment"("workspace_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "api_token_token_id_key" ON "api_token"("token_id");

-- CreateIndex
CREATE INDEX "api_token_workspace_id_id_idx" ON "api_token"("workspace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "audit_event_workspace_id_seq_key" ON "audit_event"("workspace_id", "seq");

-- CreateIndex
CREATE INDEX "idempotency_record_created_at_ms_idx" ON "idempotency_record"("created_at_ms");

-- CreateIndex
CREATE INDEX "secret_workspace_id_id_idx" ON "secret"("workspace_id", "id");

-- CreateIndex
CREATE INDEX "blob_workspace_id_id_idx" ON "blob"("workspace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "mount_workspace_id_content_key_key" ON "mount"("workspace_id", "content_key");

-- CreateIndex
CREATE UNIQUE INDEX "image_workspace_id_content_key_key" ON "image"("workspace_id", "content_key");

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "workspace"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "environment" ADD CONSTRAINT "environment_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "workspace"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_token" ADD CONSTRAINT "api_token_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "workspace"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_token" ADD CONSTRAINT "api_token_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secret_version" ADD CONSTRAINT "secret_version_secret_id_fkey" FOREIGN KEY ("secret_id") REFERENCES "secret"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What is unique only while it lives, and the recovery scan of the backlog.
CREATE UNIQUE INDEX "secret_live_name" ON "secret"("environment_id", "name") WHERE "deleted_at_ms" IS NULL AND "name" IS NOT NULL;
CREATE UNIQUE INDEX "app_live_name" ON "app"("environment_id", "name") WHERE "name" IS NOT NULL AND "state" NOT IN ('stopping', 'stopped');
CREATE UNIQUE INDEX "environment_default" ON "environment"("workspace_id") WHERE "is_default";
CREATE INDEX "input_pending" ON "input"("function_id", "id") WHERE "status" = 0;
CREATE INDEX "function_call_open" ON "function_call"("app_id") WHERE "cancelled_at_ms" IS NULL;
CREATE INDEX "container_live" ON "container"("id") WHERE "state" <> 'exited';
CREATE INDEX "app_live" ON "app"("id") WHERE "state" NOT IN ('stopping', 'stopped');

-- States by name: a misspelt one must not be stored.
ALTER TABLE "membership" ADD CONSTRAINT "membership_role" CHECK ("role" IN ('owner', 'manager', 'member', 'viewer'));
ALTER TABLE "app" ADD CONSTRAINT "app_state" CHECK ("state" IN ('initializing', 'ephemeral', 'detached', 'detachedDisconnected', 'deployed', 'stopping', 'stopped'));
ALTER TABLE "function" ADD CONSTRAINT "function_state" CHECK ("state" IN ('precreated', 'created'));
ALTER TABLE "function" ADD CONSTRAINT "function_kind" CHECK ("kind" IN ('function', 'generator', 'class'));
ALTER TABLE "function_call" ADD CONSTRAINT "function_call_kind" CHECK ("kind" IN ('unary', 'map'));
ALTER TABLE "input" ADD CONSTRAINT "input_status" CHECK ("status" IN (0, 1));
ALTER TABLE "container" ADD CONSTRAINT "container_state" CHECK ("state" IN ('queued', 'assigned', 'preparing', 'starting', 'ready', 'stopping', 'exited'));
ALTER TABLE "worker" ADD CONSTRAINT "worker_state" CHECK ("state" IN ('online', 'lost', 'cordoned', 'draining'));
ALTER TABLE "blob" ADD CONSTRAINT "blob_state" CHECK ("state" IN ('pending', 'complete'));
ALTER TABLE "image" ADD CONSTRAINT "image_state" CHECK ("state" IN ('ready', 'failed'));

-- Two roles, shared by the databases of one server: `squall_app` sees one workspace at a time; `squall_engine` writes the hot tables, whose one
-- statement carries many workspaces, and reads what it needs to decide. Neither owns a table.
DO $$
DECLARE role_name TEXT;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['squall_app', 'squall_engine'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was first
    END;
    EXECUTE format('GRANT %I TO CURRENT_USER', role_name); -- so that one connection string serves all (SET ROLE)
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO "squall_app", "squall_engine";

GRANT SELECT, INSERT, UPDATE ON "workspace", "app_user", "api_token", "app", "deployment", "function", "class", "secret", "secret_version", "blob", "mount", "mount_file", "image" TO "squall_app";
GRANT SELECT, INSERT, UPDATE, DELETE ON "membership", "environment", "idempotency_record" TO "squall_app";
GRANT DELETE ON "secret_version", "blob" TO "squall_app";
GRANT SELECT, INSERT ON "audit_event" TO "squall_app"; -- append only
GRANT SELECT ON "function_call", "input", "attempt", "output", "data_chunk", "container", "usage_segment" TO "squall_app";

GRANT SELECT, INSERT, UPDATE, DELETE ON "function_call", "input", "attempt", "output", "data_chunk", "container", "worker", "worker_token", "shard" TO "squall_engine";
GRANT SELECT, INSERT ON "usage_segment" TO "squall_engine"; -- append only
GRANT SELECT ON "workspace", "app_user", "membership", "environment", "api_token", "deployment", "function", "class", "secret", "secret_version", "mount", "mount_file", "image", "blob" TO "squall_engine";
GRANT SELECT, UPDATE ON "app" TO "squall_engine"; -- heartbeats and the stopping of many apps at once
GRANT UPDATE ("last_used_at_ms") ON "api_token" TO "squall_engine";
GRANT UPDATE ("last_used_at_ms") ON "secret" TO "squall_engine";

-- Rows are seen by workspace: with no workspace set, squall_app sees nothing. The engine sees all.
DO $$
DECLARE table_name TEXT;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['membership', 'environment', 'api_token', 'audit_event', 'idempotency_record', 'app', 'deployment', 'function', 'class',
    'function_call', 'input', 'attempt', 'output', 'data_chunk', 'container', 'usage_segment', 'secret', 'secret_version', 'blob', 'mount_file', 'mount', 'image'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY own_workspace ON %I TO squall_app USING (workspace_id = current_setting(''squall.workspace'', true)) WITH CHECK (workspace_id = current_setting(''squall.workspace'', true))', table_name);
    EXECUTE format('CREATE POLICY engine ON %I TO squall_engine USING (true) WITH CHECK (true)', table_name);
  END LOOP;
END $$;

ALTER TABLE "workspace" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON "workspace" TO squall_app USING (id = current_setting('squall.workspace', true)) WITH CHECK (id = current_setting('squall.workspace', true));
CREATE POLICY engine ON "workspace" TO squall_engine USING (true) WITH CHECK (true);

ALTER TABLE "app_user" ENABLE ROW LEVEL SECURITY;
CREATE POLICY fellow_member ON "app_user" FOR SELECT TO squall_app USING (EXISTS (SELECT 1 FROM "membership" WHERE "membership"."user_id" = "app_user"."id"));
CREATE POLICY new_user ON "app_user" FOR INSERT TO squall_app WITH CHECK (true);
CREATE POLICY engine ON "app_user" TO squall_engine USING (true) WITH CHECK (true);
