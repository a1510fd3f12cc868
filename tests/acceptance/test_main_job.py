"""An event becomes a membership, a membership starts a journey, a mail server receives the message."""

import time
from typing import Any

import pytest

from tests.world import Owner, World

PRO = {"type": "Trait", "path": "plan", "operator": {"type": "Equals", "value": "pro"}}


def bought(**more: Any) -> dict[str, Any]:
    return {"type": "Performed", "event": "Order Completed", "timesOperator": ">=", **more}


def message(node_id: str, template: dict[str, Any], child: str = "ExitNode", **more: Any) -> dict[str, Any]:
    variant = {"type": "Email", "templateId": template["id"]}
    return {"type": "MessageNode", "id": node_id, "variant": variant, "child": child, **more}


def on_segment(segment: dict[str, Any], child: str) -> dict[str, Any]:
    return {"type": "EntryNode", "segment": segment["id"], "child": child}


def on_event(event: str, child: str, **more: Any) -> dict[str, Any]:
    return {"type": "EventEntryNode", "event": event, "child": child, **more}


@pytest.fixture
def alice(world: World) -> Owner:
    owner = world.workspace()
    owner.use_mailbox()
    return owner


def mails(owner: Owner, address: str) -> list[str]:
    return owner.world.mailbox.subjects(address)


def test_an_unmodified_segment_client_reaches_a_mailbox(alice: Owner) -> None:
    from segment.analytics.client import Client

    user = f"ann-{alice.id}"
    pro = alice.segment("pro", PRO)
    mail = alice.mail_template(subject="Welcome {{ user.firstName }}")
    alice.journey("welcome", on_segment(pro, "m"), message("m", mail))
    client = Client(alice.write_key, host=alice.world.server.url, sync_mode=True, max_retries=1)
    client.identify(user, {"email": f"{user}@x.test", "firstName": "Ann", "plan": "pro"})
    client.track(user, "Order Completed", {"total": 12.5})
    alice.settle()
    assert mails(alice, f"{user}@x.test") == ["Welcome Ann"]
    assert alice.properties(user)["email"] == f"{user}@x.test"
    shown = alice.get("/deliveries")["items"]
    assert [(item["userId"], item["status"], item["variant"]["subject"]) for item in shown] == [
        (user, "DFInternalMessageSent", "Welcome Ann")
    ]


def test_workspaces_do_not_see_each_other(alice: Owner, world: World) -> None:
    charlie = world.workspace("charlie")
    for owner in (alice, charlie):
        owner.segment("pro", PRO)
        owner.identify("same-user", plan="pro" if owner is alice else "free", owner=owner.id)
        owner.settle()
    assert [segment["name"] for segment in alice.users()["same-user"]["segments"]] == ["pro"]
    assert charlie.users()["same-user"]["segments"] == []
    for owner in (alice, charlie):
        events = owner.get("/events", userId="same-user")
        assert events["count"] == 1
        assert owner.id in events["events"][0]["traits"]
    answer = world.http.post(
        "/api/admin/users", json={"workspaceId": alice.id}, headers={"authorization": f"Bearer {charlie.admin_key}"}
    )
    assert (answer.status_code, answer.json()) == (401, {"message": "API key not valid"})


def test_the_same_message_twice_counts_once(alice: Owner) -> None:
    twice = alice.segment("twice", bought(times=2))
    once = {"type": "track", "messageId": "order-1", "userId": "ann", "event": "Order Completed"}
    alice.send(once, once)
    alice.settle()
    alice.send(once)
    alice.settle()
    assert alice.members(twice) == set()
    assert alice.get("/events", event="Order Completed")["count"] == 1
    alice.send({**once, "messageId": "order-2"})
    alice.settle()
    assert alice.members(twice) == {"ann"}


def test_a_user_leaves_when_the_window_passes_without_any_event(alice: Owner) -> None:
    recent = alice.segment("recent", bought(withinSeconds=3600))
    alice.track("ann", "Order Completed")
    alice.settle()
    assert alice.members(recent) == {"ann"}
    alice.pass_time(seconds=3600)
    assert alice.members(recent) == {"ann"}
    alice.pass_time(seconds=1)
    assert alice.members(recent) == set()


