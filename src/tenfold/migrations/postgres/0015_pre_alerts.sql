-- Alerts: what a workspace's admins are told of, and how. A row per thing that is wrong; the process that writes it, tells.

CREATE TABLE alert_settings (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  settings jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id)
);
SELECT tenancy.protect('alert_settings', 'SELECT', 'INSERT', 'UPDATE');
SELECT tenancy.audit('alert_settings', 'alert-settings', '', '');

CREATE TABLE alerts (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  rule text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  level int NOT NULL,
  message text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  PRIMARY KEY (workspace_id, rule, subject)
);
SELECT tenancy.protect('alerts', 'SELECT', 'INSERT', 'UPDATE');

-- Which workspaces did something lately: nobody else's usage can have changed.
SELECT tenancy.let_service_peek('usage', 'workspace_id', 'grain', 'at');

-- Functions of triggers act for whichever workspace a row names, so nobody may put them on a table of their own, as a
-- temporary one would be. Triggers that are there need no right to go on.
REVOKE EXECUTE ON FUNCTION tenancy.audit_change, tenancy.count_row, tenancy.count_users, tenancy.count_events
  FROM tenfold_app;
