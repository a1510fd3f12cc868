"""Members of a workspace: invite, change their role, remove. Somebody who may manage members always remains.

A member is known by address. One who was invited joins on the first login with that address, verified.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tenfold.kit.clock import now
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import constant_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.access import permissions, store
from tenfold.tenancy.access.permissions import ADMIN, ROLES
from tenfold.tenancy.scope import Scope

INVITED_FOR = timedelta(days=14)
_LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a workspace. `joined_at` None: invited until `expires_at`."""

    id: UUID
    email: str
    role: str
    name: str | None
    joined_at: Any
    expires_at: Any
    created_at: Any


async def page(scope: Scope) -> list[Member]:
    async with door.workspace(scope) as db:
        return [_member(row) for row in await store.list_members(db, scope.workspace_id)]


async def invite(scope: Scope, email: str, role: str) -> Member:
    """Invite an address, or give the member it has another role.

    Raises Invalid for a bad address or unknown role, Forbidden when the role is more than the caller's own.
    """
    address = clean_address(email)
    async with door.workspace(scope) as db:
        await _check_role(db, scope, role)
        row = await store.insert_member(db, _new(scope, address, role))
        return _member(row) if row else await _change(db, scope, address, role)


async def change_role(scope: Scope, email: str, role: str) -> Member:
    """Raises NotFound for somebody who is no member, Conflict when no Admin would be left."""
    async with door.workspace(scope) as db:
        await _check_role(db, scope, role)
        return await _change(db, scope, clean_address(email), role)


async def remove(scope: Scope, email: str) -> None:
    """Raises NotFound for somebody who is no member, Conflict when no Admin would be left."""
    address = clean_address(email)
    async with door.workspace(scope) as db:
        await _check_target(db, scope, address, leaves_admin=False)
        await store.delete_member(db, scope.workspace_id, address)


async def take_in(scope: Scope, address: str, name: str | None, role: str) -> None:
    """Somebody of the workspace's domain joins; who is a member already stays what they are."""
    async with door.workspace(scope) as db:
        row = {**_new(scope, address, role), "name": name, "expires_at": None, "joined_at": now()}
        await store.insert_member(db, row)


async def accept(scope: Scope, address: str, name: str | None) -> None:
    """An invited person has signed in."""
    async with door.workspace(scope) as db:
        await store.join(db, scope.workspace_id, address, name)


def person_id(address: str) -> UUID:
    """A person has the same id in every workspace."""
    return constant_id(f"person:{address}")


def clean_address(email: str) -> str:
    """The address as it is kept: without white space around, in small letters.

    Raises Invalid for what cannot be an address.
    """
    address = email.strip().lower()
    local, at, domain = address.rpartition("@")
    plain = address.isprintable() and not any(mark in address for mark in " |,;<>\"'")
    if not (local and at and "." in domain and plain and len(address) <= _LONGEST_ADDRESS):
        raise Invalid("email is not an address")
    return address


async def _change(db: Db, scope: Scope, address: str, role: str) -> Member:
    await _check_target(db, scope, address, leaves_admin=role == ADMIN)
    expires_at = now() + INVITED_FOR
    row = await store.update_role(db, scope.workspace_id, address, role=role, expires_at=expires_at)
    if row is None:
        raise NotFound
    return _member(row)


async def _check_role(db: Db, scope: Scope, role: str) -> None:
    own = {row["name"]: row["permissions"] for row in await store.list_roles(db, scope.workspace_id)}
    if role not in ROLES and role not in own:
        raise Invalid(f"role must be one of {', '.join([*ROLES, *own])}")
    permissions.check_grantable(scope.permissions, permissions.allowed(role, own.get(role)))


async def _check_target(db: Db, scope: Scope, address: str, *, leaves_admin: bool) -> None:
    """Whoever is changed must not have more than the caller; and one joined Admin must stay, if there is one."""
    admins = await store.lock_members(db, scope.workspace_id, [ADMIN])
    found = await store.find_member(db, scope.workspace_id, address)
    if found is None:
        raise NotFound
    own = {row["name"]: row["permissions"] for row in await store.list_roles(db, scope.workspace_id)}
    permissions.check_grantable(scope.permissions, permissions.allowed(found["role"], own.get(found["role"])))
    joined = [row["email"] for row in admins if row["joined_at"]]
    if joined == [address] and not leaves_admin:
        raise Conflict("this is the last Admin; make another one first")


def _new(scope: Scope, address: str, role: str) -> Row:
    return {
        "workspace_id": scope.workspace_id,
        "id": person_id(address),
        "email": address,
        "role": role,
        "name": None,
        "invited_by": scope.actor.name or scope.actor.id,
        "expires_at": now() + INVITED_FOR,
        "joined_at": None,
    }


def _member(row: Row) -> Member:
    return Member(**{name: row[name] for name in Member.__dataclass_fields__})
