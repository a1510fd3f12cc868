-- The audit log. An entry is written in the transaction of the change, without waiting for anybody
-- (audit_pending); moments later it is chained, workspace by workspace, under a lock (audit_log).
-- The processes' role can do neither by itself: only through the functions below, of a role nobody can log in as.

CREATE TABLE audit_pending (
  workspace_id uuid NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  action text NOT NULL,
  actor_type text NOT NULL,
  actor_id text NOT NULL,
  actor_name text NOT NULL,
  target_type text NOT NULL,
  target_id text NOT NULL,
  outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('allowed', 'denied')),
  request_id text NOT NULL,
  ip text NOT NULL,
  changes jsonb NOT NULL,
  PRIMARY KEY (workspace_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX audit_pending_order ON audit_pending (seq) INCLUDE (workspace_id);
SELECT tenancy.protect('audit_pending', 'SELECT');
SELECT tenancy.let_service_peek('audit_pending', 'workspace_id', 'seq');

CREATE TABLE audit_log (
  workspace_id uuid NOT NULL,
  sequence bigint NOT NULL,
  id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  action text NOT NULL,
  actor_type text NOT NULL,
  actor_id text NOT NULL,
  actor_name text NOT NULL,
  target_type text NOT NULL,
  target_id text NOT NULL,
  outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('allowed', 'denied')),
  request_id text NOT NULL,
  ip text NOT NULL,
  changes jsonb NOT NULL,
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (workspace_id, sequence)
);
CREATE INDEX audit_log_actor ON audit_log (workspace_id, actor_id, sequence);
SELECT tenancy.protect('audit_log', 'SELECT');

-- Where each chain stands, and where it begins since old entries were let go.
CREATE TABLE audit_heads (
  workspace_id uuid NOT NULL,
  sequence bigint NOT NULL,
  hash bytea NOT NULL,
  base_sequence bigint NOT NULL,
  base_hash bytea NOT NULL,
  PRIMARY KEY (workspace_id)
) WITH (fillfactor = 50);
SELECT tenancy.protect('audit_heads', 'SELECT');

-- What a process has signed: nobody with the database alone can write these.
CREATE TABLE audit_checkpoints (
  workspace_id uuid NOT NULL,
  sequence bigint NOT NULL,
  hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  signature bytea NOT NULL,
  PRIMARY KEY (workspace_id, sequence)
);
SELECT tenancy.protect('audit_checkpoints', 'SELECT', 'INSERT');

DO $$
DECLARE chained text;
BEGIN
  FOREACH chained IN ARRAY ARRAY['audit_pending', 'audit_log', 'audit_heads', 'audit_checkpoints'] LOOP
    EXECUTE format(
      'CREATE POLICY auditor ON %I TO tenfold_auditor'
      ' USING (workspace_id = ANY ((SELECT tenancy.workspaces())::uuid[]))'
      ' WITH CHECK (workspace_id = ANY ((SELECT tenancy.workspaces())::uuid[])'
      '   OR session_user NOT IN (''tenfold_app'', ''tenfold_service''))', chained); -- a person at the database
  END LOOP;
  CREATE POLICY auditor ON access_settings FOR SELECT TO tenfold_auditor
    USING (workspace_id = ANY ((SELECT tenancy.workspaces())::uuid[]));
END $$;
GRANT SELECT, INSERT, DELETE ON audit_pending, audit_log TO tenfold_auditor;
GRANT SELECT, INSERT, UPDATE ON audit_heads TO tenfold_auditor;
GRANT SELECT, DELETE ON audit_checkpoints TO tenfold_auditor;
GRANT SELECT ON access_settings TO tenfold_auditor;

