-- The context is signed: `<HMAC-SHA256 in hex>.<workspace ids>|<actor type>|<actor id>|<request>|<address>|<actor name>`.
-- Only a process of the installation knows the key, so injected SQL cannot step into another workspace.

-- The key, as the two padded halves of RFC 2104. The runner writes it from the installation's secret.
CREATE TABLE tenancy.signing_keys (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  inner_pad bytea NOT NULL,
  outer_pad bytea NOT NULL
);
GRANT SELECT ON tenancy.signing_keys TO tenfold_keeper;
GRANT USAGE ON SCHEMA public, tenancy TO tenfold_keeper, tenfold_auditor;

-- The context of the running transaction when its signature is right; NULL otherwise, and when there is none. The
-- runner puts the variant that the setting asks for in its place at each start (migrations/context).
CREATE FUNCTION tenancy.context() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  given text := current_setting('app.current_workspace_id', true);
  key tenancy.signing_keys;
BEGIN
  SELECT * INTO key FROM tenancy.signing_keys;
  IF encode(sha256(key.outer_pad || sha256(key.inner_pad || convert_to(substr(given, 66), 'UTF8'))), 'hex')
     = left(given, 64) THEN
    RETURN substr(given, 66);
  END IF;
  RETURN NULL;
END $$;

-- Functions of `tenancy` run with the rights of a role that nobody can log in as, and only the app role may call them.
CREATE FUNCTION tenancy.run_as(owner_role text, VARIADIC names text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  found regprocedure;
BEGIN
  EXECUTE format('GRANT CREATE ON SCHEMA tenancy TO %I', owner_role);
  FOR found IN SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = 'tenancy'::regnamespace AND p.proname = ANY (names)
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tenfold_app', found);
    EXECUTE format('ALTER FUNCTION %s OWNER TO %I', found, owner_role);
  END LOOP;
  EXECUTE format('REVOKE CREATE ON SCHEMA tenancy FROM %I', owner_role);
END $$;
REVOKE EXECUTE ON FUNCTION tenancy.run_as FROM PUBLIC;

SELECT tenancy.run_as('tenfold_keeper', 'context');
GRANT EXECUTE ON FUNCTION tenancy.context() TO tenfold_service, tenfold_directory, tenfold_auditor;

CREATE OR REPLACE FUNCTION tenancy.workspaces() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(split_part(tenancy.context(), '|', 1), ',')::uuid[];
REVOKE EXECUTE ON FUNCTION tenancy.workspaces() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.workspaces() TO tenfold_directory, tenfold_auditor;

-- Two contexts are no workspace: who signs in (identity), and who runs the installation (platform).
CREATE FUNCTION tenancy.identity() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-8000-8000-000000000001'::uuid;
CREATE FUNCTION tenancy.platform() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-8000-8000-000000000002'::uuid;

-- Looking through all workspaces is for the platform.
CREATE OR REPLACE FUNCTION tenancy.list_workspaces(after uuid, wanted_status text, parent uuid, page int)
RETURNS SETOF workspaces
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.* FROM public.workspaces w
  WHERE tenancy.platform() = ANY ((SELECT tenancy.workspaces())::uuid[])
    AND (after IS NULL OR w.workspace_id > after)
    AND (wanted_status IS NULL OR w.status = wanted_status)
    AND (parent IS NULL OR w.parent_id = parent)
  ORDER BY w.workspace_id LIMIT page
$$;
CREATE OR REPLACE FUNCTION tenancy.find_external_id(parent uuid, wanted text) RETURNS SETOF workspaces
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.* FROM public.workspaces w
  WHERE tenancy.platform() = ANY ((SELECT tenancy.workspaces())::uuid[])
    AND w.parent_id IS NOT DISTINCT FROM parent AND w.external_id = wanted
$$;