def test_a_new_definition_knows_the_past(alice: Owner) -> None:
    for number in range(30):
        alice.identify(f"u{number:02}", plan="pro" if number % 3 == 0 else "free", level=number)
        alice.track(f"u{number:02}", "Order Completed", sku="a" if number % 2 else "b")
    alice.settle()
    pro, never = alice.segment("pro", PRO), alice.segment("never", {**bought(times=0, timesOperator="="), "event": "X"})
    both = alice.segment(
        "both",
        {"type": "And", "children": ["1", "2"]},
        {**PRO, "id": "1"},
        {**bought(properties=[{"path": "sku", "operator": {"type": "Equals", "value": "a"}}]), "id": "2"},
    )
    alice.put("/user-properties", name="level", definition={"type": "Trait", "path": "level"})
    alice.settle()
    assert alice.members(pro) == {f"u{number:02}" for number in range(0, 30, 3)}
    assert alice.members(both) == {f"u{number:02}" for number in range(3, 30, 6)}
    assert len(alice.members(never)) == 30
    assert alice.properties("u07")["level"] == 7
    alice.segment("pro", {**PRO, "path": "level", "operator": {"type": "LessThan", "value": 2}})
    alice.settle()
    assert alice.members(pro) == {"u00", "u01"}


def test_a_journey_delays_waits_and_splits(alice: Owner) -> None:
    mail, reminder = alice.mail_template("hello"), alice.mail_template("again", "Come back {{ user.id }}")
    joined, buyer = alice.segment("joined", PRO), alice.segment("buyer", bought())
    wait = {"type": "WaitForNode", "id": "w", "timeoutSeconds": 86400, "timeoutChild": "s"}
    alice.journey(
        "onboarding",
        on_segment(joined, "m"),
        message("m", mail, "d"),
        {"type": "DelayNode", "id": "d", "variant": {"type": "Second", "seconds": 3600}, "child": "w"},
        {**wait, "segmentChildren": [{"id": "ExitNode", "segmentId": buyer["id"]}]},
        {"type": "SegmentSplitNode", "id": "s", "variant": {
            "type": "Boolean", "segment": joined["id"], "trueChild": "r", "falseChild": "ExitNode"}},
        message("r", reminder),
    )  # fmt: skip
    who = {name: f"{name}-{alice.id}@x.test" for name in ("early", "late", "gone", "idle")}
    for name, address in who.items():
        alice.identify(name, email=address, plan="pro")
    alice.track("early", "Order Completed")
    alice.settle()
    alice.pass_time(hours=2)
    alice.track("late", "Order Completed")
    alice.identify("gone", plan="free")
    alice.settle()
    alice.pass_time(days=2)
    assert {name: len(mails(alice, address)) for name, address in who.items()} == {
        "early": 1, "late": 1, "gone": 1, "idle": 2,
    }  # fmt: skip
    assert mails(alice, who["idle"]) == ["Hello idle", "Come back idle"]


def test_an_event_entry_runs_for_every_event_and_keyed_runs_see_their_key(alice: Owner) -> None:
    mail = alice.mail_template(subject="Order {{ user.orderId }}")
    shipped = {"type": "KeyedPerformed", "event": "Shipped", "key": "orderId"}
    segment = alice.segment("shipped", shipped)
    order_id = {"type": "Performed", "event": "Order Completed", "path": "orderId"}
    alice.put("/user-properties", name="orderId", definition=order_id)
    alice.journey("thanks", on_event("Order Completed", "m"), message("m", mail))
    wait = {"type": "WaitForNode", "id": "w", "timeoutSeconds": 3600, "timeoutChild": "ExitNode"}
    alice.journey(
        "shipping",
        on_event("Order Completed", "w", key="orderId"),
        {**wait, "segmentChildren": [{"id": "m", "segmentId": segment["id"]}]},
        message("m", alice.mail_template("sent", "Sent {{ user.orderId }}")),
    )
    address = f"ann-{alice.id}@x.test"
    alice.identify("ann", email=address)
    alice.track("ann", "Order Completed", orderId="A")
    alice.track("ann", "Order Completed", orderId="B")
    alice.settle()
    assert sorted(mails(alice, address)) == ["Order A", "Order B"]
    alice.track("ann", "Shipped", orderId="B")
    alice.settle()
    assert mails(alice, address)[2:] == ["Sent B"]
    alice.pass_time(hours=2)
    assert len(mails(alice, address)) == 3


