-- Work for later, written in the transaction that makes it necessary.
-- `lane` NULL: due in a test clock's time; only that clock hands it out.

CREATE TABLE jobs (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  topic text COLLATE "C" NOT NULL,
  lane uuid,
  due_at timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 0,
  error text,
  payload bytea NOT NULL,
  PRIMARY KEY (workspace_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX jobs_due ON jobs (topic, lane, due_at, id) INCLUDE (workspace_id) WHERE lane IS NOT NULL;
CREATE INDEX jobs_clock ON jobs (workspace_id, due_at) WHERE lane IS NULL;
SELECT tenancy.protect('jobs', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.let_service_peek('jobs', 'workspace_id', 'id', 'topic', 'lane', 'due_at');
