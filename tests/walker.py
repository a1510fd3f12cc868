"""Calls every route of the router's own table as one caller, and makes the answers comparable."""

import re
from collections.abc import Iterable
from typing import Any

import httpx
import psycopg
from psycopg import sql

from tenfold.http.endpoint import Endpoint
from tests.samples import Sample
from tests.world import Owner, World

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\b\d{13}\b")
_KEY = re.compile(r"\b[0-9a-f]{16,64}\b|Basic [A-Za-z0-9+/=]+")
_MEASURED = re.compile(r'("(?:database\w+|cacheHitRate|apiLatency\w+|computeLagMs)":)[^,}]+')
_TENANT_TABLES = """
    SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname NOT IN ('migrations', 'usage') AND c.relname !~ '^audit_' ORDER BY 1
"""
Answer = tuple[str, int, str]


def resource_ids(owner: Owner) -> dict[str, str]:
    """One of each kind of thing in a workspace, by kind."""
    return {
        "workspace": owner.id,
        "segment": owner.segment("own", {"type": "Everyone"})["id"],
        "user-property": owner.put("/user-properties", name="own", definition={"type": "Trait", "path": "own"})["id"],
        "template": owner.mail_template("own")["id"],
        "subscription-group": owner.put("/subscription-groups", name="own", type="OptIn", channel="Email")["id"],
        "admin-key": owner.get("/admin-keys")["adminApiKeys"][0]["id"],
        "secret": secret_of(owner),
        "journey": owner.put("/journeys", name="own")["id"],
    }


def secret_of(owner: Owner) -> str:
    owner.request("PUT", "/secrets", {"name": "own", "value": "Alices-secret"})
    return next(item["id"] for item in owner.get("/secrets") if item["name"] == "own")


def walk(
    http: httpx.Client, headers: dict[str, str], routes: Iterable[tuple[Endpoint, str]], *, own: str, identity: str
) -> list[Answer]:
    """The answers of all routes to a caller whose workspace is `own` and who names `identity` wherever an id goes."""
    answers: list[Answer] = []
    for endpoint, path in routes:
        sample = Sample(endpoint, own, identity)
        answer = http.request(
            endpoint.method, sample.path(path), json=sample.body(), params=sample.query(), headers=headers
        )
        answers.append((f"{endpoint.method} {path}", answer.status_code, comparable(answer.text)))
    return answers


def comparable(text: str) -> str:
    """An answer without what differs between two callers who may see the same: ids, times, keys, checkpoints."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith('{"checkpoint"'))
    text = _MEASURED.sub(r"\1MEASURED", text)
    for pattern, mark in ((_UUID, "ID"), (_MOMENT, "TIME"), (_KEY, "KEY")):
        text = pattern.sub(mark, text)
    return re.sub(r"charlie-\d+", "NAME", text)


def everything_of(world: World, workspace: str) -> dict[str, list[Any]]:
    """All rows of a workspace, as its owner at the database sees them; audit log and usage aside, which may grow."""
    with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as owner:
        tables = [row[0] for row in owner.execute(_TENANT_TABLES).fetchall()]
        found: dict[str, list[Any]] = {}
        for table in tables:
            select = sql.SQL("SELECT to_jsonb(t) - 'last_used_at' FROM {} t WHERE workspace_id = %s ORDER BY 1")
            found[table] = owner.execute(select.format(sql.Identifier(table)), (workspace,)).fetchall()
    return found
