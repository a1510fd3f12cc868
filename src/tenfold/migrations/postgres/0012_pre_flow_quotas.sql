-- Quotas of what flows in and out: users, events and messages of a month, bytes kept. What is counted is moved by the
-- statement that writes it, so nothing can forget it. A monthly counter has its month in its name: `events:2026-11`.

GRANT SELECT (workspace_id, parent_id, root_id, test_now) ON workspaces TO tenfold_accountant;
GRANT EXECUTE ON FUNCTION tenancy.workspaces(), tenancy.context() TO tenfold_accountant;

-- The month in which a workspace lives (UTC), by its test clock if it has one.
CREATE FUNCTION tenancy.month_of(test_now timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(COALESCE(test_now, now()) AT TIME ZONE 'UTC', 'YYYY-MM');

-- Move counters of workspaces and of their parents. In one order everywhere, so that no two wait for each other.
CREATE FUNCTION tenancy.add_usage(owners uuid[], kinds text[], amounts bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  item record;
BEGIN
  INSERT INTO public.quota_usage AS u (workspace_id, resource, used)
  SELECT h.holder, g.kind, sum(g.amount) FROM unnest(owners, kinds, amounts) AS g (owner, kind, amount)
  JOIN public.workspaces w ON w.workspace_id = g.owner
  CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
  WHERE h.holder IS NOT NULL AND g.amount > 0 GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (workspace_id, resource) DO UPDATE SET used = u.used + excluded.used;
  FOR item IN
    SELECT h.holder, g.kind, sum(g.amount) AS amount FROM unnest(owners, kinds, amounts) AS g (owner, kind, amount)
    JOIN public.workspaces w ON w.workspace_id = g.owner
    CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
    WHERE h.holder IS NOT NULL AND g.amount < 0 GROUP BY 1, 2 ORDER BY 1, 2
  LOOP
    UPDATE public.quota_usage u SET used = GREATEST(u.used + item.amount, 0)
    WHERE u.workspace_id = item.holder AND u.resource = item.kind;
  END LOOP;
END $$;

-- Users: profiles as they come and go.
CREATE FUNCTION tenancy.count_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  step bigint := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
  PERFORM tenancy.add_usage(array_agg(m.workspace_id), array_agg('users'::text), array_agg(step * m.found))
  FROM (SELECT workspace_id, count(*) AS found FROM moved GROUP BY workspace_id) AS m HAVING count(*) > 0;
  RETURN NULL;
END $$;
CREATE TRIGGER users_in AFTER INSERT ON profiles REFERENCING NEW TABLE AS moved FOR EACH STATEMENT
  EXECUTE FUNCTION tenancy.count_users();
CREATE TRIGGER users_out AFTER DELETE ON profiles REFERENCING OLD TABLE AS moved FOR EACH STATEMENT
  EXECUTE FUNCTION tenancy.count_users();

-- Events: how many of a request's count (the platform's own do not), and their bytes. Counted when folded (0014).
ALTER TABLE inbox ADD COLUMN counted int NOT NULL DEFAULT 0, ADD COLUMN bytes int NOT NULL DEFAULT 0;
ALTER TABLE archive_queue ADD COLUMN counted int NOT NULL DEFAULT 0, ADD COLUMN bytes int NOT NULL DEFAULT 0;
GRANT SELECT (workspace_id, lane, counted, bytes) ON inbox TO tenfold_accountant;
CREATE POLICY accountant ON inbox FOR SELECT TO tenfold_accountant USING (true);

-- As before, in as few statements as can be: each is under the counter's lock for everybody who waits for it.
CREATE OR REPLACE FUNCTION tenancy.move_quota(workspace uuid, kind text, field text, amount bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  item record;
  held bigint;
BEGIN
  FOR item IN
    SELECT h.holder, tenancy.limit_of(q.limits, d.limits, c.limits, field) AS most
    FROM public.workspaces w
    CROSS JOIN tenancy.quota_defaults d
    CROSS JOIN LATERAL (VALUES (1, w.workspace_id), (2, w.parent_id)) AS h (nth, holder)
    LEFT JOIN public.quotas q ON q.workspace_id = h.holder
    LEFT JOIN public.quota_ceilings c ON c.workspace_id = h.holder
    WHERE w.workspace_id = workspace AND h.holder IS NOT NULL ORDER BY h.nth
  LOOP
    UPDATE public.quota_usage u SET used = u.used + amount
    WHERE u.workspace_id = item.holder AND u.resource = kind
      AND (amount <= 0 OR item.most IS NULL OR u.used + amount <= item.most);
    CONTINUE WHEN FOUND;
    IF amount > 0 AND (item.most IS NULL OR amount <= item.most) THEN
      INSERT INTO public.quota_usage AS u VALUES (item.holder, kind, amount)
      ON CONFLICT (workspace_id, resource) DO UPDATE SET used = u.used + amount
        WHERE item.most IS NULL OR u.used + amount <= item.most;
      CONTINUE WHEN FOUND;
    END IF;
    CONTINUE WHEN amount <= 0;
    SELECT u.used INTO held FROM public.quota_usage u WHERE u.workspace_id = item.holder AND u.resource = kind;
    RAISE EXCEPTION USING ERRCODE = 'TQ001', MESSAGE = 'quota exceeded', DETAIL = jsonb_build_object(
      'workspaceId', item.holder, 'resource', kind, 'limit', item.most, 'used', COALESCE(held, 0),
      'requested', amount);
  END LOOP;
END $$;

-- How much room a workspace has under its own limit and its parent's; NULL: any amount.
CREATE FUNCTION tenancy.quota_room(wanted uuid, counter text, field text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT min(tenancy.limit_of(q.limits, d.limits, c.limits, field) - COALESCE(u.used, 0))
  FROM public.workspaces w
  CROSS JOIN tenancy.quota_defaults d
  CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
  LEFT JOIN public.quotas q ON q.workspace_id = h.holder
  LEFT JOIN public.quota_ceilings c ON c.workspace_id = h.holder
  LEFT JOIN public.quota_usage u ON u.workspace_id = h.holder AND u.resource = counter
  WHERE w.workspace_id = wanted AND h.holder IS NOT NULL AND wanted = ANY ((SELECT tenancy.workspaces())::uuid[])
$$;

-- What limits a request of events, and what is used of it, what waits to be folded included. Requests of a family come
-- one after another from here to their commit.
CREATE FUNCTION tenancy.hold_acceptance(wanted uuid)
RETURNS TABLE (resource text, holder uuid, most bigint, used bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(w.root_id::text || 'accept', 0)) FROM public.workspaces w
  WHERE w.workspace_id = wanted AND wanted = ANY ((SELECT tenancy.workspaces())::uuid[]);
  RETURN QUERY
  WITH limits AS (
    SELECT f.resource, h.holder, w.root_id, f.counter, tenancy.limit_of(q.limits, d.limits, c.limits, f.field) AS most
    FROM public.workspaces w
    CROSS JOIN tenancy.quota_defaults d
    CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
    CROSS JOIN LATERAL (VALUES ('users', 'users', 'maxUsers'), ('storage', 'storage', 'maxStorageBytes'),
      ('events', 'events:' || tenancy.month_of(w.test_now), 'maxEventsPerMonth')) AS f (resource, counter, field)
    LEFT JOIN public.quotas q ON q.workspace_id = h.holder
    LEFT JOIN public.quota_ceilings c ON c.workspace_id = h.holder
    WHERE w.workspace_id = wanted AND h.holder IS NOT NULL AND wanted = ANY ((SELECT tenancy.workspaces())::uuid[])
  )
  SELECT l.resource, l.holder, l.most, COALESCE(u.used, 0) + COALESCE(CASE
      WHEN l.resource = 'users' THEN 0
      WHEN l.holder = l.root_id THEN
        (SELECT sum(CASE l.resource WHEN 'events' THEN i.counted ELSE i.bytes END) FROM public.inbox i
         WHERE i.lane = l.holder)
      ELSE
        (SELECT sum(CASE l.resource WHEN 'events' THEN i.counted ELSE i.bytes END) FROM public.inbox i
         WHERE i.workspace_id = l.holder)
    END, 0)::bigint
  FROM limits l LEFT JOIN public.quota_usage u ON u.workspace_id = l.holder AND u.resource = l.counter
  WHERE l.most IS NOT NULL;
END $$;

-- Messages of a month: reserved before they are sent, given back when they were not. Over the limit they are held.
ALTER TABLE messages ADD COLUMN quota_month text COLLATE "C";
ALTER TABLE messages DROP CONSTRAINT messages_state_check;
ALTER TABLE messages ADD CONSTRAINT messages_state_check CHECK (state IN ('Pending', 'Held', 'Sending', 'Done'));
CREATE INDEX messages_held ON messages (workspace_id, due_at, id) WHERE state = 'Held';

CREATE FUNCTION tenancy.messages_room(wanted uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT tenancy.quota_room(wanted, 'messages:' || tenancy.month_of(w.test_now), 'maxMessagesPerMonth')
  FROM public.workspaces w WHERE w.workspace_id = wanted
$$;

CREATE FUNCTION tenancy.reserve_messages(owners uuid[], wanted int[])
RETURNS TABLE (workspace_id uuid, granted int, month text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  item record;
BEGIN
  INSERT INTO public.quota_usage (workspace_id, resource, used)
  SELECT DISTINCT h.holder, 'messages:' || tenancy.month_of(w.test_now), 0
  FROM public.workspaces w CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
  WHERE w.workspace_id = ANY (owners) AND h.holder IS NOT NULL ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  PERFORM FROM public.quota_usage u
  WHERE (u.workspace_id, u.resource) IN (
    SELECT h.holder, 'messages:' || tenancy.month_of(w.test_now)
    FROM public.workspaces w CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
    WHERE w.workspace_id = ANY (owners))
  ORDER BY u.workspace_id, u.resource FOR UPDATE;
  FOR item IN
    SELECT g.owner, g.amount, w.parent_id, 'messages:' || tenancy.month_of(w.test_now) AS counter
    FROM unnest(owners, wanted) AS g (owner, amount) JOIN public.workspaces w ON w.workspace_id = g.owner
    WHERE g.owner = ANY ((SELECT tenancy.workspaces())::uuid[])
  LOOP
    workspace_id := item.owner;
    month := substr(item.counter, 10);
    granted := GREATEST(LEAST(item.amount,
      COALESCE(tenancy.quota_room(item.owner, item.counter, 'maxMessagesPerMonth'), item.amount)), 0);
    UPDATE public.quota_usage u SET used = u.used + granted
    WHERE u.workspace_id IN (item.owner, item.parent_id) AND u.resource = item.counter;
    RETURN NEXT;
  END LOOP;
END $$;

-- A reservation each, of messages that were not sent after all.
CREATE FUNCTION tenancy.return_messages(owners uuid[], months text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT tenancy.add_usage(array_agg(g.owner), array_agg('messages:' || g.month), array_agg(-1::bigint))
  FROM unnest(owners, months) AS g (owner, month) WHERE g.owner = ANY ((SELECT tenancy.workspaces())::uuid[])
$$;

-- Bytes that are kept no longer.
CREATE FUNCTION tenancy.return_storage(owner uuid, bytes bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT tenancy.add_usage(ARRAY[owner], ARRAY['storage'], ARRAY[-GREATEST(bytes, 0)])
  WHERE owner = ANY ((SELECT tenancy.workspaces())::uuid[])
$$;

SELECT tenancy.run_as('tenfold_accountant', 'add_usage', 'count_users', 'quota_room',
  'hold_acceptance', 'messages_room', 'reserve_messages', 'return_messages', 'return_storage');
REVOKE EXECUTE ON FUNCTION tenancy.add_usage FROM tenfold_app;

-- Whether requests of events must look at a limit at all, for where they come in.
CREATE FUNCTION tenancy.limits_events(own jsonb, defaults jsonb, ceiling jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN COALESCE(tenancy.limit_of(own, defaults, ceiling, 'maxUsers'),
  tenancy.limit_of(own, defaults, ceiling, 'maxEventsPerMonth'),
  tenancy.limit_of(own, defaults, ceiling, 'maxStorageBytes')) IS NOT NULL;

DROP FUNCTION tenancy.open_workspace;
ALTER TABLE workspaces ADD COLUMN service_class text COLLATE "C" NOT NULL DEFAULT 'standard'
  CHECK (service_class IN ('trial', 'standard', 'priority'));
CREATE OR REPLACE FUNCTION tenancy.only_platform() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF split_part(tenancy.context(), '|', 2) IS DISTINCT FROM 'platform' THEN
    RAISE insufficient_privilege USING MESSAGE = 'only the platform sets this';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_platform BEFORE UPDATE OF service_class ON workspaces FOR EACH ROW
  WHEN (OLD.service_class <> NEW.service_class) EXECUTE FUNCTION tenancy.only_platform();
CREATE FUNCTION tenancy.open_workspace(wanted uuid) RETURNS TABLE (
  workspace_id uuid, root_id uuid, parent_id uuid, name text, type text, status text, external_id text, domain text,
  test_now timestamptz, definitions_version bigint, created_at timestamptz, updated_at timestamptz, service_class text,
  own_requests bigint, parents_requests bigint, events_limited boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.workspace_id, w.root_id, w.parent_id, w.name, w.type, w.status, w.external_id, w.domain, w.test_now,
    w.definitions_version, w.created_at, w.updated_at, w.service_class,
    tenancy.limit_of(q.limits, d.limits, c.limits, 'maxRequestsPerMinute'),
    CASE WHEN w.parent_id IS NOT NULL THEN
      tenancy.limit_of(p.limits, d.limits, m.limits, 'maxRequestsPerMinute') END,
    tenancy.limits_events(q.limits, d.limits, c.limits)
      OR (w.parent_id IS NOT NULL AND tenancy.limits_events(p.limits, d.limits, m.limits))
  FROM public.workspaces w
  CROSS JOIN tenancy.quota_defaults d
  LEFT JOIN public.quotas q ON q.workspace_id = w.workspace_id
  LEFT JOIN public.quota_ceilings c ON c.workspace_id = w.workspace_id
  LEFT JOIN public.quotas p ON p.workspace_id = w.parent_id
  LEFT JOIN public.quota_ceilings m ON m.workspace_id = w.parent_id
  WHERE w.workspace_id = wanted
$$;
SELECT tenancy.run_as('tenfold_directory', 'open_workspace');

-- What is there already. Events of before were not measured; they take no room.
DO $$
DECLARE
  counted text;
  lock text;
BEGIN
  FOREACH lock IN ARRAY ARRAY['NO FORCE', 'FORCE'] LOOP
    FOREACH counted IN ARRAY ARRAY['profiles', 'messages', 'workspaces', 'quota_usage'] LOOP
      EXECUTE format('ALTER TABLE %I %s ROW LEVEL SECURITY', counted, lock);
    END LOOP;
    IF lock = 'NO FORCE' THEN
      UPDATE messages SET quota_month = to_char(sent_at AT TIME ZONE 'UTC', 'YYYY-MM') WHERE sent_at IS NOT NULL;
      INSERT INTO quota_usage (workspace_id, resource, used)
      SELECT holder, kind, count(*) FROM (
        SELECT workspace_id, 'users' AS kind FROM profiles
        UNION ALL SELECT workspace_id, 'messages:' || quota_month FROM messages WHERE quota_month IS NOT NULL
      ) AS things
      JOIN workspaces w USING (workspace_id)
      CROSS JOIN LATERAL unnest(ARRAY[w.workspace_id, w.parent_id]) AS holder
      WHERE holder IS NOT NULL GROUP BY holder, kind;
    END IF;
  END LOOP;
END $$;
