"""SQL that looks for breaches of the isolation rules in PostgreSQL's own catalogue. Each answers subject and fault.

A table of `public` belongs to workspaces, one of `identity` to the installation's people; there are no others, but
for the list of migrations and the signing key.
"""

from typing import LiteralString

TENANT_CONTEXT: LiteralString = "(workspace_id = ANY (( SELECT tenancy.workspaces() AS workspaces)::uuid[]))"
IDENTITY_CONTEXT: LiteralString = "(tenancy.identity() = ANY (( SELECT tenancy.workspaces() AS workspaces)::uuid[]))"

# Schemas of ours, and any other that the app role may enter: a database may hold other things as well.
_OURS: LiteralString = """
    c.relnamespace IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND (n.nspname IN ('public', 'tenancy', 'identity') OR has_schema_privilege('tenfold_app', n.oid, 'USAGE')))
"""
_LOCKED: LiteralString = (
    """
    c.relkind IN ('r', 'p') AND c.oid::regclass::text NOT IN (
      'migrations', 'tenancy.signing_keys', 'tenancy.quota_defaults') AND
"""
    + _OURS
)

# Found by their own key before a workspace is known, or by when they are due across workspaces.
_INDEXES_NOT_LED_BY_WORKSPACE: LiteralString = """(
    'write_keys_lookup', 'admin_keys_lookup', 'workspaces_external_id', 'workspaces_parent_id_name_key',
    'workspaces_age', 'workspaces_domain', 'workspaces_parent', 'members_email', 'inbox_lanes', 'archive_queue_order',
    'archive_queue_blocks', 'profiles_wake', 'jobs_due', 'messages_due', 'messages_sending', 'runs_due',
    'audit_pending_order', 'segments_id', 'user_properties_id', 'journeys_id', 'message_templates_id',
    'subscription_groups_id', 'admin_keys_id', 'secrets_lookup', 'runs_lanes', 'profiles_lanes',
    'usage_age')
"""