def test_publishing_enters_present_members_and_pause_holds_everyone(alice: Owner) -> None:
    mail, pro = alice.mail_template(), alice.segment("pro", PRO)
    address = {name: f"{name}-{alice.id}@x.test" for name in ("before", "during")}
    alice.identify("before", email=address["before"], plan="pro")
    alice.settle()
    delay = {"type": "DelayNode", "id": "d", "variant": {"type": "Second", "seconds": 60}, "child": "m"}
    journey = alice.journey("welcome", on_segment(pro, "d"), delay, message("m", mail))
    alice.settle()
    alice.put("/journeys", id=journey["id"], status="Paused")
    alice.identify("during", email=address["during"], plan="pro")
    alice.settle()
    alice.pass_time(minutes=5)
    assert [mails(alice, item) for item in address.values()] == [[], []]
    alice.put("/journeys", id=journey["id"], status="Running")
    alice.settle()
    assert mails(alice, address["before"]) == ["Hello before"]
    alice.pass_time(minutes=5)
    assert mails(alice, address["during"]) == ["Hello during"]


def test_a_refused_mail_is_a_failure_and_a_busy_server_is_tried_again(alice: Owner) -> None:
    mail, pro = alice.mail_template(), alice.segment("pro", PRO)
    alice.journey("welcome", on_segment(pro, "m"), message("m", mail, retryCount=5))
    never, busy = f"never-{alice.id}@x.test", f"busy-{alice.id}@x.test"
    alice.world.mailbox.refuse = {never: "550 no such user", busy: "451 try later"}
    alice.identify("never", email=never, plan="pro")
    alice.identify("busy", email=busy, plan="pro")
    alice.identify("nobody", plan="pro")
    time.sleep(0.5)
    alice.world.mailbox.refuse.pop(busy)
    alice.settle()
    assert (mails(alice, never), mails(alice, busy)) == ([], ["Hello busy"])
    names = {event["event"] for event in alice.get("/events", userId="never", limit=50)["events"]}
    assert "DFMessageFailure" in names
    skipped = {event["event"] for event in alice.get("/events", userId="nobody", limit=50)["events"]}
    assert "DFMessageSkipped" in skipped


def test_unsubscribed_users_get_nothing(alice: Owner) -> None:
    mail, pro = alice.mail_template(), alice.segment("pro", PRO)
    group = alice.put("/subscription-groups", name="news", type="OptOut", channel="Email")
    alice.journey("welcome", on_segment(pro, "m"), message("m", mail, subscriptionGroupId=group["id"]))
    address = {name: f"{name}-{alice.id}@x.test" for name in ("in", "out")}
    updates = [{"userId": "out", "changes": {group["id"]: False}}]
    alice.put("/subscription-groups/assignments", userUpdates=updates)
    alice.settle()
    for name, mailbox in address.items():
        alice.identify(name, email=mailbox, plan="pro")
    alice.settle()
    assert (mails(alice, address["in"]), mails(alice, address["out"])) == (["Hello in"], [])


def test_deleted_users_leave_nothing_behind(alice: Owner) -> None:
    alice.segment("pro", PRO)
    alice.identify("ann", plan="pro")
    alice.identify("bob", plan="pro")
    alice.settle()
    assert alice.request("DELETE", "/users", {"userIds": ["ann"]}).status_code == 204
    assert set(alice.users()) == {"bob"}
    assert alice.get("/events", userId="ann")["count"] == 0


def test_one_workspaces_bad_template_does_not_hold_up_anothers_mail(alice: Owner, world: World) -> None:
    charlie = world.workspace("charlie")
    charlie.use_mailbox()
    for owner, more in ((charlie, {"from": "a@b.test\nBcc: everyone@x.test"}), (alice, {})):
        pro, mail = owner.segment("pro", PRO), owner.mail_template(**more)
        owner.journey("welcome", on_segment(pro, "m"), message("m", mail))
    for owner in (charlie, alice):
        owner.identify("ann", email=f"ann-{owner.id}@x.test", plan="pro")
    alice.settle()
    charlie.settle()
    assert mails(alice, f"ann-{alice.id}@x.test") == ["Hello ann"]
    assert mails(charlie, f"ann-{charlie.id}@x.test") == []
    assert charlie.get("/events", event="DFMessageFailure")["count"] == 1
