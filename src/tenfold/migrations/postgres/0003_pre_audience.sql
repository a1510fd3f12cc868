-- Profiles hold the folded state of a user; definitions say what is computed from it.

CREATE TABLE profiles (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  user_id text COLLATE "C" NOT NULL,
  state bytea NOT NULL,
  properties jsonb NOT NULL DEFAULT '{}',
  segments uuid[] NOT NULL DEFAULT '{}',
  wake_at timestamptz,
  lane uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX profiles_wake ON profiles (wake_at) INCLUDE (lane, workspace_id) WHERE wake_at IS NOT NULL AND lane IS NOT NULL;
CREATE INDEX profiles_clock ON profiles (workspace_id, wake_at) WHERE wake_at IS NOT NULL AND lane IS NULL;
SELECT tenancy.protect('profiles', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.let_service_peek('profiles', 'workspace_id', 'user_id', 'lane', 'wake_at');

CREATE TABLE memberships (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  segment_id uuid NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  entered_at timestamptz NOT NULL,
  PRIMARY KEY (workspace_id, segment_id, user_id)
);
SELECT tenancy.protect('memberships', 'SELECT', 'INSERT', 'DELETE');

CREATE TABLE user_properties (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  definition jsonb NOT NULL,
  status text COLLATE "C" NOT NULL DEFAULT 'Running' CHECK (status IN ('NotStarted', 'Running', 'Paused')),
  example_value text,
  definition_updated_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT tenancy.protect('user_properties', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

CREATE TABLE segments (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  definition jsonb NOT NULL,
  status text COLLATE "C" NOT NULL DEFAULT 'Running' CHECK (status IN ('NotStarted', 'Running', 'Paused')),
  resource_type text COLLATE "C" NOT NULL DEFAULT 'Declarative' CHECK (resource_type IN ('Declarative', 'Internal')),
  subscription_group_id uuid,
  definition_updated_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT tenancy.protect('segments', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- A condition is a leaf of one or more definitions, named by a hash of its content.
-- `pending`: nothing folds it yet; `loading`: new events do, the archive's are on their way; `ready`: all are in.
CREATE TABLE conditions (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  key text COLLATE "C" NOT NULL,
  spec jsonb NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'loading', 'ready')),
  watermark bigint,
  PRIMARY KEY (workspace_id, key)
);
SELECT tenancy.protect('conditions', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- Who wants to hear of a segment's changes or of an event: written by the slices above.
CREATE TABLE watches (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  watcher uuid NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('segment', 'event')),
  subject text COLLATE "C" NOT NULL,
  PRIMARY KEY (workspace_id, watcher, kind, subject)
);
SELECT tenancy.protect('watches', 'SELECT', 'INSERT', 'DELETE');
