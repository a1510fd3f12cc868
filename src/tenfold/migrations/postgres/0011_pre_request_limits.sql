-- A workspace as the directory knows it, with the requests a minute that it and its parent may make (NULL: any number).

CREATE POLICY directory ON quotas FOR SELECT TO tenfold_directory USING (true);
CREATE POLICY directory ON quota_ceilings FOR SELECT TO tenfold_directory USING (true);
GRANT SELECT ON quotas, quota_ceilings, tenancy.quota_defaults TO tenfold_directory;

-- A limit as it holds: the workspace's own, else the default, and never more than the ceiling.
CREATE FUNCTION tenancy.limit_of(own jsonb, defaults jsonb, ceiling jsonb, field text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN LEAST(CASE WHEN own ? field THEN (own ->> field)::bigint ELSE (defaults ->> field)::bigint END,
  (ceiling ->> field)::bigint);

CREATE FUNCTION tenancy.open_workspace(wanted uuid) RETURNS TABLE (
  workspace_id uuid, root_id uuid, parent_id uuid, name text, type text, status text, external_id text, domain text,
  test_now timestamptz, definitions_version bigint, created_at timestamptz, updated_at timestamptz,
  own_requests bigint, parents_requests bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT w.workspace_id, w.root_id, w.parent_id, w.name, w.type, w.status, w.external_id, w.domain, w.test_now,
    w.definitions_version, w.created_at, w.updated_at,
    tenancy.limit_of(q.limits, d.limits, c.limits, 'maxRequestsPerMinute'),
    CASE WHEN w.parent_id IS NOT NULL THEN
      tenancy.limit_of(p.limits, d.limits, m.limits, 'maxRequestsPerMinute') END
  FROM public.workspaces w
  CROSS JOIN tenancy.quota_defaults d
  LEFT JOIN public.quotas q ON q.workspace_id = w.workspace_id
  LEFT JOIN public.quota_ceilings c ON c.workspace_id = w.workspace_id
  LEFT JOIN public.quotas p ON p.workspace_id = w.parent_id
  LEFT JOIN public.quota_ceilings m ON m.workspace_id = w.parent_id
  WHERE w.workspace_id = wanted
$$;
SELECT tenancy.run_as('tenfold_directory', 'open_workspace');
