"""Plain SQL migrations, in order, once each: `postgres/NNNN_{pre,post}_name.sql`, `clickhouse/NNNN_name.sql`.

`pre` files may run while the old code still serves (they only add); `post` files run once it is gone.
Every file runs in one transaction with lock and statement timeouts. A file whose first line is
`-- concurrently` runs outside a transaction, one statement at a time (CREATE INDEX CONCURRENTLY).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tenfold.kit.errors import ConfigurationError

_LOCK = 7_310_461_190  # any number, the same in every process
_TIMEOUTS = "SET lock_timeout = '5s'; SET statement_timeout = '10min'"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def known(store: str) -> list[Migration]:
    """The migrations of a store ("postgres" or "clickhouse") in their order."""
    folder = files("tenfold").joinpath("migrations", store)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [Migration(name, folder.joinpath(name).read_text()) for name in names]


def pending(url: str) -> list[str]:
    """The names of the PostgreSQL migrations that have not run yet.

    Raises ConfigurationError when one that ran has been changed since.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        done = _done(connection)
    return [migration.name for migration in _checked(known("postgres"), done)]


def migrate_postgres(
    url: str,
    passwords: Mapping[str, str | None],
    context_key: bytes,
    *,
    signed: bool = True,
    default_quotas: Mapping[str, int | None] | None = None,
) -> list[str]:
    """Create the roles, run what is pending, write the key that contexts are signed with; the names that ran.

    Safe to call from many processes at once.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        _roles(connection, passwords)
        connection.execute(_TIMEOUTS)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS public.migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, ran_at timestamptz NOT NULL DEFAULT now())"
        )
        todo = _checked(known("postgres"), _done(connection))
        _join(connection, passwords)
        for migration in todo:
            _run(connection, migration)
        _write_key(connection, context_key)
        _choose_context(connection, signed=signed)
        _join(connection, passwords, leave=True)
        defaults = Jsonb(dict(default_quotas or {}))
        connection.execute("UPDATE tenancy.quota_defaults SET limits = %s WHERE limits <> %s", (defaults, defaults))
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return [migration.name for migration in todo]


def clickhouse_schema() -> list[str]:
    """The statements that make the archive. Each is `IF NOT EXISTS`: running it again changes nothing."""
    return [statement for migration in known("clickhouse") for statement in _statements(migration.text)]


def drop_postgres(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS tenancy, identity CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


def _done(connection: psycopg.Connection) -> dict[str, str]:
    if connection.execute("SELECT to_regclass('public.migrations')").fetchone() == (None,):
        return {}
    return dict(connection.execute("SELECT name, checksum FROM public.migrations").fetchall())


def _checked(migrations: list[Migration], done: dict[str, str]) -> list[Migration]:
    for migration in migrations:
        if done.get(migration.name, migration.checksum) != migration.checksum:
            raise ConfigurationError(f"migration {migration.name} was changed after it ran")
    return [migration for migration in migrations if migration.name not in done]


def _roles(connection: psycopg.Connection, passwords: Mapping[str, str | None]) -> None:
    """Roles belong to the server, not to a database. Without a password a role cannot log in."""
    for role, password in passwords.items():
        name = sql.Identifier(role)
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {}").format(name))
        login = sql.SQL("NOLOGIN") if password is None else sql.SQL("LOGIN PASSWORD {}").format(sql.Literal(password))
        connection.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE {}").format(name, login))


def _join(connection: psycopg.Connection, roles: Iterable[str], *, leave: bool = False) -> None:
    """Belong to the roles while migrations give functions away to them: an owner that is no superuser has to."""
    verb = sql.SQL("REVOKE {} FROM CURRENT_USER" if leave else "GRANT {} TO CURRENT_USER")
    for role in roles:
        connection.execute(verb.format(sql.Identifier(role)))


def _write_key(connection: psycopg.Connection, key: bytes) -> None:
    """Keep the two padded halves of the key (HMAC, RFC 2104, block of 64 bytes), so that SQL can check signatures."""
    pads = [bytes(byte ^ mask for byte in key.ljust(64, b"\0")) for mask in (0x36, 0x5C)]
    connection.execute(
        "INSERT INTO tenancy.signing_keys (inner_pad, outer_pad) VALUES (%s, %s) ON CONFLICT (only_one)"
        " DO UPDATE SET inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad"
        " WHERE (signing_keys.inner_pad, signing_keys.outer_pad)"
        " IS DISTINCT FROM (excluded.inner_pad, excluded.outer_pad)",
        pads,
    )


def _choose_context(connection: psycopg.Connection, *, signed: bool) -> None:
    """Put the function that reads the context in place, checking its signature or not."""
    variant = files("tenfold").joinpath("migrations", "context", "signed.sql" if signed else "unsigned.sql")
    found = connection.execute("SELECT prosecdef FROM pg_proc WHERE oid = 'tenancy.context'::regproc").fetchone()
    if found != (signed,):
        connection.execute(variant.read_text().encode())


def _run(connection: psycopg.Connection, migration: Migration) -> None:
    record = "INSERT INTO public.migrations (name, checksum) VALUES (%s, %s)"
    values = (migration.name, migration.checksum)
    if migration.text.startswith("-- concurrently"):
        for statement in _statements(migration.text):
            connection.execute(statement.encode())
        connection.execute(record, values)
        return
    with connection.transaction():
        connection.execute(migration.text.encode())
        connection.execute(record, values)


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip().rstrip(";")]