RULES: dict[str, LiteralString] = {
    "row security": """
        SELECT c.oid::regclass::text AS subject,
          CASE WHEN c.relrowsecurity THEN 'does not bind its owner (FORCE ROW LEVEL SECURITY)'
               ELSE 'has no row level security' END AS fault
        FROM pg_class c WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity) AND """
    + _LOCKED,
    "schemas": """
        SELECT c.oid::regclass::text AS subject, 'is a table outside public and identity' AS fault
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('public', 'identity') AND """
    + _LOCKED,
    "one policy for the app role": """
        SELECT c.oid::regclass::text AS subject,
          'needs exactly one policy for tenfold_app, for reads and writes alike, on its workspace' AS fault
        FROM pg_class c WHERE """
    + _LOCKED
    + r""" AND (
          SELECT count(*) FILTER (WHERE p.polcmd = '*' AND p.polpermissive
              AND regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g') = wanted.expression
              AND regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g') = wanted.expression) <> 1
            OR count(*) <> 1
          FROM pg_policy p,
            (SELECT CASE c.relnamespace WHEN 'identity'::regnamespace THEN '"""
    + IDENTITY_CONTEXT
    + """' ELSE '"""
    + TENANT_CONTEXT
    + """' END AS expression) AS wanted
          WHERE p.polrelid = c.oid AND (0 = ANY (p.polroles) OR 'tenfold_app'::regrole = ANY (p.polroles)))
    """,
    "other policies": """
        SELECT p.polrelid::regclass::text AS subject, format('policy %s: %s', p.polname, found.fault) AS fault
        FROM pg_policy p CROSS JOIN LATERAL (SELECT CASE
          WHEN 0 = ANY (p.polroles) THEN 'is for everybody'
          WHEN 'tenfold_service'::regrole = ANY (p.polroles) AND p.polcmd <> 'r' THEN 'lets the service role write'
          WHEN 'tenfold_directory'::regrole = ANY (p.polroles) AND p.polcmd <> 'r' THEN 'lets the directory write'
        END AS fault) AS found WHERE found.fault IS NOT NULL
    """,
    "grants on tables": """
        SELECT c.oid::regclass::text AS subject, format('grants %s to %s', g.privilege_type,
          CASE g.grantee WHEN 0 THEN 'everybody' ELSE g.grantee::regrole::text END) AS fault
        FROM pg_class c, aclexplode(c.relacl) AS g
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND g.grantee <> c.relowner AND """
    + _OURS
    + """ AND (g.grantee = 0 OR g.is_grantable
          OR g.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
          OR (g.grantee = 'tenfold_service'::regrole)
          OR (g.grantee = 'tenfold_directory'::regrole AND g.privilege_type <> 'SELECT')
          OR (g.grantee = 'tenfold_keeper'::regrole
              AND (c.oid::regclass::text, g.privilege_type) <> ('tenancy.signing_keys', 'SELECT'))
          OR (g.grantee = 'tenfold_auditor'::regrole AND c.relname !~ '^(audit_|access_settings$)')
          OR (g.grantee = 'tenfold_app'::regrole AND c.oid::regclass::text = 'tenancy.signing_keys')
          OR (g.grantee = 'tenfold_app'::regrole AND c.relname ~ '^audit_' AND g.privilege_type <> 'SELECT'
              AND (c.relname, g.privilege_type) <> ('audit_checkpoints', 'INSERT')))
    """,
    "the service role reads no content": """
        SELECT a.attrelid::regclass::text AS subject, format('lets the service role %s %s', g.privilege_type, a.attname)
          AS fault
        FROM pg_attribute a, aclexplode(a.attacl) AS g
        WHERE g.grantee = 'tenfold_service'::regrole AND (g.privilege_type <> 'SELECT'
          OR format_type(a.atttypid, NULL) IN ('bytea', 'jsonb', 'json')
          OR (a.atttypid = 'text'::regtype
            AND a.attname NOT IN ('user_id', 'topic', 'state', 'service_class', 'grain')))
    """,
    "keys lead with the workspace": """
        SELECT i.indexrelid::regclass::text AS subject, 'does not begin with workspace_id' AS fault
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'migrations'
          AND a.attname IS DISTINCT FROM 'workspace_id' AND (i.indisprimary OR x.relname NOT IN """
    + _INDEXES_NOT_LED_BY_WORKSPACE
    + ")",
    "every table has a workspace": """
        SELECT c.oid::regclass::text AS subject, 'has no column workspace_id uuid NOT NULL' AS fault
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND NOT EXISTS (
          SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id'
            AND a.atttypid = 'uuid'::regtype AND a.attnotnull) AND """
    + _LOCKED,
    "foreign keys stay in their workspace": """
        SELECT k.conrelid::regclass::text AS subject, format('%s does not carry its workspace', k.conname)
          AS fault
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace
          AND k.conname <> 'workspaces_parent_id_fkey'
          AND (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1])
            <> 'workspace_id'
    """,
    "views": """
        SELECT c.oid::regclass::text AS subject,
          CASE c.relkind WHEN 'v' THEN 'is a view with the rights of its owner (security_invoker)'
            ELSE 'shows rows past row security' END AS fault
        FROM pg_class c WHERE (c.relkind IN ('m', 'f')
          OR (c.relkind = 'v' AND NOT COALESCE(c.reloptions::text ~ 'security_invoker=(true|on)', false))) AND """
    + _OURS,
    "functions with other rights": """
        SELECT p.oid::regprocedure::text AS subject, found.fault
        FROM pg_proc p CROSS JOIN LATERAL (SELECT CASE
          WHEN p.pronamespace <> 'tenancy'::regnamespace THEN 'runs with its owner''s rights outside tenancy'
          WHEN p.proowner::regrole::text NOT IN ('tenfold_directory', 'tenfold_keeper', 'tenfold_auditor',
            'tenfold_accountant')
            THEN 'runs with the rights of ' || p.proowner::regrole::text
          WHEN NOT COALESCE(p.proconfig::text ~ 'search_path=', false) THEN 'has no search_path of its own'
          WHEN p.prorettype = 'trigger'::regtype AND has_function_privilege('tenfold_app', p.oid, 'EXECUTE')
            THEN 'may be put on any table by the app role'
          WHEN p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) g WHERE g.grantee = 0)
            THEN 'may be called by everybody'
        END AS fault) AS found
        WHERE p.prosecdef AND found.fault IS NOT NULL AND p.pronamespace IN (
          SELECT n.oid FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND (n.nspname IN ('tenancy', 'identity') OR (has_schema_privilege('tenfold_app', n.oid, 'USAGE')
              AND has_function_privilege('tenfold_app', p.oid, 'EXECUTE'))))
    """,
    "roles": """
        SELECT r.rolname::text AS subject, found.fault
        FROM pg_roles r CROSS JOIN LATERAL (SELECT CASE
          WHEN r.rolsuper THEN 'is a superuser' WHEN r.rolbypassrls THEN 'bypasses row security'
          WHEN r.rolcreaterole THEN 'may make roles' WHEN r.rolcreatedb THEN 'may make databases'
          WHEN r.rolcanlogin AND r.rolname NOT IN ('tenfold_app', 'tenfold_service') THEN 'can log in'
          WHEN EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid) THEN 'is a member of another role'
          WHEN EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid) THEN 'owns a table'
        END AS fault) AS found
        WHERE r.rolname IN ('tenfold_app', 'tenfold_service', 'tenfold_directory', 'tenfold_keeper', 'tenfold_auditor',
          'tenfold_accountant') AND found.fault IS NOT NULL
    """,
    "schema rights": """
        SELECT n.nspname::text AS subject, format('lets %s create objects',
          CASE g.grantee WHEN 0 THEN 'everybody' ELSE g.grantee::regrole::text END) AS fault
        FROM pg_namespace n, aclexplode(n.nspacl) AS g
        WHERE n.nspname IN ('public', 'tenancy', 'identity') AND g.privilege_type = 'CREATE' AND g.grantee <> n.nspowner
    """,
    "no enums": """
        SELECT a.attrelid::regclass::text AS subject, format('%s is an enum: slow under a policy', a.attname)
          AS fault
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
        WHERE t.typtype = 'e' AND """
    + _LOCKED,
    "changes are audited": """
        SELECT c.oid::regclass::text AS subject, 'its changes are not audited' AS fault
        FROM pg_class c WHERE c.relname IN (
            'workspaces', 'write_keys', 'admin_keys', 'secrets', 'members', 'roles', 'access_settings', 'quotas',
            'quota_ceilings', 'user_properties', 'segments', 'message_templates', 'subscription_groups',
            'email_providers', 'journeys', 'alert_settings')
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled = 'O'
            AND t.tgfoid = 'tenancy.audit_change'::regproc AND t.tgtype & 29 = 29) AND """
    + _LOCKED,
    "what is limited is counted": """
        SELECT c.oid::regclass::text AS subject, 'is limited, and its rows are not counted' AS fault
        FROM (VALUES ('segments', 'count_row', 4), ('segments', 'count_row', 8), ('journeys', 'count_row', 4),
            ('journeys', 'count_row', 8), ('message_templates', 'count_row', 4), ('message_templates', 'count_row', 8),
            ('members', 'count_row', 4), ('members', 'count_row', 8), ('broadcasts', 'count_row', 4),
            ('broadcasts', 'count_row', 8), ('profiles', 'count_users', 4), ('profiles', 'count_users', 8),
            ('archive_queue', 'count_events', 4)) AS counted (relname, counter, event)
        JOIN pg_class c ON c.relname = counted.relname AND c.relnamespace = 'public'::regnamespace
        WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
          WHERE t.tgrelid = c.oid AND t.tgenabled = 'O' AND p.proname = counted.counter
            AND t.tgtype & counted.event <> 0)
    """,
    "the context is signed": """
        SELECT 'tenancy.workspaces()' AS subject, 'does not check a signature' AS fault
        FROM pg_proc p WHERE p.oid = 'tenancy.workspaces'::regproc
          AND pg_get_functiondef(p.oid) !~ 'split_part\\(tenancy\\.context\\(\\)'
        UNION ALL
        SELECT 'tenancy.context()', 'does not check a signature' FROM pg_proc p
        WHERE p.oid = 'tenancy.context'::regproc AND p.prosrc !~ 'sha256\\(key\\.outer_pad'
        UNION ALL
        SELECT 'tenancy.signing_keys', 'holds no key' WHERE NOT EXISTS (SELECT FROM tenancy.signing_keys)
    """,
}

