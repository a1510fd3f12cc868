-- What a workspace used and when: every unit is in exactly one row, of a minute first, of its hour and day later.
-- Events and messages are written with what they count, so they are exact; the rest is collected in the processes and
-- written every few seconds, so a process that is killed loses some seconds of it.

CREATE TABLE usage (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  grain text COLLATE "C" NOT NULL CHECK (grain IN ('minute', 'hour', 'day')),
  at timestamptz NOT NULL,
  events bigint NOT NULL DEFAULT 0,
  messages bigint NOT NULL DEFAULT 0,
  requests bigint NOT NULL DEFAULT 0,
  errors bigint NOT NULL DEFAULT 0,
  statements double precision NOT NULL DEFAULT 0,
  database_ms double precision NOT NULL DEFAULT 0,
  cache_hits bigint NOT NULL DEFAULT 0,
  cache_misses bigint NOT NULL DEFAULT 0,
  lag_ms double precision NOT NULL DEFAULT 0,
  latencies bigint[] NOT NULL DEFAULT '{}',
  gauges jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (workspace_id, grain, at)
) WITH (fillfactor = 70);
CREATE INDEX usage_age ON usage (grain, at);
SELECT tenancy.protect('usage', 'SELECT', 'INSERT', 'UPDATE');
GRANT SELECT, INSERT, UPDATE, DELETE ON usage TO tenfold_accountant;
CREATE POLICY accountant ON usage TO tenfold_accountant USING (true) WITH CHECK (true);
GRANT SELECT ON usage TO tenfold_directory;
CREATE POLICY directory ON usage FOR SELECT TO tenfold_directory USING (true);

