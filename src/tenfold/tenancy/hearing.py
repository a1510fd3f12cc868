"""Hearing of changes to the directory: whichever process makes one, the others know within milliseconds.

Triggers tell of them with NOTIFY (migration 0017). A process calls out to itself now and then, and trusts what it
remembers only as long as it hears that: behind a pooler that loses NOTIFY, or with a dead connection, it does not.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from tenfold.kit.errors import AppError
from tenfold.kit.ids import new_id, try_parse_id
from tenfold.kit.logs import get
from tenfold.tenancy import door, store
from tenfold.tenancy.scope import Stores

CHANNEL: Final = "tenfold_changes"
_CALL_SECONDS = 5.0
_TRUSTED_SECONDS = 12.0
_RECONNECT_SECONDS = 1.0

_log = get("hearing")

Ear = Callable[[], AbstractAsyncContextManager[AsyncIterator[str]]]


async def run(stores: Stores, ear: Ear) -> None:
    """Keep the process' memory right until cancelled. `ear` opens a connection that hears the channel."""
    while True:
        try:
            async with ear() as heard:
                stores.memory.clear()
                await _follow(stores, heard)
        except Exception as error:  # noqa: BLE001 - unheard, what is remembered holds for a second only
            _log.warning("cannot hear of changes", error=str(error))
        stores.memory.heard(0)
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _follow(stores: Stores, heard: AsyncIterator[str]) -> None:
    own = f"call {new_id()}"
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(_call(stores, own))
        async for word in heard:
            if word == own:
                stores.memory.heard(_TRUSTED_SECONDS)
            elif (workspace_id := try_parse_id(word)) is not None:
                stores.memory.forget(workspace_id)
        calling.cancel()


async def _call(stores: Stores, own: str) -> None:
    while True:
        try:
            async with door.directory(stores) as db:
                await store.tell(db, own)
        except AppError as error:
            _log.warning("cannot call out", error=error.message)
        await asyncio.sleep(_CALL_SECONDS)
