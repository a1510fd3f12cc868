"""Writing and reading a workspace's audit log.

Changes of resources are recorded by triggers (migration 0009), so no code path can forget them. What is no change of
a row (a login, an export, a refusal, a use of platform rights) is recorded here.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tenfold.kit.clock import iso, now
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.audit import chain, store
from tenfold.tenancy.audit.chain import Checkpoint
from tenfold.tenancy.scope import BatchScope, Scope, Stores

_CHAINED_AT_ONCE = 500
_WORKSPACES_AT_ONCE = 50
_EXPORTED_AT_ONCE = 1000
_CHECKPOINT_EVERY = timedelta(hours=1)
_LOOKED_AT = 5000


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries, and which page of them: those before an entry, newest first."""

    before: int | None = None
    limit: int = 100
    action: str | None = None
    actor_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None


async def record(
    scope: Scope,
    action: str,
    target: tuple[str, str],
    *,
    allowed: bool = True,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry of its own. `target` is type and id."""
    async with door.workspace(scope) as db:
        await write(db, scope, action, target, allowed=allowed, changes=changes)


async def write(
    db: Db,
    scope: Scope,
    action: str,
    target: tuple[str, str],
    *,
    allowed: bool = True,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry in a transaction that is open: it stays if the transaction does."""
    outcome = "allowed" if allowed else "denied"
    await store.record(
        db, scope.workspace_id, action=action, target=target, outcome=outcome, changes=dict(changes or {})
    )


async def page(scope: Scope, query: AuditQuery) -> list[dict[str, Any]]:
    """Entries, newest first; everything written before the call is among them."""
    await chain_up(scope)
    async with door.workspace(scope) as db:
        rows = await store.find(
            db,
            scope.workspace_id,
            before=query.before,
            action=query.action,
            actor_id=query.actor_id,
            start=query.start,
            end=query.end,
            limit=query.limit,
        )
    return [shown(row) for row in rows]


async def export(scope: Scope) -> AsyncIterator[bytes]:
    """The whole log as JSON lines, oldest first, with the checkpoints on the way and a new one at the end."""
    await chain_up(scope)
    final = await _final(scope)
    last = final.from_sequence
    while last < final.sequence:
        lines, last = await _export_page(scope, last, final.sequence)
        yield lines
    yield _line({"checkpoint": _shown_checkpoint(scope.stores, final, chain.sign(scope.stores.secret, final))})


async def chain_up(scope: Scope | BatchScope) -> None:
    """Chain everything that waits in the workspaces of a scope, and sign checkpoints now and then."""
    unfinished = sorted(scope.claimed)
    while unfinished:
        async with door.workspace(scope) as db:
            answers = {workspace: await store.chain(db, workspace, _CHAINED_AT_ONCE) for workspace in unfinished}
            chained = {workspace: (await answer.rows())[0]["chained"] for workspace, answer in answers.items()}
        unfinished = [workspace for workspace, count in chained.items() if count == _CHAINED_AT_ONCE]
    async with door.workspace(scope) as db:
        await _sign_heads(scope, db)


async def chain_pending(stores: Stores) -> int:
    """Chain what waits anywhere; in how many workspaces there was something."""
    async with door.glance(stores) as db:
        waiting = await store.pending_workspaces(db, _LOOKED_AT)
    for start in range(0, len(waiting), _WORKSPACES_AT_ONCE):
        await chain_up(BatchScope(stores, frozenset(waiting[start : start + _WORKSPACES_AT_ONCE])))
    return len(waiting)


async def trim_all(stores: Stores) -> int:
    """Let go of old entries where a workspace wants that; how many."""
    async with door.glance(stores) as db:
        found = await store.trimming_workspaces(db)
    gone = 0
    for workspace_id in found:
        async with door.workspace(BatchScope(stores, frozenset((workspace_id,)))) as db:
            gone += await store.trim(db, workspace_id)
    return gone


def shown(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "sequence": row["sequence"],
        "occurredAt": row["occurred_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "action": row["action"],
        "actor": {"type": row["actor_type"], "id": row["actor_id"], "name": row["actor_name"]},
        "target": {"type": row["target_type"], "id": row["target_id"]},
        "outcome": row["outcome"],
        "requestId": row["request_id"],
        "ip": row["ip"],
        "changes": row["changes"],
        "previousHash": bytes(row["previous_hash"]).hex(),
        "hash": bytes(row["hash"]).hex(),
    }


async def _sign_heads(scope: Scope | BatchScope, db: Db) -> None:
    moment, secret = now(), scope.stores.secret
    heads = await store.unsigned_heads(db, sorted(scope.claimed), _CHECKPOINT_EVERY)
    points = [_point(head["workspace_id"], head["sequence"], bytes(head["hash"]), moment) for head in heads]
    if points:
        signatures = [bytes.fromhex(chain.sign(secret, point)) for point in points]
        await store.insert_checkpoints(db, heads, moment, signatures)


def _point(workspace_id: UUID, sequence: int, digest: bytes, moment: datetime) -> Checkpoint:
    """What is signed on the way: the chain from its very beginning to here."""
    name = str(workspace_id)
    return Checkpoint(name, 0, chain.genesis(name), sequence, digest.hex(), iso(moment))


async def _final(scope: Scope) -> Checkpoint:
    """Where the chain begins and ends at this moment."""
    name = str(scope.workspace_id)
    async with door.workspace(scope) as db:
        head = await store.read_head(db, scope.workspace_id)
    if head is None:
        return Checkpoint(name, 0, chain.genesis(name), 0, chain.genesis(name), iso(now()))
    begins, ends = bytes(head["base_hash"]).hex(), bytes(head["hash"]).hex()
    return Checkpoint(name, head["base_sequence"], begins, head["sequence"], ends, iso(now()))


async def _export_page(scope: Scope, after: int, until: int) -> tuple[bytes, int]:
    async with door.workspace(scope) as db:
        rows = await store.entries_after(db, scope.workspace_id, after=after, until=until, limit=_EXPORTED_AT_ONCE)
        last = rows[-1]["sequence"]
        points = await store.checkpoints_between(db, scope.workspace_id, after=after, until=last)
    signed = {point["sequence"]: point for point in points}
    lines: list[bytes] = []
    for row in rows:
        lines.append(_line({"workspaceId": str(scope.workspace_id), **shown(row)}))
        if point := signed.get(row["sequence"]):
            made = _point(scope.workspace_id, point["sequence"], bytes(point["hash"]), point["created_at"])
            signature = bytes(point["signature"]).hex()
            lines.append(_line({"checkpoint": _shown_checkpoint(scope.stores, made, signature)}))
    return b"".join(lines), last


def _shown_checkpoint(stores: Stores, point: Checkpoint, signature: str) -> dict[str, Any]:
    fields = asdict(point)
    names = {"workspace_id": "workspaceId", "from_sequence": "fromSequence", "from_hash": "fromHash"}
    renamed = {names.get(name, name): value for name, value in fields.items() if name != "created_at"}
    return {
        **renamed,
        "createdAt": point.created_at,
        "publicKey": chain.public_key(stores.secret),
        "signature": signature,
    }


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
