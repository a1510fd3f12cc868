-- Who may do what: people and their sessions (of the installation), members and roles (of a workspace).

CREATE SCHEMA identity;
GRANT USAGE ON SCHEMA identity TO tenfold_app, tenfold_directory;

-- As tenancy.protect, for tables that belong to no workspace: they open to the identity context alone.
CREATE FUNCTION tenancy.protect_identity(identity_table regclass, VARIADIC verbs text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', identity_table);
  EXECUTE format(
    'CREATE POLICY identity ON %s TO tenfold_app'
    ' USING (tenancy.identity() = ANY ((SELECT tenancy.workspaces())::uuid[]))'
    ' WITH CHECK (tenancy.identity() = ANY ((SELECT tenancy.workspaces())::uuid[]))', identity_table);
  EXECUTE format('GRANT %s ON %s TO tenfold_app', array_to_string(verbs, ', '), identity_table);
END $$;
REVOKE EXECUTE ON FUNCTION tenancy.protect_identity FROM PUBLIC;

CREATE TABLE identity.people (
  id uuid PRIMARY KEY,
  email text COLLATE "C" NOT NULL UNIQUE,
  name text,
  picture text,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_login_at timestamptz
);
SELECT tenancy.protect_identity('identity.people', 'SELECT', 'INSERT', 'UPDATE');

CREATE TABLE identity.accounts (
  provider text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  person_id uuid NOT NULL REFERENCES identity.people ON DELETE CASCADE,
  PRIMARY KEY (provider, subject)
);
SELECT tenancy.protect_identity('identity.accounts', 'SELECT', 'INSERT', 'UPDATE');

-- A session is known by the SHA-256 of its token. `person_id` NULL: signed in with the installation's password.
CREATE TABLE identity.sessions (
  token_hash bytea PRIMARY KEY,
  person_id uuid REFERENCES identity.people ON DELETE CASCADE,
  workspace_id uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  issued_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_person ON identity.sessions (person_id);
CREATE INDEX sessions_expiry ON identity.sessions (expires_at);
SELECT tenancy.protect_identity('identity.sessions', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- Failed logins by address, so that a password cannot be guessed.
CREATE TABLE identity.attempts (
  address text COLLATE "C" PRIMARY KEY,
  failures int NOT NULL,
  since timestamptz NOT NULL
);
SELECT tenancy.protect_identity('identity.attempts', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- A member is invited by address and joins on the first login with that address verified.
CREATE TABLE members (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  email text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL,
  name text,
  invited_by text,
  expires_at timestamptz,
  joined_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, email)
);
CREATE INDEX members_email ON members (email, created_at);
SELECT tenancy.protect('members', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- A workspace's own roles, beside Admin, WorkspaceManager, Author and Viewer.
CREATE TABLE roles (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL CHECK (name NOT IN ('Admin', 'WorkspaceManager', 'Author', 'Viewer')),
  permissions text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, name)
);
SELECT tenancy.protect('roles', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- `domain_role`: what people whose address is of the workspace's domain become when they sign in; NULL: nothing.
CREATE TABLE access_settings (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  domain_role text COLLATE "C",
  audit_retention_days int CHECK (audit_retention_days >= 1),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id)
);
SELECT tenancy.protect('access_settings', 'SELECT', 'INSERT', 'UPDATE');
SELECT tenancy.let_service_peek('access_settings', 'workspace_id', 'audit_retention_days');

-- `permissions` NULL: all of them.
ALTER TABLE admin_keys
  ADD COLUMN permissions text[],
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN last_used_at timestamptz,
  ADD COLUMN created_by text;
GRANT UPDATE (last_used_at) ON admin_keys TO tenfold_app;

ALTER TABLE secrets ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX secrets_id ON secrets (workspace_id, id);
CREATE INDEX workspaces_age ON workspaces (created_at, workspace_id);
CREATE INDEX workspaces_domain ON workspaces (domain) WHERE domain IS NOT NULL;
CREATE INDEX workspaces_parent ON workspaces (parent_id, workspace_id) WHERE parent_id IS NOT NULL;

CREATE POLICY directory ON members FOR SELECT TO tenfold_directory USING (true);
CREATE POLICY directory ON roles FOR SELECT TO tenfold_directory USING (true);
CREATE POLICY directory ON access_settings FOR SELECT TO tenfold_directory USING (true);
GRANT SELECT ON members, roles, access_settings TO tenfold_directory;

CREATE FUNCTION tenancy.open_admin_key(wanted bytea)
RETURNS TABLE (workspace_id uuid, id uuid, name text, permissions text[], expires_at timestamptz, last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT k.workspace_id, k.id, k.name, k.permissions, k.expires_at, k.last_used_at
  FROM public.admin_keys k WHERE k.hash = wanted
$$;

-- What a person is in a workspace: by membership there, else by membership in its parent. With NULL for the
-- workspace: in the first one that the person joined. Only active workspaces; only in the identity context.
CREATE FUNCTION tenancy.find_membership(person text, wanted uuid)
RETURNS TABLE (workspace_id uuid, member_id uuid, role text, permissions text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  WITH reached AS (
    SELECT m.workspace_id AS target, m.* FROM public.members m
    WHERE m.email = person AND (wanted IS NULL OR m.workspace_id = wanted)
    UNION ALL
    SELECT w.workspace_id, m.* FROM public.workspaces w
    JOIN public.members m ON m.workspace_id = w.parent_id AND m.email = person
    WHERE w.workspace_id = wanted
  )
  SELECT w.workspace_id, m.id, m.role, r.permissions
  FROM reached m
  JOIN public.workspaces w ON w.workspace_id = m.target AND w.status = 'Active'
  JOIN public.workspaces home ON home.workspace_id = m.workspace_id AND home.status = 'Active'
  LEFT JOIN public.roles r ON r.workspace_id = m.workspace_id AND r.name = m.role
  WHERE tenancy.identity() = ANY ((SELECT tenancy.workspaces())::uuid[]) AND m.joined_at IS NOT NULL
  ORDER BY (m.workspace_id = m.target) DESC, m.created_at, m.id LIMIT 1
$$;

-- Where an address is a member or invited; a page of them.
CREATE FUNCTION tenancy.list_memberships(person text, after uuid, page int)
RETURNS TABLE (workspace_id uuid, name text, role text, joined_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.workspace_id, w.name, m.role, m.joined_at, m.expires_at
  FROM public.members m JOIN public.workspaces w ON w.workspace_id = m.workspace_id
  WHERE tenancy.identity() = ANY ((SELECT tenancy.workspaces())::uuid[])
    AND m.email = person AND w.status = 'Active' AND (after IS NULL OR w.workspace_id > after)
  ORDER BY w.workspace_id LIMIT page
$$;

-- The active workspaces that take in people of a domain, and as what.
CREATE FUNCTION tenancy.find_domain(wanted text) RETURNS TABLE (workspace_id uuid, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.workspace_id, CASE WHEN s.workspace_id IS NULL THEN 'Viewer' ELSE s.domain_role END
  FROM public.workspaces w LEFT JOIN public.access_settings s ON s.workspace_id = w.workspace_id
  WHERE tenancy.identity() = ANY ((SELECT tenancy.workspaces())::uuid[])
    AND w.domain = wanted AND w.status = 'Active'
    AND (s.workspace_id IS NULL OR s.domain_role IS NOT NULL)
  LIMIT 100
$$;

SELECT tenancy.run_as('tenfold_directory', 'open_admin_key', 'find_membership', 'list_memberships', 'find_domain');
