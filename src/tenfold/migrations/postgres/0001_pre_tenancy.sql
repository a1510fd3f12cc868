-- Who may see what. Roles (owner, tenfold_app, tenfold_service, tenfold_directory) are made by the runner.

CREATE SCHEMA tenancy;
GRANT USAGE ON SCHEMA public, tenancy TO tenfold_app, tenfold_service, tenfold_directory;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- The workspaces of the running transaction: one, or for a batch worker the exact set it claimed.
-- Nothing set, or set to '', means no workspace: no rows.
CREATE FUNCTION tenancy.workspaces() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(NULLIF(current_setting('app.current_workspace_id', true), ''), ',')::uuid[];

-- One declaration for a tenant table: row security that binds the owner too, one policy, the app's grants.
CREATE FUNCTION tenancy.protect(tenant_table regclass, VARIADIC verbs text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
  EXECUTE format(
    'CREATE POLICY workspace ON %s TO tenfold_app'
    ' USING (workspace_id = ANY ((SELECT tenancy.workspaces())::uuid[]))'
    ' WITH CHECK (workspace_id = ANY ((SELECT tenancy.workspaces())::uuid[]))', tenant_table);
  EXECUTE format('GRANT %s ON %s TO tenfold_app', array_to_string(verbs, ', '), tenant_table);
END $$;
REVOKE EXECUTE ON FUNCTION tenancy.protect FROM PUBLIC;

-- What the service role may read of a queue table: the columns that say what is due, and nothing else.
CREATE FUNCTION tenancy.let_service_peek(queue_table regclass, VARIADIC queue_columns text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  EXECUTE format('CREATE POLICY peek ON %s FOR SELECT TO tenfold_service USING (true)', queue_table);
  EXECUTE format('GRANT SELECT (%s) ON %s TO tenfold_service', array_to_string(queue_columns, ', '), queue_table);
END $$;
REVOKE EXECUTE ON FUNCTION tenancy.let_service_peek FROM PUBLIC;

CREATE TABLE workspaces (
  workspace_id uuid PRIMARY KEY,
  root_id uuid NOT NULL,
  parent_id uuid REFERENCES workspaces ON DELETE CASCADE,
  name text NOT NULL,
  type text COLLATE "C" NOT NULL CHECK (type IN ('Root', 'Parent', 'Child')),
  status text COLLATE "C" NOT NULL CHECK (status IN ('Active', 'Paused', 'Tombstoned')),
  external_id text,
  domain text,
  test_now timestamptz,
  definitions_version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE NULLS NOT DISTINCT (parent_id, name)
);
CREATE UNIQUE INDEX workspaces_external_id ON workspaces (parent_id, external_id) NULLS NOT DISTINCT
  WHERE external_id IS NOT NULL;
SELECT tenancy.protect('workspaces', 'SELECT', 'INSERT', 'UPDATE');

CREATE TABLE write_keys (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  hash bytea NOT NULL,
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
CREATE UNIQUE INDEX write_keys_lookup ON write_keys (id);
SELECT tenancy.protect('write_keys', 'SELECT', 'INSERT', 'DELETE');

CREATE TABLE admin_keys (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);
CREATE UNIQUE INDEX admin_keys_lookup ON admin_keys (hash);
SELECT tenancy.protect('admin_keys', 'SELECT', 'INSERT', 'DELETE');

CREATE TABLE secrets (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  name text NOT NULL,
  sealed bytea NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, name)
);
SELECT tenancy.protect('secrets', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- Before a workspace is known someone must look it up: functions of a role that may read these three tables
-- and that nobody can log in as. They answer one row for one key.
CREATE POLICY directory ON workspaces FOR SELECT TO tenfold_directory USING (true);
CREATE POLICY directory ON write_keys FOR SELECT TO tenfold_directory USING (true);
CREATE POLICY directory ON admin_keys FOR SELECT TO tenfold_directory USING (true);
GRANT SELECT ON workspaces, write_keys, admin_keys TO tenfold_directory;

CREATE FUNCTION tenancy.first_workspace() RETURNS SETOF workspaces
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT w.* FROM public.workspaces w ORDER BY w.created_at, w.workspace_id LIMIT 1 $$;

CREATE FUNCTION tenancy.find_external_id(parent uuid, wanted text) RETURNS SETOF workspaces
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT w.* FROM public.workspaces w WHERE w.parent_id IS NOT DISTINCT FROM parent AND w.external_id = wanted $$;

CREATE FUNCTION tenancy.list_workspaces(after uuid, wanted_status text, parent uuid, page int) RETURNS SETOF workspaces
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.* FROM public.workspaces w
  WHERE (after IS NULL OR w.workspace_id > after)
    AND (wanted_status IS NULL OR w.status = wanted_status)
    AND (parent IS NULL OR w.parent_id = parent)
  ORDER BY w.workspace_id LIMIT page
$$;

CREATE FUNCTION tenancy.find_write_key(wanted uuid) RETURNS TABLE (workspace_id uuid, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT k.workspace_id, k.hash FROM public.write_keys k WHERE k.id = wanted $$;

DO $$
DECLARE lookup regprocedure;
BEGIN
  GRANT CREATE ON SCHEMA tenancy TO tenfold_directory;
  FOR lookup IN SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = 'tenancy'::regnamespace AND p.prosecdef
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', lookup);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tenfold_app', lookup);
    EXECUTE format('ALTER FUNCTION %s OWNER TO tenfold_directory', lookup);
  END LOOP;
  REVOKE CREATE ON SCHEMA tenancy FROM tenfold_directory;
END $$;
GRANT EXECUTE ON FUNCTION tenancy.workspaces() TO tenfold_app, tenfold_service;