ROWS_WITHOUT_CONTEXT: LiteralString = "SELECT count(*) FROM workspaces"
SET_CONTEXT: LiteralString = "SELECT set_config(%s, %s, true)"
WORKSPACES_OF_CONTEXT: LiteralString = "SELECT tenancy.workspaces()"
SETTING_NOW: LiteralString = "SELECT current_setting(%s, true)"

# What every quota counter should say, by counting, beside what it says; only those that differ. One statement, so one
# moment: it may run beside a busy server. Messages that were deleted with their users stay counted. Events are not
# kept in PostgreSQL, so what they count and take is compared with the archive (STORAGE).
QUOTA_DRIFT: LiteralString = """
    WITH things AS (
      SELECT workspace_id, 'segments' AS resource FROM segments WHERE subscription_group_id IS NULL
      UNION ALL SELECT workspace_id, 'journeys' FROM journeys
      UNION ALL SELECT workspace_id, 'templates' FROM message_templates
      UNION ALL SELECT workspace_id, 'members' FROM members
      UNION ALL SELECT workspace_id, 'users' FROM profiles
      UNION ALL SELECT workspace_id, 'messages:' || quota_month FROM messages WHERE quota_month IS NOT NULL
    ), recount AS (
      SELECT holder AS workspace_id, resource, count(*) AS counted
      FROM things JOIN workspaces w USING (workspace_id)
      CROSS JOIN LATERAL unnest(ARRAY[w.workspace_id, w.parent_id]) AS holder
      WHERE holder IS NOT NULL GROUP BY holder, resource
    )
    SELECT workspace_id, resource, COALESCE(u.used, 0), COALESCE(r.counted, 0)
    FROM quota_usage u FULL JOIN recount r USING (workspace_id, resource)
    WHERE resource <> 'storage' AND resource NOT LIKE 'events:%'
      AND (COALESCE(u.used, 0) < COALESCE(r.counted, 0)
        OR (resource NOT LIKE 'messages:%' AND COALESCE(u.used, 0) > COALESCE(r.counted, 0)))
    ORDER BY workspace_id, resource LIMIT 100
"""
ARCHIVED: LiteralString = "SELECT workspace_id, sum(bytes) AS kept FROM events GROUP BY workspace_id"
REACHED: LiteralString = "SELECT 1 AS one"
# Bytes counted for each workspace, those on their way to the archive, and whose child it is.
STORAGE: LiteralString = """
    SELECT w.workspace_id, w.parent_id, COALESCE(u.used, 0),
      (SELECT COALESCE(sum(q.bytes), 0)::bigint FROM archive_queue q WHERE q.workspace_id = w.workspace_id)
    FROM workspaces w
    LEFT JOIN quota_usage u ON u.workspace_id = w.workspace_id AND u.resource = 'storage'
"""
