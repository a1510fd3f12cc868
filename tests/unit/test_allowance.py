"""Which messages of a request fit under limits: whole or not at all, in their order, never one over."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tenfold.engagement.events.allowance import Allowance, Limit, Message, messages_of
from tenfold.engagement.events.model import Event, pack, size_of, sizes_in

ALICE, PARENT = UUID(int=1), UUID(int=2)


def event(key: str, user: str, part: int = 0) -> Event:
    return Event("identify", key, user, "", "", None, {"a": "x" * len(user)}, {}, part)


def message(key: str, *users: str) -> Message:
    return Message(key, tuple(event(key, user, part) for part, user in enumerate(users)))


def test_a_message_that_does_not_fit_leaves_its_room_to_others() -> None:
    allowance = Allowance([Limit("users", ALICE, 5, 3)], known={"k"})
    planned = allowance.plan(
        [message("1", "a"), message("2", "b", "c"), message("3", "k"), message("4", "d"), message("5", "e")]
    )
    assert [item.id for item in planned.accepted] == ["1", "3", "4"]
    assert planned.new_users == ["a", "d"]
    refusal = allowance.refusal(planned)
    assert refusal is not None
    assert refusal.data == {
        "workspaceId": str(ALICE),
        "resource": "users",
        "limit": 5,
        "used": 5,
        "requested": 3,
        "rejected": ["2", "5"],
    }


def test_the_tighter_of_own_and_parents_limit_counts() -> None:
    allowance = Allowance([Limit("events", ALICE, 100, 0), Limit("events", PARENT, 10, 8)])
    planned = allowance.plan([message(str(n), "u") for n in range(5)])
    assert len(planned.accepted) == 2
    refusal = allowance.refusal(planned)
    assert refusal is not None
    assert (refusal.data["workspaceId"], refusal.data["used"]) == (str(PARENT), 10)


def test_what_was_seen_before_takes_no_room_and_makes_nobody() -> None:
    allowance = Allowance([Limit("events", ALICE, 1, 1), Limit("users", ALICE, 1, 1)], seen={"1"})
    planned = allowance.plan([message("1", "gone"), message("2", "u")])
    assert ([item.id for item in planned.accepted], planned.new_users) == (["1"], [])


def test_a_limit_below_what_is_used_says_what_is_used() -> None:
    allowance = Allowance([Limit("users", ALICE, 2, 7)])
    refusal = allowance.refusal(allowance.plan([message("1", "u")]))
    assert refusal is not None
    assert (refusal.data["used"], refusal.message) == (7, "users quota exceeded: 7 of 2 used")


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True), max_size=30),
    st.integers(0, 9),
    st.integers(0, 40),
)
def test_never_over_and_never_refused_with_room(users: list[list[str]], most_users: int, most_events: int) -> None:
    messages = [message(str(number), *found) for number, found in enumerate(users)]
    allowance = Allowance([Limit("users", ALICE, most_users, 0), Limit("events", ALICE, most_events, 0)])
    planned = allowance.plan(messages)
    made = {user for item in planned.accepted for user in item.users}
    assert set(planned.new_users) == made
    assert len(made) <= most_users
    assert sum(len(item.events) for item in planned.accepted) <= most_events
    for item, resource in planned.refused:
        room = {"users": most_users - len(made), "events": most_events - len(planned.events())}[resource]
        wanted = {"users": len(item.users - made), "events": len(item.events)}[resource]
        assert wanted > room


@given(st.lists(st.text(max_size=30), max_size=40))
def test_the_bytes_of_a_request_are_those_of_its_events(users: list[str]) -> None:
    events = [event(str(number), user) for number, user in enumerate(users)]
    assert sizes_in(pack(events), len(events)) == sum(map(size_of, events))
    assert [found.id for found in messages_of(events)] == [str(number) for number in range(len(users))]
