"""People: signing in with a verified address, and where that lets them in."""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from tenfold.kit.errors import Forbidden, QuotaExceeded
from tenfold.storage.db import Row
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.access import identity_store as store
from tenfold.tenancy.access import members, permissions
from tenfold.tenancy.access.sessions import Person
from tenfold.tenancy.audit import log
from tenfold.tenancy.scope import Actor, Scope, Stores

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Claims:
    """What an identity provider says of somebody, after its signature was checked."""

    provider: str
    subject: str
    email: str
    email_verified: bool
    name: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A person's part in a workspace."""

    workspace_id: UUID
    role: str
    permissions: frozenset[str]


async def sign_in(stores: Stores, claims: Claims) -> Person:
    """The person behind the claims, made on their first login.

    They join where they are invited, and the workspaces of their address' domain.

    Raises Forbidden when the provider has not verified the address.
    """
    if not claims.email_verified:
        raise Forbidden("the address is not verified", reason="EmailNotVerified")
    address = members.clean_address(claims.email)
    async with door.identity(stores) as db:
        row = await store.upsert_person(db, members.person_id(address), address, claims.name, claims.picture)
        await store.upsert_account(db, claims.provider, claims.subject, members.person_id(address))
    if row is None:
        raise Forbidden("nobody can sign in with this address")
    person = Person(row["id"], row["email"], row["name"], row["picture"], row["created_at"])
    await _join(stores, person)
    return person


async def known(stores: Stores, claims: Claims) -> Person | None:
    """The person behind the claims if they signed in with this address before."""
    async with door.identity(stores) as db:
        row = await store.find_account(db, claims.provider, claims.subject)
    if row is None or row["email"] != claims.email.strip().lower():
        return None
    return Person(row["id"], row["email"], row["name"], row["picture"], row["created_at"])


async def part(stores: Stores, person: Person, workspace_id: UUID | None) -> Part | None:
    """What a person is in a workspace (None: in the first they joined), by membership there or in its parent."""
    row = await stores.flights.of(("part", person.email, workspace_id), partial(_part, stores, person, workspace_id))
    if row is None:
        return None
    return Part(row["workspace_id"], row["role"], permissions.allowed(row["role"], row["permissions"]))


async def _part(stores: Stores, person: Person, workspace_id: UUID | None) -> Row | None:
    async with door.identity(stores) as db:
        return await store.find_membership(db, person.email, workspace_id)


async def places(stores: Stores, person: Person, after: UUID | None = None) -> list[Row]:
    """A page of the workspaces where a person is a member or invited."""
    async with door.identity(stores) as db:
        return await store.list_memberships(db, person.email, after, _PAGE)


def actor(person: Person) -> Actor:
    return Actor("member", str(person.id), person.email)


async def _join(stores: Stores, person: Person) -> None:
    after: UUID | None = None
    while page := await places(stores, person, after):
        after = page[-1]["workspace_id"]
        for place in page:
            if place["joined_at"] is None and (scope := await _scope(stores, person, place["workspace_id"])):
                await members.accept(scope, person.email, person.name)
    async with door.identity(stores) as db:
        found = await store.find_domain(db, person.email.rpartition("@")[2])
    for place in found:
        if scope := await _scope(stores, person, place["workspace_id"]):
            await _take_in(scope, person, place["role"])


async def _take_in(scope: Scope, person: Person, role: str) -> None:
    """Join a workspace of one's domain; one that is full keeps nobody from signing in."""
    try:
        await members.take_in(scope, person.email, person.name, role)
    except QuotaExceeded as error:
        target = ("member", str(person.id))
        await log.record(scope, "member.refused", target, allowed=False, changes={"reason": error.message})


async def _scope(stores: Stores, person: Person, workspace_id: UUID) -> Scope | None:
    workspace = await workspaces.find(stores, workspace_id)
    return workspace and Scope(stores, workspace, actor(person))
