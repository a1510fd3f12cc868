"""When admin keys were last used: noted as requests pass by, written together, so that no request waits for it."""

import asyncio
from typing import Final
from uuid import UUID

from tenfold.kit.clock import now
from tenfold.kit.errors import Unavailable
from tenfold.kit.logs import get
from tenfold.tenancy import door
from tenfold.tenancy.access import store
from tenfold.tenancy.scope import BatchScope, KeyUse, Scope, Stores

_WRITTEN_EVERY_SECONDS: Final = 30.0
_MOST_AT_ONCE: Final = 500
_log = get("keys")


def note(stores: Stores, workspace_id: UUID, key_id: UUID) -> None:
    stores.key_uses[key_id] = KeyUse(workspace_id, key_id, now())


async def run(stores: Stores) -> None:
    """Write the uses every half minute until cancelled."""
    while True:
        await asyncio.sleep(_WRITTEN_EVERY_SECONDS)
        try:
            await flush(stores)
        except Unavailable as error:
            _log.warning("uses of keys are written later", error=str(error))


async def flush(stores: Stores) -> None:
    """Write all uses. What cannot be written is kept for the next time."""
    await _write(stores, list(stores.key_uses.values()))


async def flush_of(scope: Scope) -> None:
    """Write the uses of a workspace's keys, for whoever looks at them now."""
    mine = [use for use in scope.stores.key_uses.values() if use.workspace_id == scope.workspace_id]
    await _write(scope.stores, mine)


async def _write(stores: Stores, uses: list[KeyUse]) -> None:
    for start in range(0, len(uses), _MOST_AT_ONCE):
        part = uses[start : start + _MOST_AT_ONCE]
        claimed = frozenset(use.workspace_id for use in part)
        async with door.workspace(BatchScope(stores, claimed), metered=False) as db:
            await store.touch_admin_keys(db, part)
        for use in part:
            if stores.key_uses.get(use.key_id) == use:  # not used again meanwhile
                del stores.key_uses[use.key_id]
