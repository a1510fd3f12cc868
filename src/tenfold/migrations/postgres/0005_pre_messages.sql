-- What messages say, through whom they leave, and what became of each.

CREATE TABLE message_templates (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  definition jsonb,
  draft jsonb,
  resource_type text COLLATE "C" NOT NULL DEFAULT 'Declarative' CHECK (resource_type IN ('Declarative', 'Internal')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT tenancy.protect('message_templates', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

CREATE TABLE subscription_groups (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  type text COLLATE "C" NOT NULL CHECK (type IN ('OptIn', 'OptOut')),
  channel text COLLATE "C" NOT NULL CHECK (channel IN ('Email', 'MobilePush', 'Sms', 'Webhook')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
SELECT tenancy.protect('subscription_groups', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

CREATE TABLE email_providers (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  type text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  is_default boolean NOT NULL DEFAULT false,
  from_address text,
  PRIMARY KEY (workspace_id, type)
);
CREATE UNIQUE INDEX email_providers_default ON email_providers (workspace_id) WHERE is_default;
SELECT tenancy.protect('email_providers', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- A message begins as an intent. `Sending` is written before the provider is called: what is found so after a
-- crash may have left, is settled as doubtful and is never sent again.
CREATE TABLE messages (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  lane uuid NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('Pending', 'Sending', 'Done')),
  due_at timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 0,
  claimed_by uuid,
  claimed_at timestamptz,
  channel text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  template_id uuid NOT NULL,
  journey_id uuid,
  run_id uuid,
  node_id text,
  broadcast_id uuid,
  intent bytea NOT NULL,
  status text COLLATE "C",
  variant jsonb,
  recipient text,
  sender text,
  sent_at timestamptz,
  status_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 80);
CREATE INDEX messages_due ON messages (lane, due_at, id) INCLUDE (workspace_id) WHERE state = 'Pending';
CREATE INDEX messages_sending ON messages (claimed_at) INCLUDE (workspace_id, id, claimed_by) WHERE state = 'Sending';
CREATE INDEX messages_sent ON messages (workspace_id, sent_at DESC, id) WHERE sent_at IS NOT NULL;
CREATE INDEX messages_user ON messages (workspace_id, user_id, sent_at DESC);
CREATE INDEX messages_node ON messages (workspace_id, journey_id, node_id, status) WHERE journey_id IS NOT NULL;
SELECT tenancy.protect('messages', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.let_service_peek('messages', 'workspace_id', 'id', 'lane', 'state', 'due_at', 'claimed_by', 'claimed_at');
