-- Quotas of things that are counted. A counter per workspace and kind is moved by the statement that makes or deletes a
-- thing, under its row's lock: never one over, never one refused while there is room. A child counts at its parent too.

CREATE TABLE quotas (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  limits jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id)
);
SELECT tenancy.protect('quotas', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.audit('quotas', 'quota', '', '');

-- What the platform allows at most, whatever the workspace sets.
CREATE TABLE quota_ceilings (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  limits jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id)
);
SELECT tenancy.protect('quota_ceilings', 'SELECT', 'INSERT', 'UPDATE');
SELECT tenancy.audit('quota_ceilings', 'quota-ceiling', '', '');

-- A ceiling is the platform's to set, whatever SQL runs in a workspace's context: the signed actor says who it is.
CREATE FUNCTION tenancy.only_platform() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF split_part(tenancy.context(), '|', 2) IS DISTINCT FROM 'platform' THEN
    RAISE insufficient_privilege USING MESSAGE = 'only the platform sets ceilings';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_platform BEFORE INSERT OR UPDATE ON quota_ceilings FOR EACH ROW
  EXECUTE FUNCTION tenancy.only_platform();

CREATE TABLE quota_usage (
  workspace_id uuid NOT NULL,
  resource text COLLATE "C" NOT NULL,
  used bigint NOT NULL CHECK (used >= 0),
  PRIMARY KEY (workspace_id, resource)
) WITH (fillfactor = 50);
SELECT tenancy.protect('quota_usage', 'SELECT');

-- DEFAULT_WORKSPACE_QUOTAS, written by the runner.
CREATE TABLE tenancy.quota_defaults (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  limits jsonb NOT NULL
);
INSERT INTO tenancy.quota_defaults (limits) VALUES ('{}');
GRANT SELECT ON tenancy.quota_defaults TO tenfold_accountant, tenfold_app;

GRANT USAGE ON SCHEMA public, tenancy TO tenfold_accountant;
GRANT SELECT ON quotas, quota_ceilings TO tenfold_accountant;
GRANT SELECT (workspace_id, parent_id) ON workspaces TO tenfold_accountant;
GRANT SELECT, INSERT, UPDATE ON quota_usage TO tenfold_accountant;
CREATE POLICY accountant ON quotas FOR SELECT TO tenfold_accountant USING (true);
CREATE POLICY accountant ON quota_ceilings FOR SELECT TO tenfold_accountant USING (true);
CREATE POLICY accountant ON workspaces FOR SELECT TO tenfold_accountant USING (true);
CREATE POLICY accountant ON quota_usage TO tenfold_accountant USING (true) WITH CHECK (true);

-- Move a counter of a workspace, and of its parent, by an amount.
-- Raises TQ001, with everything a caller wants to know, when a limit would be passed.
CREATE FUNCTION tenancy.move_quota(workspace uuid, kind text, field text, amount bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  holder uuid := workspace;
  most bigint;
  held bigint;
BEGIN
  WHILE holder IS NOT NULL LOOP
    SELECT LEAST(
        CASE WHEN q.limits ? field THEN (q.limits ->> field)::bigint ELSE (d.limits ->> field)::bigint END,
        (c.limits ->> field)::bigint)
      INTO most
      FROM tenancy.quota_defaults d
      LEFT JOIN public.quotas q ON q.workspace_id = holder
      LEFT JOIN public.quota_ceilings c ON c.workspace_id = holder;
    INSERT INTO public.quota_usage AS u VALUES (holder, kind, GREATEST(amount, 0))
      ON CONFLICT (workspace_id, resource) DO UPDATE SET used = u.used + amount
        WHERE amount <= 0 OR most IS NULL OR u.used + amount <= most
      RETURNING u.used INTO held;
    IF held IS NULL OR (amount > 0 AND held > most) THEN
      SELECT COALESCE(max(u.used), 0) INTO held FROM public.quota_usage u
        WHERE u.workspace_id = holder AND u.resource = kind AND held IS NULL;
      RAISE EXCEPTION USING ERRCODE = 'TQ001', MESSAGE = 'quota exceeded', DETAIL = jsonb_build_object(
        'workspaceId', holder, 'resource', kind, 'limit', most, 'used', held, 'requested', amount);
    END IF;
    held := NULL;
    SELECT w.parent_id INTO holder FROM public.workspaces w WHERE w.workspace_id = holder;
  END LOOP;
END $$;

-- The trigger of every counted table: the kind, and the field that limits it.
CREATE FUNCTION tenancy.count_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM tenancy.move_quota(NEW.workspace_id, TG_ARGV[0], TG_ARGV[1], 1);
  ELSE
    PERFORM tenancy.move_quota(OLD.workspace_id, TG_ARGV[0], TG_ARGV[1], -1);
  END IF;
  RETURN NULL;
END $$;
SELECT tenancy.run_as('tenfold_accountant', 'move_quota', 'count_row');
REVOKE EXECUTE ON FUNCTION tenancy.move_quota FROM tenfold_app;

-- Counted at commit, so that a counter's lock is held no longer than the commit itself.
-- Segments that belong to a subscription group come and go with it, and do not count.
CREATE CONSTRAINT TRIGGER quota_in AFTER INSERT ON segments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.subscription_group_id IS NULL) EXECUTE FUNCTION tenancy.count_row('segments', 'maxSegments');
CREATE CONSTRAINT TRIGGER quota_out AFTER DELETE ON segments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.subscription_group_id IS NULL) EXECUTE FUNCTION tenancy.count_row('segments', 'maxSegments');
CREATE CONSTRAINT TRIGGER quota AFTER INSERT OR DELETE ON journeys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tenancy.count_row('journeys', 'maxJourneys');
CREATE CONSTRAINT TRIGGER quota AFTER INSERT OR DELETE ON message_templates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tenancy.count_row('templates', 'maxTemplates');
CREATE CONSTRAINT TRIGGER quota AFTER INSERT OR DELETE ON members DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tenancy.count_row('members', 'maxMembers');

-- What is there already: each workspace's own, and at a parent its children's as well. An owner that is no superuser
-- is bound by row security like everybody, so it is lifted for this one statement.
DO $$
DECLARE
  counted text;
  lock text;
BEGIN
  FOREACH lock IN ARRAY ARRAY['NO FORCE', 'FORCE'] LOOP
    FOREACH counted IN ARRAY ARRAY['segments', 'journeys', 'message_templates', 'members', 'workspaces', 'quota_usage'] LOOP
      EXECUTE format('ALTER TABLE %I %s ROW LEVEL SECURITY', counted, lock);
    END LOOP;
    IF lock = 'NO FORCE' THEN
      INSERT INTO quota_usage (workspace_id, resource, used)
      SELECT holder, kind, count(*) FROM (
        SELECT workspace_id, 'segments' AS kind FROM segments WHERE subscription_group_id IS NULL
        UNION ALL SELECT workspace_id, 'journeys' FROM journeys
        UNION ALL SELECT workspace_id, 'templates' FROM message_templates
        UNION ALL SELECT workspace_id, 'members' FROM members
      ) AS things
      JOIN workspaces w USING (workspace_id)
      CROSS JOIN LATERAL unnest(ARRAY[w.workspace_id, w.parent_id]) AS holder
      WHERE holder IS NOT NULL GROUP BY holder, kind;
    END IF;
  END LOOP;
END $$;
