"""Is an installation sound? Each check is a line: what was looked at, and what is wrong if anything is."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tenfold.kit.errors import AppError, ConfigurationError
from tenfold.storage import probe
from tenfold.storage.migrate import pending
from tenfold.tenancy import catalogue, catalogue_store
from tenfold.tenancy.context import SETTING, signed
from tenfold.wiring import APP, SERVICE, Installation, clickhouse_of

_MOST_SECONDS_APART = 2.0
_LEAST_FREE = 0.05
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `fault` None: all is well."""

    check: str
    fault: str | None = None


def examine(found: Installation, *, beside_server: bool, quotas: bool = False) -> Iterator[Finding]:
    """Every check in turn. A check that cannot be made is a fault. `quotas` recounts everything: minutes, maybe."""
    yield from _guarded("keys", lambda: _keys(found))
    yield from _guarded("disk", lambda: _disk(found))
    yield from _guarded("schema", lambda: _schema(found))
    yield from _guarded("server version", lambda: _with_owner(found, _version))
    yield from _guarded("clock", lambda: _with_owner(found, _clock))
    yield from _guarded("isolation", lambda: _with_owner(found, partial(_isolation, found)))
    for role in (APP, SERVICE):
        yield from _guarded(f"role {role}", lambda role=role: _role(found, role))
    yield from _guarded(_context_check(found), lambda: _context(found))
    yield from _guarded("pool mode", lambda: _pool(found))
    if quotas:
        yield from _guarded("quotas", lambda: _with_owner(found, _quotas))
    if beside_server and not found.settings.clickhouse_url:
        yield Finding("archive (in use by the running server)")
    else:
        yield from _guarded("archive", lambda: _archive(found))
        if quotas:
            yield from _guarded("storage quotas", lambda: _with_owner(found, partial(_storage, found)))


def _quotas(owner: psycopg.Connection[Any]) -> str | None:
    return "; ".join(catalogue.quota_drift(owner)) or None


def _storage(found: Installation, owner: psycopg.Connection[Any]) -> str | None:
    """Bytes as they were counted, beside those in the archive. For a server at rest: events on their way move."""
    rows = asyncio.run(_ask(found, catalogue_store.ARCHIVED))
    return "; ".join(catalogue.storage_drift(owner, {row["workspace_id"]: row["kept"] for row in rows})[:100]) or None


def refuse_unsafe(found: Installation) -> None:
    """Raises ConfigurationError when workspaces would not be safe from one another."""
    with psycopg.connect(found.database_url, autocommit=True) as owner:
        fault = _version(owner) or _isolation(found, owner)
    fault = fault or _context(found)
    if fault:
        raise ConfigurationError(f"this installation is not safe: {fault}; `tenfold doctor` tells more")


def _isolation(found: Installation, owner: psycopg.Connection[Any]) -> str | None:
    """The breaches of the catalogue's rules, in a line."""
    return "; ".join(map(str, catalogue.faults(owner, signed=found.settings.signed_context))) or None


def _guarded(check: str, look: Callable[[], str | None]) -> Iterator[Finding]:
    try:
        yield Finding(check, look())
    except (AppError, psycopg.Error, OSError) as error:
        yield Finding(check, str(error).strip().splitlines()[0])


def _with_owner(found: Installation, look: Callable[[psycopg.Connection[Any]], str | None]) -> str | None:
    with psycopg.connect(found.database_url, autocommit=True, connect_timeout=10) as owner:
        return look(owner)


def _keys(found: Installation) -> str | None:
    """Keys that lie in the data directory are nobody else's to read."""
    files = [found.settings.data_dir / name for name in ("secret.key", "platform.key")]
    open_ones = [file.name for file in files if file.exists() and _readable_by_others(file)]
    return f"{', '.join(open_ones)} can be read by others; chmod 600" if open_ones else None


def _readable_by_others(file: Path) -> bool:
    return bool(file.stat().st_mode & _OTHERS)


def _disk(found: Installation) -> str | None:
    free = probe.free_space(found.settings.data_dir)
    return f"only {free:.0%} of the disk is free" if free < _LEAST_FREE else None


def _schema(found: Installation) -> str | None:
    names = pending(found.database_url)
    return f"pending: {', '.join(names)}; run tenfold migrate" if names else None


def _version(owner: psycopg.Connection[Any]) -> str | None:
    return probe.version_fault(probe.server_version(owner))


def _clock(owner: psycopg.Connection[Any]) -> str | None:
    apart = probe.clock_difference(owner)
    return f"the database's clock is {apart:.1f} s away from ours" if apart > _MOST_SECONDS_APART else None


def _role(found: Installation, role: str) -> str | None:
    with probe.log_in(found.database_url, role, found.passwords()[role] or "") as connection:
        seen = catalogue.rows_without_context(connection) if role == APP else 0
    return f"sees {seen} workspaces without a context" if seen else None


def _context(found: Installation) -> str | None:
    """A context that we sign opens its workspace, one with another signature does not."""
    with probe.log_in(found.database_url, APP, found.passwords()[APP] or "") as app:
        good = signed(found.context_key, [catalogue.PROBE], ("system", "doctor", ""), "", "")
        forged = signed(b"another key", [catalogue.PROBE], ("system", "doctor", ""), "", "")
        opened = [catalogue.context_opens(app, SETTING, context) for context in (good, forged)]
    if not opened[0]:
        return (
            "the database does not know this installation's key; run tenfold migrate with the right TENFOLD_SECRET_KEY"
        )
    wanted = found.settings.signed_context
    return "the database takes contexts that we did not sign" if opened[1] and wanted else None


def _context_check(found: Installation) -> str:
    return "signed context" if found.settings.signed_context else "context (signatures are switched off)"


def _pool(found: Installation) -> str | None:
    """Behind a pooler statements are not prepared: safe, and slower for small reads."""
    with probe.log_in(found.database_url, APP, found.passwords()[APP] or "") as app:
        if not probe.is_pooled(app):
            return None
        kept = catalogue.context_survives(app, SETTING)
    return "the pooler keeps settings from one transaction to the next" if kept else None


def _archive(found: Installation) -> str | None:
    asyncio.run(_ask(found, catalogue_store.REACHED))
    return None


async def _ask(found: Installation, statement: LiteralString) -> list[dict[str, Any]]:
    clickhouse = clickhouse_of(found.settings)
    try:
        return await clickhouse.query(statement, {})
    finally:
        await clickhouse.close()
