"""The installation's password (single-tenant mode), compared by argon2id (RFC 9106) off the event loop."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from tenfold.kit.errors import ConfigurationError

_LONGEST = 1024


class Password:
    """`given` is the password, or its argon2 hash so that the environment need not hold it in plain text.

    Raises ConfigurationError for a hash that cannot be read.
    """

    def __init__(self, given: str) -> None:
        self._hasher = PasswordHasher()
        self._hash = given if given.startswith("$argon2") else self._hasher.hash(given)
        self._turn = asyncio.Semaphore(2)  # each comparison takes 64 MiB
        try:
            self._hasher.check_needs_rehash(self._hash)
        except InvalidHashError as error:
            raise ConfigurationError("PASSWORD: this argon2 hash cannot be read") from error

    async def matches(self, given: str) -> bool:
        async with self._turn:
            return await asyncio.to_thread(self._compare, given[:_LONGEST])

    def _compare(self, given: str) -> bool:
        try:
            return self._hasher.verify(self._hash, given)
        except VerifyMismatchError:
            return False
