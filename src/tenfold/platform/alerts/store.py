"""SQL of alerts and their settings."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.platform.alerts.model import Alert
from tenfold.storage.db import Db, Row


async def active_workspaces(db: Db) -> list[Row]:
    """Who did something in the last two minutes."""
    return await db.all(
        "SELECT DISTINCT workspace_id FROM usage WHERE grain = 'minute' AND at >= now() - interval '2 minutes'"
    )


async def inputs(db: Db, workspaces: list[UUID]) -> list[Row]:
    """For each workspace what its rules look at, and the alerts that it has."""
    return await db.all(
        """
        SELECT w.workspace_id, w.root_id, w.name, w.test_now, s.settings, q.limits AS own, c.limits AS ceiling,
          d.limits AS defaults,
          COALESCE((SELECT jsonb_object_agg(u.resource, u.used) FROM quota_usage u
            WHERE u.workspace_id = w.workspace_id), '{}') AS used,
          COALESCE((SELECT jsonb_agg(jsonb_build_object('lag_ms', l.lag_ms, 'requests', l.requests, 'errors', l.errors))
            FROM usage l WHERE l.workspace_id = w.workspace_id AND l.grain = 'minute'
              AND l.at >= now() - interval '5 minutes'), '[]') AS lately
        FROM workspaces w CROSS JOIN tenancy.quota_defaults d
        LEFT JOIN alert_settings s USING (workspace_id)
        LEFT JOIN quotas q USING (workspace_id)
        LEFT JOIN quota_ceilings c USING (workspace_id)
        WHERE w.workspace_id = ANY (%(workspaces)s) AND w.status = 'Active'
        """,
        {"workspaces": workspaces},
    )


async def note(db: Db, workspace_id: UUID, alert: Alert) -> bool:
    """Write an alert down; whether it is news: of a new kind, back again, or worse than before."""
    row = await db.one(
        """
        INSERT INTO alerts AS a (workspace_id, rule, subject, level, message)
        VALUES (%(workspace_id)s, %(rule)s, %(subject)s, %(level)s, %(message)s)
        ON CONFLICT (workspace_id, rule, subject) DO UPDATE SET level = excluded.level, message = excluded.message,
          since = now(), ended_at = NULL
        WHERE a.ended_at IS NOT NULL OR (a.rule = 'quota' AND excluded.level > a.level)
        RETURNING a.rule
        """,
        {
            "workspace_id": workspace_id,
            "rule": alert.rule,
            "subject": alert.subject,
            "level": alert.level,
            "message": alert.message,
        },
    )
    return row is not None


async def end_others(db: Db, workspace_id: UUID, alerts: list[Alert]) -> None:
    """What holds no more has ended; a quota that is less used than before is told of again when it fills."""
    await db.run(
        """
        UPDATE alerts a SET ended_at = now()
        WHERE a.workspace_id = %(workspace_id)s AND a.ended_at IS NULL AND NOT EXISTS (
          SELECT FROM unnest(%(rules)s::text[], %(subjects)s::text[], %(levels)s::int[]) AS held (rule, subject, level)
          WHERE held.rule = a.rule AND held.subject = a.subject AND (a.rule <> 'quota' OR held.level >= a.level))
        """,
        {
            "workspace_id": workspace_id,
            "rules": [alert.rule for alert in alerts],
            "subjects": [alert.subject for alert in alerts],
            "levels": [alert.level for alert in alerts],
        },
    )


async def list_all(db: Db, workspace_id: UUID) -> list[Row]:
    """The alerts of a workspace, those that hold first, the newest first among equals."""
    return await db.all(
        """
        SELECT * FROM alerts WHERE workspace_id = %(workspace_id)s
        ORDER BY ended_at IS NOT NULL, since DESC, rule, subject LIMIT 200
        """,
        {"workspace_id": workspace_id},
    )


async def read_settings(db: Db, workspace_id: UUID) -> dict[str, Any]:
    row = await db.one(
        "SELECT settings FROM alert_settings WHERE workspace_id = %(workspace_id)s", {"workspace_id": workspace_id}
    )
    return row["settings"] if row else {}


async def put_settings(db: Db, workspace_id: UUID, settings: dict[str, Any]) -> None:
    await db.run(
        """
        INSERT INTO alert_settings (workspace_id, settings) VALUES (%(workspace_id)s, %(settings)s)
        ON CONFLICT (workspace_id) DO UPDATE SET settings = excluded.settings, updated_at = now()
        """,
        {"workspace_id": workspace_id, "settings": Jsonb(settings)},
    )


async def admins(db: Db, workspace_id: UUID) -> list[str]:
    """The addresses of the Admins who have joined."""
    rows = await db.all(
        """
        SELECT email FROM members
        WHERE workspace_id = %(workspace_id)s AND role = 'Admin' AND joined_at IS NOT NULL ORDER BY email
        """,
        {"workspace_id": workspace_id},
    )
    return [row["email"] for row in rows]
