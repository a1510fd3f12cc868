"""Templates: make, change, delete, render."""

from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from tenfold.engagement.templates import store
from tenfold.engagement.templates.render import Context, RenderError, render
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import new_id
from tenfold.storage.db import Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope

_UNSET = object()


async def upsert(scope: Scope, wanted: dict[str, Any], *, create_only: bool = False) -> Row:
    """Create or change a template; publishing a definition clears the draft.

    Raises Conflict when the name is taken.
    """
    async with door.workspace(scope) as db:
        before = await store.find(db, scope.workspace_id, wanted.get("id"), wanted["name"])
        if before and create_only:
            raise Conflict(f"a template named {wanted['name']!r} exists already")
        try:
            saved = await store.upsert(db, scope.workspace_id, _row(wanted, before or {}))
        except UniqueViolation as error:
            raise Conflict(f"the name {wanted['name']!r} is taken") from error
        if saved is None:
            raise NotFound
        return saved


async def find_all(scope: Scope, ids: list[UUID] | None, resource_type: str | None) -> list[Row]:
    return await door.read(scope, lambda db: store.list_all(db, scope.workspace_id, ids, resource_type))


async def find(scope: Scope, template_id: UUID) -> Row:
    async with door.workspace(scope) as db:
        row = await store.find(db, scope.workspace_id, template_id, "")
    if row is None:
        raise NotFound
    return row


async def delete(scope: Scope, template_id: UUID) -> None:
    async with door.workspace(scope) as db:
        if await store.delete(db, scope.workspace_id, template_id) is None:
            raise NotFound


def preview(contents: dict[str, Any], context: Context) -> dict[str, Any]:
    """Each content rendered, or the reason why it cannot be."""
    return {name: _previewed(name, content, context) for name, content in contents.items()}


def _previewed(name: str, content: dict[str, Any], context: Context) -> dict[str, str]:
    text = content.get("value", "")
    if not isinstance(text, str):
        return {"type": "Err", "err": "this kind of content cannot be rendered yet"}
    try:
        return {"type": "Ok", "value": render(name, text, context, mjml="mjml" in content or name == "body")}
    except RenderError as error:
        return {"type": "Err", "err": error.message}


def _row(wanted: dict[str, Any], before: Row) -> dict[str, Any]:
    definition = wanted.get("definition")
    draft = wanted.get("draft", _UNSET)
    if definition is not None and not isinstance(definition, dict):
        raise Invalid("definition must be an object")
    kept_draft = None if definition is not None else before.get("draft")
    return {
        "id": wanted.get("id") or before.get("id") or new_id(),
        "name": wanted["name"],
        "definition": definition if definition is not None else before.get("definition"),
        "draft": kept_draft if draft is _UNSET else draft,
        "resource_type": wanted.get("resourceType") or before.get("resource_type") or "Declarative",
    }
