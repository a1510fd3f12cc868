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
    )


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
    return parsed  # pyright: ignore[reportUnknownVariableType] - checked field by field where quotas are set
