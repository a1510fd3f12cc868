"""What a process remembers is void after a change, in whatever order lookup and change end."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tenfold.tenancy import memory
from tenfold.tenancy.memory import Memory

ALICE, PARENT, CHARLIE = uuid4(), uuid4(), uuid4()


def looked_up(found: Memory, *, meanwhile: Callable[[Memory], None] = lambda _: None) -> None:
    """Alice's workspace is looked up, and something happens before it is remembered."""
    changes = found.changes
    meanwhile(found)
    found.keep("alice", "as it was", (ALICE, PARENT, None), changes)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [1000.0]
    monkeypatch.setattr(memory, "monotonic", lambda: at[0])
    return at


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        (lambda found: found.forget(ALICE), False),
        (lambda found: found.forget(PARENT), False),
        (lambda found: found.forget(CHARLIE), True),
        (lambda found: found.clear(), False),
    ],
    ids=["her own", "her parent's", "a stranger's", "unknown ones"],
)
def test_a_change_makes_void_what_was_looked_up_before(change: Callable[[Memory], None], stays: bool) -> None:
    after, during, before = Memory(), Memory(), Memory()
    looked_up(after)
    change(after)
    looked_up(during, meanwhile=change)
    change(before)
    looked_up(before)
    assert (after.recall("alice") is not None) == (during.recall("alice") is not None) == stays
    assert before.recall("alice") == "as it was"


def test_unheard_it_holds_for_a_second(clock: list[float]) -> None:
    found = Memory()
    looked_up(found)
    clock[0] += 0.9
    assert found.recall("alice") == "as it was"
    clock[0] += 0.2
    assert found.recall("alice") is None


def test_heard_it_holds_longer_and_no_longer_than_it_is_heard(clock: list[float]) -> None:
    found = Memory()
    found.heard(12)
    looked_up(found)
    clock[0] += 11
    assert found.recall("alice") == "as it was"
    clock[0] += 2
    assert found.recall("alice") is None


def test_too_many_changes_forget_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_KEPT", 3)
    found = Memory()
    looked_up(found)
    for _ in range(4):
        found.forget(uuid4())
    assert found.recall("alice") is None
