"""The signed context: for which workspaces a transaction works, and who acts in it.

`<HMAC-SHA256 in hex>.<workspace ids, comma>|<actor type>|<actor id>|<request>|<address>|<actor name>`

PostgreSQL checks the signature (`tenancy.context()`, migration 0007) with a key that no login role can read. So a
context cannot be made by SQL that slipped into a statement, only by a process that holds the installation's secret.
It travels as a parameter: other sessions do not see it in pg_stat_activity.
"""

import hmac
from collections.abc import Iterable
from typing import Final
from uuid import UUID

SETTING: Final = "app.current_workspace_id"
IDENTITY: Final = UUID("00000000-0000-8000-8000-000000000001")  # people and sessions, before a workspace is known
PLATFORM: Final = UUID("00000000-0000-8000-8000-000000000002")  # the installation as a whole


def signed(key: bytes, workspaces: Iterable[UUID], actor: tuple[str, str, str], request_id: str, address: str) -> str:
    """The value of the setting. `actor` is type, id and name."""
    kind, identity, name = actor
    ids = ",".join(sorted(map(str, workspaces)))
    words = (_word(kind), _word(identity), _word(request_id), _word(address), name.replace("\0", ""))
    message = "|".join((ids, *words))
    return f"{hmac.digest(key, message.encode(), 'sha256').hex()}.{message}"


def _word(text: str) -> str:
    """Only the last part, the name, may hold a bar."""
    return text.replace("|", " ").replace("\0", "")
