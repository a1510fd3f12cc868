"""The permissions, and the four roles every workspace has. A permission is `<resource>:<verb>`.

Roles add up: an Author may do what a Viewer may, and so on (behaviour.md, point 23). A workspace may have roles of its
own, made of the same permissions.
"""

from collections.abc import Iterable
from typing import Final

from tenfold.kit.errors import Forbidden, Invalid

_VIEWER: Final = frozenset(
    f"{resource}:read"
    for resource in (
        "segments", "user-properties", "journeys", "templates", "broadcasts", "subscription-groups", "users", "events",
        "deliveries", "settings", "members", "roles", "quotas", "usage",
    )
)  # fmt: skip
_AUTHOR: Final = _VIEWER | {
    f"{content}:write" for content in ("segments", "user-properties", "journeys", "templates", "broadcasts")
}
_MANAGER: Final = _AUTHOR | {
    "subscription-groups:write", "users:write", "members:write", "settings:write", "messages:send",
}  # fmt: skip
ALL: Final = _MANAGER | {
    "users:delete", "roles:write", "write-keys:read", "write-keys:write", "admin-keys:read", "admin-keys:write",
    "secrets:read", "secrets:write", "quotas:write", "audit:read", "audit:write", "workspace:write", "workspace:delete",
}  # fmt: skip

ADMIN: Final = "Admin"
ROLES: Final = {"Viewer": _VIEWER, "Author": _AUTHOR, "WorkspaceManager": _MANAGER, ADMIN: ALL}


def allowed(role: str, own: Iterable[str] | None) -> frozenset[str]:
    """What a role may do. `own` are the permissions of a workspace's own role; a role that is gone may do nothing."""
    return ROLES.get(role) or frozenset(own or ()) & ALL


def require(held: frozenset[str], wanted: str) -> None:
    """Raises Forbidden, naming the permission that is missing."""
    if wanted not in held:
        raise Forbidden(f"this needs the permission {wanted}", permission=wanted)


def check(names: Iterable[str]) -> list[str]:
    """The permissions, sorted, once each.

    Raises Invalid, naming those that do not exist.
    """
    wanted = set(names)
    if unknown := sorted(wanted - ALL):
        raise Invalid(f"permissions: there is no {', '.join(unknown)}")
    return sorted(wanted)


def check_grantable(held: frozenset[str], wanted: Iterable[str]) -> None:
    """Nobody hands out more than they have. Raises Forbidden, naming what is missing."""
    if missing := sorted(set(wanted) - held):
        raise Forbidden(f"you cannot give what you do not have: {', '.join(missing)}")
