"""What a server says of itself: version, pooling, clock, space. For `tenfold doctor` and the start."""

import shutil
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

# The first release of each line with the fixes of CVE-2024-10976 (row security ignored in cached plans) and
# CVE-2025-8713 (statistics shown past row security).
FLOORS = {15: 14, 16: 10, 17: 6, 18: 0}


def version_fault(version: int) -> str | None:
    """What is wrong with a server's version number (180004 is 18.4), if anything."""
    major, minor = divmod(version, 10_000)
    if major < min(FLOORS):
        return f"PostgreSQL {major} is too old; at least {min(FLOORS)} is needed"
    if minor < FLOORS.get(major, 0):
        return f"PostgreSQL {major}.{minor} has known holes in row security; at least {major}.{FLOORS[major]} is needed"
    return None


def server_version(connection: psycopg.Connection[Any]) -> int:
    return connection.info.server_version


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler stands between us and the server: then its process is not the one we were told of."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def clock_difference(connection: psycopg.Connection[Any]) -> float:
    """Seconds between the server's clock and ours, at most."""
    before = time.time()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    return 0.0 if row is None else max(0.0, before - row[0], row[0] - time.time())


def free_space(directory: Path) -> float:
    """The share of the disk under a directory that is free."""
    usage = shutil.disk_usage(directory)
    return usage.free / usage.total


def log_in(url: str, user: str, password: str) -> psycopg.Connection[Any]:
    """A connection as one role. Raises psycopg.OperationalError when it cannot be had."""
    return psycopg.connect(make_conninfo(url, user=user, password=password), autocommit=True, connect_timeout=10)