-- Histograms add up place by place.
CREATE FUNCTION tenancy.add_arrays(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN COALESCE((SELECT array_agg(COALESCE(a, 0) + COALESCE(b, 0) ORDER BY n)
  FROM unnest(one, other) WITH ORDINALITY AS pairs (a, b, n)), '{}');
CREATE AGGREGATE tenancy.sum_arrays(bigint[]) (sfunc = tenancy.add_arrays, stype = bigint[], initcond = '{}');

-- Events that a fold hands to the archive: into the month's counter, the storage and the running minute.
CREATE FUNCTION tenancy.count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM tenancy.add_usage(array_agg(f.workspace_id), array_agg(f.kind), array_agg(f.amount)) FROM (
    SELECT m.workspace_id, k.kind, sum(k.amount)::bigint AS amount FROM moved m
    JOIN public.workspaces w ON w.workspace_id = m.workspace_id
    CROSS JOIN LATERAL (VALUES ('events:' || tenancy.month_of(w.test_now), m.counted), ('storage', m.bytes))
      AS k (kind, amount)
    GROUP BY 1, 2) AS f;
  INSERT INTO public.usage AS u (workspace_id, grain, at, events)
  SELECT h.holder, 'minute', date_trunc('minute', now()), sum(m.counted) FROM moved m
  JOIN public.workspaces w ON w.workspace_id = m.workspace_id
  CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
  WHERE h.holder IS NOT NULL AND m.counted > 0 GROUP BY 1 ORDER BY 1
  ON CONFLICT (workspace_id, grain, at) DO UPDATE SET events = u.events + excluded.events;
  RETURN NULL;
END $$;

CREATE TRIGGER events_in AFTER INSERT ON archive_queue REFERENCING NEW TABLE AS moved FOR EACH STATEMENT
  EXECUTE FUNCTION tenancy.count_events();

-- Messages that were sent, one for each owner named.
CREATE FUNCTION tenancy.note_messages(owners uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO public.usage AS u (workspace_id, grain, at, messages)
  SELECT h.holder, 'minute', date_trunc('minute', now()), count(*) FROM unnest(owners) AS g (owner)
  JOIN public.workspaces w ON w.workspace_id = g.owner
  CROSS JOIN LATERAL (VALUES (w.workspace_id), (w.parent_id)) AS h (holder)
  WHERE h.holder IS NOT NULL AND g.owner = ANY ((SELECT tenancy.workspaces())::uuid[]) GROUP BY 1 ORDER BY 1
  ON CONFLICT (workspace_id, grain, at) DO UPDATE SET messages = u.messages + excluded.messages
$$;

-- Move what is old enough from minutes into hours and from hours into days, and let go of what is older still. How old is
-- said here and not by the caller, who could empty everybody's usage with it.
CREATE FUNCTION tenancy.roll_usage() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  minutes CONSTANT interval := '6 hours';
  hours CONSTANT interval := '35 days';
  days CONSTANT interval := '3 years';
  step record;
  moved bigint;
  total bigint := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('roll usage', 0)) THEN
    RETURN 0;
  END IF;
  FOR step IN SELECT * FROM (VALUES ('minute', 'hour', now() - minutes), ('hour', 'day', now() - hours)) AS s (fine, coarse, before)
  LOOP
    INSERT INTO public.usage AS u
    SELECT f.workspace_id, step.coarse, date_trunc(step.coarse, f.at, 'UTC'), sum(f.events), sum(f.messages),
      sum(f.requests), sum(f.errors), sum(f.statements), sum(f.database_ms), sum(f.cache_hits), sum(f.cache_misses),
      max(f.lag_ms), tenancy.sum_arrays(f.latencies), (array_agg(f.gauges ORDER BY f.at DESC))[1]
    FROM public.usage f
    WHERE f.grain = step.fine AND f.at < date_trunc(step.coarse, step.before, 'UTC')
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (workspace_id, grain, at) DO UPDATE SET events = u.events + excluded.events,
      messages = u.messages + excluded.messages, requests = u.requests + excluded.requests,
      errors = u.errors + excluded.errors, statements = u.statements + excluded.statements,
      database_ms = u.database_ms + excluded.database_ms, cache_hits = u.cache_hits + excluded.cache_hits,
      cache_misses = u.cache_misses + excluded.cache_misses, lag_ms = GREATEST(u.lag_ms, excluded.lag_ms),
      latencies = tenancy.add_arrays(u.latencies, excluded.latencies), gauges = excluded.gauges;
    DELETE FROM public.usage f WHERE f.grain = step.fine AND f.at < date_trunc(step.coarse, step.before, 'UTC');
    GET DIAGNOSTICS moved = ROW_COUNT;
    total := total + moved;
  END LOOP;
  DELETE FROM public.usage f WHERE f.grain = 'day' AND f.at < now() - days;
  DELETE FROM public.quota_usage q WHERE q.resource ~ ':' AND right(q.resource, 7) < to_char(now() - days, 'YYYY-MM');
  RETURN total;
END $$;
GRANT DELETE ON quota_usage TO tenfold_accountant;
SELECT tenancy.run_as('tenfold_accountant', 'note_messages', 'roll_usage', 'count_events');

-- The workspaces that used most of the database's time, for the platform.
CREATE FUNCTION tenancy.heaviest_workspaces(since timestamptz, until timestamptz, page int) RETURNS TABLE (
  workspace_id uuid, name text, status text, parent_id uuid, events bigint, messages bigint, requests bigint,
  errors bigint, statements double precision, database_ms double precision, cache_hits bigint, cache_misses bigint,
  lag_ms double precision, latencies bigint[], gauges jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH heaviest AS (
    SELECT u.workspace_id, sum(u.events)::bigint AS events, sum(u.messages)::bigint AS messages,
      sum(u.requests)::bigint AS requests, sum(u.errors)::bigint AS errors, sum(u.statements) AS statements,
      sum(u.database_ms) AS database_ms, sum(u.cache_hits)::bigint AS cache_hits,
      sum(u.cache_misses)::bigint AS cache_misses, max(u.lag_ms) AS lag_ms,
      tenancy.sum_arrays(u.latencies) AS latencies,
      (array_agg(u.gauges ORDER BY u.at DESC) FILTER (WHERE u.gauges <> '{}'))[1] AS gauges
    FROM public.usage u
    WHERE u.grain IN ('minute', 'hour', 'day') AND u.at >= since AND u.at < until AND tenancy.platform() = ANY ((SELECT tenancy.workspaces())::uuid[])
    GROUP BY u.workspace_id ORDER BY sum(u.database_ms) DESC, sum(u.events) DESC, u.workspace_id LIMIT page
  )
  SELECT h.workspace_id, w.name, w.status, w.parent_id, h.events, h.messages, h.requests, h.errors, h.statements,
    h.database_ms, h.cache_hits, h.cache_misses, h.lag_ms, h.latencies, h.gauges
  FROM heaviest h JOIN public.workspaces w ON w.workspace_id = h.workspace_id
  ORDER BY h.database_ms DESC, h.events DESC, h.workspace_id
$$;
SELECT tenancy.run_as('tenfold_directory', 'heaviest_workspaces');