-- Write an entry about a workspace of the context. Who acts is taken from the signed context.
CREATE FUNCTION tenancy.record_audit(
  workspace uuid, action text, target_type text, target_id text, outcome text, changes jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  c text[] := string_to_array(COALESCE(tenancy.context(), '|system|database|||'), '|');
BEGIN
  INSERT INTO public.audit_pending (
    workspace_id, action, actor_type, actor_id, actor_name, target_type, target_id, outcome, request_id, ip, changes)
  VALUES (workspace, action, c[2], c[3], array_to_string(c[6:], '|'), target_type, target_id, outcome, c[4], c[5], changes);
END $$;

-- The trigger of every table whose changes belong in the log: type of the resource, columns that are secret,
-- columns that do not matter. An update tells of the columns that it changed.
CREATE FUNCTION tenancy.audit_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  c text[] := string_to_array(COALESCE(tenancy.context(), '|system|database|||'), '|');
  kept jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
  new_row jsonb := kept - TG_ARGV[2]::text[];
  old_row jsonb;
  same text[];
  changes jsonb;
BEGIN
  IF new_row ?| TG_ARGV[1]::text[] THEN
    new_row := new_row || tenancy.masked(new_row, TG_ARGV[1]::text[]);
  END IF;
  IF TG_OP = 'UPDATE' THEN
    old_row := to_jsonb(OLD) - TG_ARGV[2]::text[];
    SELECT array_agg(field) INTO same FROM jsonb_object_keys(new_row) AS field
      WHERE old_row -> field = to_jsonb(NEW) -> field;
    new_row := new_row - same;
    IF new_row = '{}' THEN
      RETURN NULL;
    END IF;
    old_row := old_row - same;
    changes := jsonb_build_object('before', old_row || tenancy.masked(old_row, TG_ARGV[1]::text[]), 'after', new_row);
  ELSE
    changes := jsonb_build_object(CASE TG_OP WHEN 'INSERT' THEN 'after' ELSE 'before' END, new_row);
  END IF;
  INSERT INTO public.audit_pending (
    workspace_id, action, actor_type, actor_id, actor_name, target_type, target_id, outcome, request_id, ip, changes)
  VALUES (
    (kept ->> 'workspace_id')::uuid,
    TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.created' WHEN 'UPDATE' THEN '.updated' ELSE '.deleted' END,
    c[2], c[3], array_to_string(c[6:], '|'), TG_ARGV[0],
    COALESCE(kept ->> 'id', CASE WHEN TG_ARGV[0] <> 'workspace' THEN kept ->> 'name' END, kept ->> 'workspace_id'),
    'allowed', c[4], c[5], changes);
  RETURN NULL;
END $$;

-- The secret fields of a row, each as '***'.
CREATE FUNCTION tenancy.masked(fields jsonb, secret_fields text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog
RETURN (
  SELECT COALESCE(jsonb_object_agg(field, '***'), '{}') FROM unnest(secret_fields) AS field WHERE fields ? field
);

CREATE FUNCTION tenancy.audit(audited regclass, resource text, secret_columns text, ignored_columns text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW'
    ' EXECUTE FUNCTION tenancy.audit_change(%L, %L, %L)', audited, resource, format('{%s}', secret_columns),
    format('{workspace_id,created_at,updated_at,%s}', COALESCE(NULLIF(ignored_columns, ''), 'workspace_id')));
END $$;
REVOKE EXECUTE ON FUNCTION tenancy.audit FROM PUBLIC;

-- The bytes that a hash covers: each field as `<length in bytes>:<field>,` (a netstring), so that no two entries
-- have the same.
CREATE FUNCTION tenancy.netstrings(VARIADIC fields text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog
RETURN (
  SELECT convert_to(string_agg(octet_length(field) || ':' || field || ',', '' ORDER BY place), 'UTF8')
  FROM unnest(fields) WITH ORDINALITY AS f (field, place)
);

-- Chain what is pending in one workspace of the context; how many entries. Holds the chain's head meanwhile, so
-- that it never forks.
CREATE FUNCTION tenancy.chain_audit(workspace uuid, most int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  head public.audit_heads;
  entry public.audit_pending;
  genesis bytea := sha256(tenancy.netstrings('tenfold audit log', workspace::text));
  previous bytea;
  chained int := 0;
BEGIN
  INSERT INTO public.audit_heads VALUES (workspace, 0, genesis, 0, genesis) ON CONFLICT DO NOTHING;
  SELECT * INTO head FROM public.audit_heads WHERE workspace_id = workspace FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  FOR entry IN
    WITH moved AS (
      DELETE FROM public.audit_pending p WHERE p.workspace_id = workspace AND p.seq IN (
        SELECT q.seq FROM public.audit_pending q WHERE q.workspace_id = workspace ORDER BY q.seq LIMIT most)
      RETURNING p.*
    ) SELECT * FROM moved ORDER BY seq
  LOOP
    chained := chained + 1;
    previous := head.hash;
    head.sequence := head.sequence + 1;
    head.hash := sha256(previous || tenancy.netstrings(
      workspace::text, head.sequence::text, entry.id::text,
      to_char(entry.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), entry.action, entry.actor_type,
      entry.actor_id, entry.actor_name, entry.target_type, entry.target_id, entry.outcome, entry.request_id, entry.ip,
      entry.changes::text));
    INSERT INTO public.audit_log VALUES (
      workspace, head.sequence, entry.id, entry.occurred_at, entry.action, entry.actor_type, entry.actor_id,
      entry.actor_name, entry.target_type, entry.target_id, entry.outcome, entry.request_id, entry.ip, entry.changes,
      previous, head.hash);
  END LOOP;
  UPDATE public.audit_heads SET sequence = head.sequence, hash = head.hash WHERE workspace_id = workspace;
  RETURN chained;
END $$;

-- Let go of the entries of a workspace of the context that are older than its setting. The chain then begins at
-- the hash of the last one gone, so what is left is still provable.
CREATE FUNCTION tenancy.trim_audit(workspace uuid) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  days int := (SELECT s.audit_retention_days FROM public.access_settings s WHERE s.workspace_id = workspace);
  last_gone bigint;
  gone int;
BEGIN
  PERFORM 1 FROM public.audit_heads h WHERE h.workspace_id = workspace FOR UPDATE;
  SELECT min(l.sequence) - 1 INTO last_gone FROM public.audit_log l
    WHERE l.workspace_id = workspace AND l.occurred_at >= now() - make_interval(days => days);
  IF days IS NULL THEN
    RETURN 0;
  END IF;
  last_gone := COALESCE(last_gone, (SELECT h.sequence FROM public.audit_heads h WHERE h.workspace_id = workspace));
  UPDATE public.audit_heads h SET base_sequence = l.sequence, base_hash = l.hash FROM public.audit_log l
    WHERE h.workspace_id = workspace AND l.workspace_id = workspace AND l.sequence = last_gone;
  DELETE FROM public.audit_checkpoints c WHERE c.workspace_id = workspace AND c.sequence < last_gone;
  DELETE FROM public.audit_log l WHERE l.workspace_id = workspace AND l.sequence <= last_gone;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$;

SELECT tenancy.run_as('tenfold_auditor', 'record_audit', 'audit_change', 'chain_audit', 'trim_audit');

SELECT tenancy.audit('workspaces', 'workspace', '', 'definitions_version,test_now,root_id');
SELECT tenancy.audit('write_keys', 'write-key', 'sealed', 'hash');
SELECT tenancy.audit('admin_keys', 'admin-key', '', 'hash,last_used_at');
SELECT tenancy.audit('secrets', 'secret', 'sealed', '');
SELECT tenancy.audit('members', 'member', '', '');
SELECT tenancy.audit('roles', 'role', '', '');
SELECT tenancy.audit('access_settings', 'access-settings', '', '');
SELECT tenancy.audit('user_properties', 'user-property', '', 'example_value,definition_updated_at');
SELECT tenancy.audit('segments', 'segment', '', 'definition_updated_at');
SELECT tenancy.audit('message_templates', 'template', '', '');
SELECT tenancy.audit('subscription_groups', 'subscription-group', '', '');
SELECT tenancy.audit('email_providers', 'email-provider', '', '');
SELECT tenancy.audit('journeys', 'journey', '', 'version');

-- An id that a caller named and does not own may be another workspace's: the crossing belongs in that one's log.
CREATE INDEX segments_id ON segments (id) INCLUDE (workspace_id);
CREATE INDEX user_properties_id ON user_properties (id) INCLUDE (workspace_id);
CREATE INDEX journeys_id ON journeys (id) INCLUDE (workspace_id);
CREATE INDEX message_templates_id ON message_templates (id) INCLUDE (workspace_id);
CREATE INDEX subscription_groups_id ON subscription_groups (id) INCLUDE (workspace_id);
CREATE INDEX admin_keys_id ON admin_keys (id) INCLUDE (workspace_id);
CREATE INDEX secrets_lookup ON secrets (id) INCLUDE (workspace_id);

DO $$
DECLARE found text;
BEGIN
  FOREACH found IN ARRAY ARRAY['segments', 'user_properties', 'journeys', 'message_templates', 'subscription_groups',
    'secrets'] LOOP
    EXECUTE format('CREATE POLICY directory ON %I FOR SELECT TO tenfold_directory USING (true)', found);
    EXECUTE format('GRANT SELECT (workspace_id, id) ON %I TO tenfold_directory', found);
  END LOOP;
END $$;

-- To which workspaces these ids belong; for the platform's own watch, never for a caller.
CREATE FUNCTION tenancy.owners_of(wanted uuid[]) RETURNS TABLE (workspace_id uuid, type text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT found.* FROM (
    SELECT w.workspace_id, 'workspace' AS type, w.workspace_id AS id FROM public.workspaces w
      WHERE w.workspace_id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'segment', r.id FROM public.segments r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'user-property', r.id FROM public.user_properties r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'journey', r.id FROM public.journeys r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'template', r.id FROM public.message_templates r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'subscription-group', r.id FROM public.subscription_groups r
      WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'admin-key', r.id FROM public.admin_keys r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'write-key', r.id FROM public.write_keys r WHERE r.id = ANY (wanted)
    UNION ALL SELECT r.workspace_id, 'secret', r.id FROM public.secrets r WHERE r.id = ANY (wanted)
  ) AS found
  WHERE tenancy.platform() = ANY ((SELECT tenancy.workspaces())::uuid[])
$$;
SELECT tenancy.run_as('tenfold_directory', 'owners_of');
