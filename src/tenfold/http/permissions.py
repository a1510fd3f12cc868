"""The one table of permissions: what a caller must hold for each route that a session or an admin key reaches.

A route that is missing here does not start (and fails the tests). `ANYONE` asks for a workspace, and no permission.
"""

from collections.abc import Sequence
from typing import Final

from tenfold.http.endpoint import Door, Endpoint
from tenfold.kit.errors import ConfigurationError
from tenfold.tenancy.access.permissions import ALL

ANYONE: Final = "anyone"
PERMISSIONS: Final = {
    "GET /segments": "segments:read",
    "PUT /segments": "segments:write",
    "POST /segments": "segments:write",
    "PATCH /segments/status": "segments:write",
    "DELETE /segments": "segments:write",
    "DELETE /segments/v2": "segments:write",
    "GET /user-properties": "user-properties:read",
    "PUT /user-properties": "user-properties:write",
    "POST /user-properties": "user-properties:write",
    "PATCH /user-properties/status": "user-properties:write",
    "DELETE /user-properties": "user-properties:write",
    "GET /journeys": "journeys:read",
    "GET /journeys/stats": "journeys:read",
    "PUT /journeys": "journeys:write",
    "POST /journeys": "journeys:write",
    "DELETE /journeys": "journeys:write",
    "DELETE /journeys/v2": "journeys:write",
    "GET /content/templates": "templates:read",
    "PUT /content/templates": "templates:write",
    "POST /content/templates": "templates:write",
    "DELETE /content/templates": "templates:write",
    "DELETE /content/templates/v2": "templates:write",
    "POST /content/templates/render": "templates:read",
    "GET /subscription-groups": "subscription-groups:read",
    "PUT /subscription-groups": "subscription-groups:write",
    "POST /subscription-groups": "subscription-groups:write",
    "PUT /subscription-groups/assignments": "users:write",
    "POST /users": "users:read",
    "POST /users/count": "users:read",
    "DELETE /users": "users:delete",
    "DELETE /users/v2": "users:delete",
    "GET /events": "events:read",
    "GET /events/traits": "events:read",
    "GET /events/properties": "events:read",
    "GET /deliveries": "deliveries:read",
    "GET /deliveries/count": "deliveries:read",
    "PUT /settings/email-providers": "settings:write",
    "PUT /settings/email-providers/default": "settings:write",
    "GET /settings/write-keys": "write-keys:read",
    "PUT /settings/write-keys": "write-keys:write",
    "DELETE /settings/write-keys": "write-keys:write",
    "GET /settings/access": "settings:read",
    "PUT /settings/access": "workspace:write",
    "GET /admin-keys": "admin-keys:read",
    "POST /admin-keys": "admin-keys:write",
    "DELETE /admin-keys": "admin-keys:write",
    "GET /secrets": "secrets:read",
    "PUT /secrets": "secrets:write",
    "DELETE /secrets": "secrets:write",
    "GET /permissions": "members:read",
    "POST /permissions": "members:write",
    "PUT /permissions": "members:write",
    "DELETE /permissions": "members:write",
    "GET /roles": "roles:read",
    "PUT /roles": "roles:write",
    "DELETE /roles": "roles:write",
    "GET /audit-log": "audit:read",
    "GET /audit-log/export": "audit:read",
    "GET /quotas": "quotas:read",
    "PUT /quotas": "quotas:write",
    "DELETE /quotas": "quotas:write",
    "GET /tenant-metrics": "usage:read",
    "GET /alerts": "usage:read",
    "GET /settings/alerts": "settings:read",
    "PUT /settings/alerts": "settings:write",
    "GET /session": ANYONE,
}
_GUARDED: Final = (Door.WORKSPACE, Door.SESSION, Door.ADMIN)


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def permission_of(endpoint: Endpoint) -> str | None:
    """What a route asks for; None behind doors that open no workspace to a person or program.

    Raises ConfigurationError for a route that is missing from the table.
    """
    if endpoint.door not in _GUARDED:
        return None
    wanted = PERMISSIONS.get(name_of(endpoint))
    if wanted is None:
        raise ConfigurationError(f"the route {name_of(endpoint)} has no permission in http/permissions.py")
    return wanted


def disagreements(endpoints: Sequence[Endpoint]) -> list[str]:
    """Where the table and the router differ: routes without a permission, rows without a route or permission."""
    routes = {name_of(endpoint) for endpoint in endpoints if endpoint.door in _GUARDED}
    missing = [f"{route} has no permission" for route in sorted(routes - PERMISSIONS.keys())]
    left = [f"there is no route {route}" for route in sorted(PERMISSIONS.keys() - routes)]
    unknown = [f"{route}: there is no {name}" for route, name in PERMISSIONS.items() if name not in {*ALL, ANYONE}]
    return missing + left + unknown
