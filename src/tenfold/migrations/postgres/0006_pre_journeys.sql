-- Journeys, every definition that runs were started with, and the runs.

CREATE TABLE journeys (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (status IN ('NotStarted', 'Running', 'Paused', 'Broadcast')),
  definition jsonb,
  draft jsonb,
  version int NOT NULL DEFAULT 0,
  can_run_multiple boolean NOT NULL DEFAULT false,
  resource_type text COLLATE "C" NOT NULL DEFAULT 'Declarative' CHECK (resource_type IN ('Declarative', 'Internal')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT tenancy.protect('journeys', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

CREATE TABLE journey_versions (
  workspace_id uuid NOT NULL,
  journey_id uuid NOT NULL,
  version int NOT NULL,
  definition jsonb NOT NULL,
  PRIMARY KEY (workspace_id, journey_id, version),
  FOREIGN KEY (workspace_id, journey_id) REFERENCES journeys ON DELETE CASCADE
);
SELECT tenancy.protect('journey_versions', 'SELECT', 'INSERT');

-- `key` is '' for an entry by segment, the key's value or the message id for an entry by event.
-- `due_at` NULL: the run waits for something that will happen, not for a time.
CREATE TABLE runs (
  workspace_id uuid NOT NULL,
  id uuid NOT NULL,
  journey_id uuid NOT NULL,
  version int NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  state bytea NOT NULL,
  waits_for text COLLATE "C" NOT NULL DEFAULT 'turn',
  lane uuid,
  due_at timestamptz,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, journey_id) REFERENCES journeys ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX runs_live ON runs (workspace_id, journey_id, user_id, key) WHERE ended_at IS NULL;
CREATE INDEX runs_entered ON runs (workspace_id, journey_id, user_id, key);
CREATE INDEX runs_user ON runs (workspace_id, user_id) WHERE ended_at IS NULL;
CREATE INDEX runs_due ON runs (due_at) INCLUDE (lane, workspace_id, id) WHERE ended_at IS NULL AND lane IS NOT NULL;
CREATE INDEX runs_clock ON runs (workspace_id, due_at) WHERE ended_at IS NULL AND lane IS NULL;
SELECT tenancy.protect('runs', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.let_service_peek('runs', 'workspace_id', 'id', 'lane', 'due_at', 'ended_at');

CREATE TABLE journey_counts (
  workspace_id uuid NOT NULL,
  journey_id uuid NOT NULL,
  node_id text COLLATE "C" NOT NULL,
  visits bigint NOT NULL,
  PRIMARY KEY (workspace_id, journey_id, node_id),
  FOREIGN KEY (workspace_id, journey_id) REFERENCES journeys ON DELETE CASCADE
) WITH (fillfactor = 50);
SELECT tenancy.protect('journey_counts', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
