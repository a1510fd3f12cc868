"""The composition root: settings in, stores and services out. The architecture on one page."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tenfold.access.audit import ENDPOINTS as AUDIT
from tenfold.access.keys import ENDPOINTS as KEYS
from tenfold.access.login import ENDPOINTS as LOGIN
from tenfold.access.members import ENDPOINTS as MEMBERS
from tenfold.access.prometheus import ENDPOINTS as PROMETHEUS
from tenfold.access.quotas import ENDPOINTS as QUOTAS
from tenfold.access.usage import ENDPOINTS as USAGE
from tenfold.engagement.audience.routes import ENDPOINTS as AUDIENCE
from tenfold.engagement.channels.routes import ENDPOINTS as CHANNELS
from tenfold.engagement.deliveries.routes import ENDPOINTS as DELIVERIES
from tenfold.engagement.events.accept import Acceptor
from tenfold.engagement.events.routes import ENDPOINTS as EVENTS
from tenfold.engagement.journeys.routes import ENDPOINTS as JOURNEYS
from tenfold.engagement.subscriptions.routes import ENDPOINTS as SUBSCRIPTIONS
from tenfold.engagement.templates.routes import ENDPOINTS as TEMPLATES
from tenfold.http.admission import Site
from tenfold.http.endpoint import Endpoint
from tenfold.http.openid import OpenId
from tenfold.kit.errors import ConfigurationError, Invalid
from tenfold.kit.settings import Settings
from tenfold.platform.alerts.routes import ENDPOINTS as ALERTS
from tenfold.platform.erasure import ENDPOINTS as ERASURE
from tenfold.platform.routes import ENDPOINTS as PLATFORM
from tenfold.storage import datadir
from tenfold.storage.clickhouse import ClickHouse
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.storage.migrate import clickhouse_schema, migrate_postgres
from tenfold.storage.postgres import Pool, hear
from tenfold.storage.redis import SharedMemory
from tenfold.tenancy import hearing
from tenfold.tenancy.access.passwords import Password
from tenfold.tenancy.audit.watch import Watch
from tenfold.tenancy.exposition import Exposition
from tenfold.tenancy.gate import Gate
from tenfold.tenancy.keys import sign
from tenfold.tenancy.quotas.model import FIELDS, Limits, read_limits
from tenfold.tenancy.quotas.rate_shared import SharedLimiter
from tenfold.tenancy.scope import Stores
from tenfold.tenancy.service_class import CLASSES, STANDARD

APP, SERVICE = "tenfold_app", "tenfold_service"
_WAITING = 200  # requests that may wait for each connection: about a second's worth
_NOBODYS = ("tenfold_directory", "tenfold_keeper", "tenfold_auditor", "tenfold_accountant")
ENDPOINTS: list[Endpoint] = [
    *PLATFORM,
    *ERASURE,
    *KEYS,
    *MEMBERS,
    *QUOTAS,
    *USAGE,
    *PROMETHEUS,
    *ALERTS,
    *LOGIN,
    *AUDIT,
    *EVENTS,
    *AUDIENCE,
    *SUBSCRIPTIONS,
    *TEMPLATES,
    *CHANNELS,
    *DELIVERIES,
    *JOURNEYS,
]


@dataclass(frozen=True, slots=True)
class Installation:
    """What all processes of an installation share: where the stores are, and its secrets."""

    settings: Settings
    database_url: str
    secret: bytes
    platform_key: str
    postgres: EmbeddedPostgres | None = None

    def passwords(self) -> dict[str, str | None]:
        """The roles' passwords follow from the secret, so every process knows them."""
        named = {role: sign(self.secret, "database role", role.encode()) for role in (APP, SERVICE)}
        return {**named, **dict.fromkeys(_NOBODYS)}

    @property
    def context_key(self) -> bytes:
        return bytes.fromhex(sign(self.secret, "context", b""))


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers use beside the stores."""

    acceptor: Acceptor
    platform_key: str
    auth_mode: str
    password: Password | None
    openid: OpenId | None
    public_url: str | None
    return_parameter: str
    secure_cookies: bool


def site(
    found: Installation, opened: Stores, acceptor: Acceptor, watch: Watch, memory: SharedMemory | None = None
) -> Site:
    """What the HTTP side of an installation shares."""
    settings = found.settings
    services = Services(
        acceptor,
        found.platform_key,
        settings.auth_mode,
        Password(settings.password) if settings.password else None,
        OpenId(settings.openid) if settings.openid else None,
        settings.public_url,
        settings.return_parameter,
        settings.secure_cookies,
    )
    return Site(
        opened,
        services,
        settings.auth_mode,
        found.platform_key,
        settings.body_limit,
        watch,
        services.openid,
        settings.secure_cookies,
        settings.trusted_proxies,
        shared=SharedLimiter(memory) if memory else None,
    )


@contextlib.contextmanager
def installation(settings: Settings) -> Generator[Installation]:
    """The installation, with its embedded PostgreSQL running if it has one; this process holds the data directory.

    Raises ConfigurationError when another process has it.
    """
    with datadir.locked(settings.data_dir):
        postgres = None if settings.database_url else EmbeddedPostgres(settings.data_dir)
        if postgres:
            postgres.start()
        try:
            yield describe(settings, postgres)
        finally:
            if postgres:
                postgres.stop()


@contextlib.contextmanager
def visit(settings: Settings) -> Generator[Installation]:
    """The installation for a short command: beside a server that runs, or by itself when none does."""
    if settings.database_url or not in_use(settings.data_dir):
        with installation(settings) as found:
            yield found
    else:
        yield describe(settings, EmbeddedPostgres(settings.data_dir))


def describe(settings: Settings, postgres: EmbeddedPostgres | None) -> Installation:
    return Installation(
        settings,
        settings.database_url or (postgres.url if postgres else ""),
        datadir.secret_key(settings.data_dir, settings.secret_key),
        datadir.platform_key(settings.data_dir, settings.platform_key),
        postgres,
    )


def migrate(found: Installation) -> list[str]:
    return migrate_postgres(
        found.database_url,
        found.passwords(),
        found.context_key,
        signed=found.settings.signed_context,
        default_quotas=_default_quotas(found.settings),
    )


def _default_quotas(settings: Settings) -> Limits:
    """Raises ConfigurationError that names the variable and the field."""
    if unknown := set(settings.default_quotas) - set(FIELDS):
        raise ConfigurationError(f"DEFAULT_WORKSPACE_QUOTAS: there is no {', '.join(sorted(unknown))}")
    try:
        return read_limits(settings.default_quotas)
    except Invalid as error:
        raise ConfigurationError(f"DEFAULT_WORKSPACE_QUOTAS: {error.message}") from error


@contextlib.asynccontextmanager
async def stores(
    found: Installation, clickhouse: ClickHouse, *, name: str, size: int, exposition: Exposition | None = None
) -> AsyncGenerator[Stores]:
    """The stores for one event loop: connections as the app role, and a few as the service role.

    `exposition` is where the loops of a process put together what they metered.
    """
    passwords, usual = found.passwords(), CLASSES[STANDARD]
    limits = (usual.statement_timeout, usual.lock_timeout) if name == "api" else None
    pools = [
        Pool(
            found.database_url,
            user=role,
            password=passwords[role] or "",
            size=most,
            name=f"tenfold-{name}",
            limits=limits,
        )
        for role, most in ((APP, size), (SERVICE, 4))
    ]
    for pool in pools:
        await pool.open()
    try:
        keys = found.secret, found.context_key
        shared = exposition or Exposition()
        yield Stores(pools[0], pools[1], clickhouse, *keys, Gate(size, most_waiting=size * _WAITING), exposition=shared)
    finally:
        for pool in pools:
            await pool.close()


def shared_memory(settings: Settings) -> SharedMemory | None:
    """What all processes share, if the settings name a server for it."""
    return None if settings.cache_url.startswith("memory:") else SharedMemory(settings.cache_url)


def bells(found: Installation) -> AbstractAsyncContextManager[AsyncIterator[str]]:
    """The kinds of work that other processes tell of, as they come."""
    return hear(found.database_url, APP, found.passwords()[APP] or "", "tenfold_work")


def changes(found: Installation) -> AbstractAsyncContextManager[AsyncIterator[str]]:
    """The workspaces that other processes have changed, as they come."""
    return hear(found.database_url, APP, found.passwords()[APP] or "", hearing.CHANNEL)


def clickhouse_of(settings: Settings) -> ClickHouse:
    return ClickHouse(settings.clickhouse_url, settings.data_dir, clickhouse_schema())


async def drop_events(settings: Settings) -> None:
    clickhouse = clickhouse_of(settings)
    await clickhouse.command("DROP TABLE IF EXISTS events")
    await clickhouse.close()


def in_use(directory: Path) -> bool:
    try:
        with datadir.locked(directory):
            return False
    except ConfigurationError:
        return True
