"""Settings from the environment, read once. A bad value stops the start and names its variable."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tenfold.kit.errors import ConfigurationError

AUTH_MODES = ("anonymous", "single-tenant", "multi-tenant")
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """Where people sign in (the reference's `OPEN_ID_*` names). What is None is discovered at the issuer."""

    issuer: str
    client_id: str
    client_secret: str | None = None
    authorization_url: str | None = None
    token_url: str | None = None
    end_session_url: str | None = None
    provider: str = "openid"
    pkce: bool = True


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server that the installation itself writes through, and from which address."""

    host: str
    port: int
    username: str | None
    password: str | None
    sender: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process is told from outside.

    `database_url` and `clickhouse_url` are None for the embedded stores under `data_dir`.
    """

    data_dir: Path
    database_url: str | None = None
    clickhouse_url: str | None = None
    cache_url: str = "memory://"
    secret_key: str | None = None
    platform_key: str | None = None
    auth_mode: str = "anonymous"
    password: str | None = None
    cache_ttl: int = 300
    body_limit: int = 5 * 1024 * 1024
    default_quotas: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    openid: OpenIdSettings | None = None
    return_parameter: str = "returnTo"
    public_url: str | None = None
    secure_cookies: bool = False
    signed_context: bool = True
    trusted_proxies: frozenset[str] = frozenset()
    mail: MailSettings | None = None
    connections: int = 6
    alert_seconds: int = 60


def load(data_dir: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises ConfigurationError with one line that names the variable.
    """
    env = os.environ if environ is None else environ
    return Settings(
        data_dir=data_dir.absolute(),
        database_url=_url(env, "TENFOLD_DATABASE_URL", ("postgresql", "postgres")),
        clickhouse_url=_url(env, "TENFOLD_CLICKHOUSE_URL", ("http", "https", "chdb")),
        cache_url=_url(env, "TENFOLD_CACHE_URL", ("memory", "redis", "rediss")) or "memory://",
        secret_key=env.get("TENFOLD_SECRET_KEY") or None,
        platform_key=env.get("TENFOLD_PLATFORM_KEY") or None,
        auth_mode=_choice(env, "AUTH_MODE", AUTH_MODES),
        password=env.get("PASSWORD") or None,
        cache_ttl=_number(env, "TENANT_CACHE_TTL", 300),
        body_limit=_number(env, "API_BODY_LIMIT", 5 * 1024 * 1024),
        default_quotas=_quotas(env, "DEFAULT_WORKSPACE_QUOTAS"),
        openid=_openid(env),
        return_parameter=env.get("OPEN_ID_RETURN_TO_QUERY_PARAM") or "returnTo",
        public_url=(_url(env, "DASHBOARD_URL", ("http", "https")) or "").rstrip("/") or None,
        signed_context=_flag(env, "TENFOLD_SIGNED_CONTEXT", default=True),
        secure_cookies=_flag(env, "SESSION_COOKIE_SECURE", default=False),
        mail=_mail(env),
        connections=_number(env, "TENFOLD_CONNECTIONS", 2 * (os.cpu_count() or 2) + 2),
        alert_seconds=_number(env, "TENFOLD_ALERT_SECONDS", 60),
        trusted_proxies=frozenset(env.get("TENFOLD_TRUSTED_PROXIES", "").replace(" ", "").split(",")) - {""},
    )


def check_access(settings: Settings) -> None:
    """Raises ConfigurationError for a mode of access that lacks what it needs."""
    if settings.auth_mode == "single-tenant" and not settings.password:
        raise ConfigurationError("PASSWORD: AUTH_MODE=single-tenant needs one")
    if settings.auth_mode == "multi-tenant" and settings.openid is None:
        raise ConfigurationError("OPEN_ID_ISSUER: AUTH_MODE=multi-tenant needs an identity provider")


def _openid(env: Mapping[str, str]) -> OpenIdSettings | None:
    issuer = _url(env, "OPEN_ID_ISSUER", ("http", "https"))
    client_id = env.get("OPEN_ID_CLIENT_ID") or None
    pkce = _flag(env, "ENABLE_PKCE", default=True)
    if issuer is None:
        return None
    if client_id is None:
        raise ConfigurationError("OPEN_ID_CLIENT_ID: expected the id that the identity provider knows this server by")
    return OpenIdSettings(
        issuer=issuer,
        client_id=client_id,
        client_secret=env.get("OPEN_ID_CLIENT_SECRET") or None,
        authorization_url=_url(env, "OPEN_ID_AUTHORIZATION_URL", ("http", "https")),
        token_url=_url(env, "OPEN_ID_TOKEN_URL", ("http", "https")),
        end_session_url=_url(env, "OPEN_ID_END_SESSION_ENDPOINT", ("http", "https")),
        provider=env.get("AUTH_PROVIDER") or "openid",
        pkce=pkce,
    )


def _mail(env: Mapping[str, str]) -> MailSettings | None:
    url, sender = _url(env, "TENFOLD_SMTP_URL", ("smtp",)), env.get("TENFOLD_MAIL_FROM") or None
    if url is None:
        return None
    parts = urlsplit(url)
    if sender is None or not parts.hostname:
        raise ConfigurationError("TENFOLD_MAIL_FROM: TENFOLD_SMTP_URL needs a host, and an address to write from")
    return MailSettings(parts.hostname, parts.port or 25, parts.username, parts.password, sender)


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name) or str(default)
    if value.lower() not in ("true", "false"):
        raise ConfigurationError(f"{name}: expected true or false, got {value!r}")
    return value.lower() == "true"


def _url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = env.get(name)
    if not value or value == EMBEDDED:
        return None
    if urlsplit(value).scheme not in schemes:
        raise ConfigurationError(f"{name}: expected a URL that starts with {'://, '.join(schemes)}://")
    return value


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name) or choices[0]
    if value not in choices:
        raise ConfigurationError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name)
    if not value:
        return default
    if not value.isdigit():
        raise ConfigurationError(f"{name}: expected a whole number of 0 or more, got {value!r}")
    return int(value)


def _quotas(env: Mapping[str, str], name: str) -> dict[str, int | None]:
    value = env.get(name)
    if not value:
        return {}
    try:
        parsed: Any = json.loads(value)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{name}: not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise ConfigurationError(f"{name}: expected a JSON object of quota fields")
    return parsed  # pyright: ignore[reportUnknownVariableType] - checked field by field in wiring
