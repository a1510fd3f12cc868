"""The data directory: one process at a time, and the secrets made on first start."""

import base64
import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Generator
from pathlib import Path

from tenfold.kit.errors import ConfigurationError


@contextlib.contextmanager
def locked(directory: Path) -> Generator[None]:
    """Hold the directory for this process.

    Raises ConfigurationError when another process has it. The lock goes with the process, however it ends.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise ConfigurationError(f"{directory} is in use by another Tenfold (process {owner})") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def secret_key(directory: Path, given: str | None) -> bytes:
    """The installation's secret: 32 bytes, given as base64 or made once and kept in `secret.key`."""
    text = given or _kept(directory / "secret.key", lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) < 32:  # noqa: PLR2004 - 256 bits
        raise ConfigurationError("TENFOLD_SECRET_KEY: expected at least 32 bytes as base64")
    return key


def platform_key(directory: Path, given: str | None) -> str:
    return given or _kept(directory / "platform.key", lambda: secrets.token_hex(32))


def _kept(path: Path, make: Callable[[], str]) -> str:
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    value = make()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(value)
    return value
