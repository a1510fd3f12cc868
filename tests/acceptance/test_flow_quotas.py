"""Quotas of what flows: users, events and messages of a month, bytes kept. Exact, whoever sends at the same time."""

import asyncio
import datetime as dt
import itertools
from typing import Any

import httpx
import pytest

from tests.world import Owner, World

_IDS = itertools.count()


def message(user: str, **more: Any) -> dict[str, Any]:
    return {"type": "identify", "messageId": f"flow-{next(_IDS)}", "userId": user, "traits": {}, **more}


def batch(owner: Owner, *messages: dict[str, Any]) -> httpx.Response:
    return owner.apps("/batch", {"batch": list(messages)})


def used(owner: Owner, resource: str) -> int:
    return owner.get("/quotas")["usage"][resource]


def test_users_too_many_are_refused_by_name_and_the_others_taken(world: World) -> None:
    alice = world.workspace()
    alice.identify("known")
    alice.settle()
    alice.put("/quotas", maxUsers=3)
    sent = [message(user) for user in ("u1", "known", "u2", "u3", "u1", "u4")]
    answer = batch(alice, *sent)
    assert answer.status_code == 429
    told = answer.json()
    assert told["rejected"] == [sent[3]["messageId"], sent[5]["messageId"]]
    assert (told["code"], told["resource"], told["limit"], told["used"], told["requested"]) == (
        "quota_exceeded",
        "users",
        3,
        3,
        2,
    )
    assert (told["workspaceId"], told["resetsAt"]) == (alice.id, None)
    assert used(alice, "users") == 3, "they count from the answer on"
    alice.settle()
    assert set(alice.users()) == {"known", "u1", "u2"}
    again = batch(alice, *sent)
    assert (again.status_code, again.json()["rejected"]) == (429, told["rejected"])
    alice.settle()
    assert used(alice, "users") == 3
    assert used(alice, "eventsThisMonth") == 5
    assert batch(alice, sent[0], sent[1]).status_code == 204


def test_a_group_is_a_user_too(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxUsers=2)
    joining = {"type": "group", "messageId": "g", "userId": "u", "groupId": "company", "traits": {"size": 1}}
    assert batch(alice, message("other"), joining).json()["rejected"] == ["g"]
    assert batch(alice, message("third")).status_code == 204, "what did not fit whole took no room"
    assert used(alice, "users") == 2


def test_deleted_users_make_room(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxUsers=1)
    alice.identify("first")
    assert batch(alice, message("second")).status_code == 429
    alice.settle()
    assert alice.request("DELETE", "/users", {"userIds": ["first"]}).status_code == 204
    assert used(alice, "users") == 0
    assert batch(alice, message("second")).status_code == 204


def test_subscribing_somebody_unknown_needs_room(world: World) -> None:
    alice = world.workspace()
    group = alice.request("GET", "/subscription-groups").json()[0]["id"]
    alice.put("/quotas", maxUsers=0)
    answer = alice.request(
        "PUT", "/subscription-groups/assignments", {"userUpdates": [{"userId": "u", "changes": {group: True}}]}
    )
    assert answer.status_code == 429
    assert used(alice, "users") == 0


def test_a_single_event_is_refused_like_a_batch(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxUsers=0)
    answer = alice.apps("/track", {"messageId": "only", "userId": "u", "event": "e", "properties": {}})
    assert (answer.status_code, answer.json()["rejected"]) == (429, ["only"])


async def flood(owners: list[Owner], requests: int, users: int) -> list[httpx.Response]:
    url = owners[0].world.server.url
    async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=40), timeout=120) as client:

        async def one(number: int) -> httpx.Response:
            owner = owners[number % len(owners)]
            body = {"batch": [message(f"u{number}-{user}") for user in range(users)]}
            return await client.post("/api/public/apps/batch", json=body, headers={"authorization": owner.write_key})

        return await asyncio.gather(*(one(number) for number in range(requests)))


@pytest.mark.parametrize("limit", [0, 1, 25, 60])
def test_many_at_once_make_exactly_as_many_users_as_allowed(world: World, limit: int) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxUsers=limit)
    answers = asyncio.run(flood([alice], 40, 3))
    rejected = [key for answer in answers if answer.status_code == 429 for key in answer.json()["rejected"]]
    assert len(rejected) == 120 - min(limit, 120)
    alice.settle()
    assert len(alice.users()) == min(limit, 120) == used(alice, "users")


