"""Requests made from the router's own table and the wire's schemas, so that a new route is covered without being listed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.http.endpoint import Door, Endpoint, mounts, wire_name
from tenfold.http.wire import WireRoute, table, validator
from tenfold.wiring import ENDPOINTS

GUARDED = (Door.WORKSPACE, Door.SESSION, Door.ADMIN)
ADMIN_ROUTES = [
    (endpoint, path) for endpoint in ENDPOINTS for path in mounts(endpoint) if path.startswith("/api/admin/")
]
TELLING = ("name", "type", "channel", "status")  # optional by the schema, and without them little happens
NAMES = {"email": "someone@x.test", "role": "Viewer", "limit": 1, "startDate": 0, "endDate": 4102444800000}


@dataclass(frozen=True)
class Sample:
    """A request that passes the route's schema. `own` is the caller's workspace, `identity` the id it names elsewhere."""

    endpoint: Endpoint
    own: str
    identity: str

    @property
    def route(self) -> WireRoute:
        return table().get(wire_name(self.endpoint), WireRoute())

    def body(self) -> Any:
        return self._make(self.route.body, "") if self.route.body is not None else None

    def query(self) -> dict[str, Any]:
        made = self._make(self.route.query, "") if self.route.query is not None else {}
        return {**made, "workspaceId": self.own}

    def path(self, mounted: str) -> str:
        return mounted.replace("{workspace_id:str}", self.identity)

    def _make(self, schema: Mapping[str, Any], name: str) -> Any:
        if "$ref" in schema:
            return self._make(validator()._schemas[schema["$ref"].rpartition("/")[2]], name)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if "anyOf" in schema:
            options = [option for option in schema["anyOf"] if option.get("type") != "null"]
            return self._make((options or schema["anyOf"])[0], name)
        if "allOf" in schema:
            parts = [self._make(part, name) for part in schema["allOf"]]
            return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
        return self._plain(schema, name)

    def _plain(self, schema: Mapping[str, Any], name: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else None)
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return [self._make(schema.get("items", {}), name.removesuffix("s"))]
        if kind == "string":
            return self._text(schema, name)
        return {"number": 1, "integer": 1, "boolean": True, None: {}}.get(kind)

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        wanted = [name for name in schema.get("properties", {}) if name in required or _is_id(name) or name in TELLING]
        return {name: self._make(schema["properties"][name], name) for name in wanted}

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        if name == "workspaceId":
            return self.own
        if _is_id(name) or schema.get("format") == "uuid":
            return self.identity
        return str(NAMES.get(name, f"sample {name} {self.identity}"))


def _is_id(name: str) -> bool:
    return name in ("id", "ids") or name.endswith(("Id", "Ids"))