def test_children_share_their_parents_users_and_events(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    children = [world.workspace("child", parentWorkspaceId=parent.id) for _ in range(3)]
    parent.put("/quotas", maxUsers=10, maxEventsPerMonth=13)
    answers = asyncio.run(flood(children, 30, 1))
    assert sum(answer.status_code == 204 for answer in answers) == 10
    told = next(answer.json() for answer in answers if answer.status_code == 429)
    assert (told["workspaceId"], told["limit"], told["used"]) == (parent.id, 10, 10)
    for child in children:
        child.settle()
    present = {user: child for child in children for user in child.users()}
    assert len(present) == 10 == used(parent, "users")
    user, child = next(iter(present.items()))
    answers = [batch(child, message(user)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [204] * 3 + [429] * 2
    assert answers[-1].json()["resource"] == "events"
    for child in children:
        child.settle()
    assert used(parent, "eventsThisMonth") == 13


def test_events_of_a_month(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxEventsPerMonth=4)
    sent = [message(f"u{number}") for number in range(6)]
    answer = batch(alice, *sent)
    told = answer.json()
    assert (answer.status_code, told["rejected"]) == (429, [item["messageId"] for item in sent[4:]])
    assert (told["resource"], told["limit"], told["used"], told["requested"]) == ("events", 4, 4, 2)
    assert alice.now is not None
    first = (alice.now.replace(day=1) + dt.timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert dt.datetime.fromisoformat(told["resetsAt"]) == first
    alice.settle()
    assert used(alice, "eventsThisMonth") == 4
    assert batch(alice, *sent[:4]).status_code == 204, "what came before takes no room"
    alice.settle()
    assert used(alice, "eventsThisMonth") == 4
    alice.pass_time(seconds=(first - alice.now).total_seconds())
    assert used(alice, "eventsThisMonth") == 0
    assert batch(alice, *sent[4:]).status_code == 204
    alice.settle()
    assert used(alice, "eventsThisMonth") == 2


def test_a_limit_counts_what_still_waits_to_be_folded(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxEventsPerMonth=50)
    answers = asyncio.run(flood([alice], 20, 5))
    taken = 100 - sum(len(answer.json()["rejected"]) for answer in answers if answer.status_code == 429)
    assert taken == 50
    alice.settle()
    assert used(alice, "eventsThisMonth") == 50


def test_storage(world: World) -> None:
    alice = world.workspace()
    alice.send(message("u", traits={"text": "x" * 1000}))
    alice.settle()
    kept = used(alice, "storageBytes")
    assert 1000 < kept < 1300
    alice.put("/quotas", maxStorageBytes=kept + 500)
    answer = batch(alice, message("u", traits={"text": "x" * 1000}), message("u", traits={"text": "y"}))
    told = answer.json()
    assert (answer.status_code, told["resource"], len(told["rejected"])) == (429, "storageBytes", 1)
    alice.settle()
    assert kept < used(alice, "storageBytes") < kept + 200
    assert alice.request("DELETE", "/users", {"userIds": ["u"]}).status_code == 204
    assert used(alice, "storageBytes") == 0
    assert batch(alice, message("u", traits={"text": "x" * 1000})).status_code == 204


def greet(owner: Owner, *users: str) -> None:
    for user in users:
        owner.identify(user, email=f"{user}-{owner.id}@x.test")
        owner.track(user, "hi")
    owner.settle()


def stats(owner: Owner) -> Any:
    return owner.get("/journeys/stats")[0]


def mails(owner: Owner) -> int:
    received = owner.world.mailbox.received
    return sum(len(found) for address, found in list(received.items()) if owner.id in address)


def test_messages_over_the_month_wait_until_it_turns(world: World) -> None:
    alice = world.workspace()
    alice.mail_on("hi")
    alice.put("/quotas", maxMessagesPerMonth=2)
    greet(alice, "a", "b", "c", "d", "e")
    assert mails(alice) == 2 == used(alice, "messagesThisMonth")
    shown = stats(alice)
    assert shown["waiting"] == {"QuotaExceeded": 3}
    assert shown["nodeStats"]["send"]["waitingFor"] == {"QuotaExceeded": 3}
    assert alice.now is not None
    first = (alice.now.replace(day=1) + dt.timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    alice.pass_time(seconds=(first - alice.now).total_seconds() + 1)
    assert mails(alice) == 4
    assert (used(alice, "messagesThisMonth"), stats(alice)["waiting"]) == (2, {"QuotaExceeded": 1})


def test_held_messages_go_on_when_the_limit_is_raised(world: World) -> None:
    alice = world.workspace()
    alice.mail_on("hi")
    alice.put("/quotas", maxMessagesPerMonth=1)
    greet(alice, "a", "b", "c")
    assert mails(alice) == 1
    alice.put("/quotas", maxMessagesPerMonth=2)
    alice.settle()
    assert (mails(alice), stats(alice)["waiting"]) == (2, {"QuotaExceeded": 1})
    alice.request("DELETE", "/quotas", None, x="1")
    alice.settle()
    assert (mails(alice), stats(alice)["waiting"]) == (3, {})
    assert used(alice, "messagesThisMonth") == 3


def test_what_is_not_sent_takes_no_room(world: World) -> None:
    """Neither who has no address, nor whom the mail server refuses for good."""
    alice = world.workspace()
    alice.mail_on("hi")
    alice.put("/quotas", maxMessagesPerMonth=1)
    alice.track("nobody", "hi")
    alice.identify("refused", email=f"refused-{alice.id}@refuse.test")
    world.mailbox.refuse[f"refused-{alice.id}@refuse.test"] = "550 nobody of that name"
    alice.track("refused", "hi")
    alice.settle()
    assert (mails(alice), used(alice, "messagesThisMonth")) == (0, 0)
    greet(alice, "a")
    assert (mails(alice), used(alice, "messagesThisMonth")) == (1, 1)


def test_children_share_their_parents_messages(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    children = [world.workspace("child", parentWorkspaceId=parent.id) for _ in range(2)]
    parent.put("/quotas", maxMessagesPerMonth=3)
    for child in children:
        child.mail_on("hi")
        greet(child, "a", "b")
    assert sum(map(mails, children)) == 3 == used(parent, "messagesThisMonth")


@pytest.mark.parametrize(
    "field", ["maxUsers", "maxStorageBytes", "maxMessagesPerMonth", "maxBroadcasts", "maxEventsPerMonth"]
)
def test_every_limit_can_be_set_and_read(world: World, field: str) -> None:
    alice = world.workspace()
    assert alice.put("/quotas", **{field: 7})[field] == 7
    shown = alice.get("/quotas")
    assert shown["quota"][field] == 7
    assert set(shown["usage"]) == {
        "users", "segments", "journeys", "templates", "storageBytes", "messagesThisMonth", "members", "broadcasts", "eventsThisMonth",
    }  # fmt: skip
    assert shown["resetsAt"].endswith("-01T00:00:00.000Z")
