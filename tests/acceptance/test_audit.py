"""The audit log: who did what, who tried, and that nobody can rewrite it afterwards."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tenfold.tenancy.audit.verify import Broken, verify
from tests.world import Owner, World

PRO = {"type": "Trait", "path": "plan", "operator": {"type": "Equals", "value": "pro"}}
Lines = list[dict[str, Any]]


@pytest.fixture
def alice(world: World) -> Owner:
    return world.workspace()


@pytest.fixture
def charlie(world: World) -> Owner:
    return world.workspace("charlie")


@pytest.fixture
def owner(world: World) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as connection:
        yield connection


def entries(someone: Owner, **query: str) -> Lines:
    return someone.get("/audit-log", limit="1000", **query)["events"]


def export(someone: Owner) -> Lines:
    answer = someone.request("GET", "/audit-log/export")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def proof(lines: Lines, key: str | None = None) -> Any:
    return verify([json.dumps(line) for line in lines], key)


def until(found: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value


def test_a_change_is_told_with_before_and_after_and_who_did_it(alice: Owner) -> None:
    segment = alice.segment("pro", PRO)
    answer = alice.request("PUT", "/segments", {"id": segment["id"], "name": "paying"})
    alice.request("DELETE", "/segments", {"id": segment["id"]})
    deleted, renamed, created = entries(alice)[:3]
    assert [entry["action"] for entry in (created, renamed, deleted)] == [
        "segment.created", "segment.updated", "segment.deleted",
    ]  # fmt: skip
    assert created["changes"]["after"]["definition"]["entryNode"]["path"] == "plan"
    assert renamed["changes"] == {"before": {"name": "pro"}, "after": {"name": "paying"}}
    assert deleted["changes"]["before"]["name"] == "paying"
    assert renamed["actor"]["type"] == "admin-key"
    assert renamed["actor"]["name"] == "default-admin-key"
    assert renamed["target"] == {"type": "segment", "id": segment["id"]}
    assert renamed["requestId"] == answer.headers["x-request-id"]
    assert renamed["ip"] == "127.0.0.1"
    assert renamed["outcome"] == "allowed"


def test_what_changes_nothing_leaves_no_entry(alice: Owner) -> None:
    segment = alice.segment("pro", PRO)
    before = len(entries(alice))
    alice.put("/segments", id=segment["id"], name="pro", definition=segment["definition"])
    assert len(entries(alice)) == before


def test_secrets_never_reach_the_log(alice: Owner) -> None:
    config = {"type": "Smtp", "host": "127.0.0.1", "port": "25", "username": "u", "password": "hunter2-secret"}
    alice.put("/settings/email-providers", setDefault=True, config=config)
    made = alice.request("POST", "/admin-keys", {"name": "robot"}).json()
    alice.request("PUT", "/secrets", {"name": "token", "value": "hunter3-secret"})
    text = json.dumps(export(alice))
    for secret in ("hunter2", "hunter3", made["apiKey"], alice.admin_key, alice.write_key.removeprefix("Basic ")):
        assert secret not in text
    changed = [entry["changes"] for entry in entries(alice, action="secret.created")]
    assert all(change["after"]["sealed"] == "***" for change in changed)


def test_reaching_for_another_workspace_is_told_to_that_workspace(alice: Owner, charlie: Owner, world: World) -> None:
    segment = alice.segment("pro", PRO)
    absent = charlie.request("DELETE", "/segments", {"id": str(uuid4())})
    refused = charlie.request("DELETE", "/segments", {"id": segment["id"]})
    assert (refused.status_code, refused.content) == (absent.status_code, absent.content)
    headers = {"authorization": f"Bearer {charlie.admin_key}"}
    outside = world.http.get("/api/admin/segments", params={"workspaceId": alice.id}, headers=headers)
    assert outside.status_code == 401
    crossings = until(lambda: (found := entries(alice, action="workspace.crossing")) and len(found) == 2 and found)
    assert crossings, "the crossings were not written down"
    assert {entry["target"]["id"] for entry in crossings} == {segment["id"], alice.id}
    assert {entry["outcome"] for entry in crossings} == {"denied"}
    assert {entry["actor"]["type"] for entry in crossings} == {"admin-key"}
    assert {entry["changes"]["workspace"] for entry in crossings} == {charlie.id}
    assert entries(charlie, action="workspace.crossing") == []


def test_a_parent_at_its_child_is_no_crossing(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    child = world.workspace("child", parentWorkspaceId=parent.id)
    segment = child.segment("pro", PRO)
    headers = {"authorization": f"Bearer {parent.admin_key}"}
    body = {"workspaceId": child.id, "id": segment["id"], "name": "paying"}
    assert world.http.put("/api/admin/segments", json=body, headers=headers).status_code == 200
    time.sleep(0.6)
    assert entries(child, action="workspace.crossing") == []
    assert entries(child, action="segment.updated")[0]["actor"]["type"] == "admin-key"


def test_the_platforms_doings_are_in_the_log_of_the_workspace(alice: Owner, world: World) -> None:
    world.platform("GET", f"/workspaces/{alice.id}")
    world.platform("PUT", f"/workspaces/{alice.id}/status", {"status": "Paused"})
    world.platform("PUT", f"/workspaces/{alice.id}/status", {"status": "Active"})
    time.sleep(1.1)  # so long a status may be remembered
    log = entries(alice)
    paused = [entry for entry in log if entry["changes"].get("after", {}).get("status") == "Paused"]
    assert [entry["actor"]["type"] for entry in paused] == ["platform"]
    assert any(entry["action"] == "platform.request" for entry in log)
    assert log[-1]["actor"]["type"] == "platform"


def test_the_log_is_read_in_pages_and_by_what_is_asked_for(alice: Owner) -> None:
    for number in range(7):
        alice.segment(f"s{number}", PRO)
    page = alice.get("/audit-log", limit="3", action="segment.created")
    assert [entry["changes"]["after"]["name"] for entry in page["events"]] == ["s6", "s5", "s4"]
    rest = alice.get("/audit-log", limit="3", action="segment.created", cursor=page["cursor"])
    assert [entry["changes"]["after"]["name"] for entry in rest["events"]] == ["s3", "s2", "s1"]
    actor = page["events"][0]["actor"]["id"]
    assert len(entries(alice, actorId=actor)) == 7
    assert entries(alice, endDate="2001-01-01T00:00:00Z") == []
    assert entries(alice, startDate="2001-01-01T00:00:00Z", endDate="2999-01-01T00:00:00Z")
    for bad in ({"limit": "0"}, {"cursor": "x"}, {"startDate": "soon"}, {"cursor": "9" * 30}):
        answer = alice.request("GET", "/audit-log", **bad)
        assert answer.status_code == 400, bad
        assert next(iter(bad)) in answer.text


def test_a_hundred_writers_make_one_chain(alice: Owner, world: World) -> None:
    async def write_all() -> None:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=world.server.url, limits=limits, timeout=120) as client:
            await asyncio.gather(*(write(client, number) for number in range(100)))

    async def write(client: httpx.AsyncClient, number: int) -> None:
        headers = {"authorization": f"Bearer {alice.admin_key}"}
        for turn in range(3):
            body = {"workspaceId": alice.id, "name": f"s{number}-{turn}", "type": "OptIn", "channel": "Email"}
            answer = await client.put("/api/admin/subscription-groups", json=body, headers=headers)
            assert answer.status_code == 200, answer.text

    asyncio.run(write_all())
    lines = export(alice)
    made = [line for line in lines if line.get("action") == "subscription-group.created"]
    assert len({line["changes"]["after"]["name"] for line in made if line["actor"]["type"] == "admin-key"}) == 300
    assert proof(lines).first == 1
    sequences = [line["sequence"] for line in lines if "sequence" in line]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len({line["previousHash"] for line in lines if "previousHash" in line}) == len(sequences)


def edited(lines: Lines) -> None:
    lines[2]["actor"]["name"] = "somebody else"


def edited_changes(lines: Lines) -> None:
    lines[3]["changes"]["more"] = 1


def rehashed(lines: Lines) -> None:
    """An edit by somebody who can compute hashes, as far as the next checkpoint."""
    from tenfold.tenancy.audit.chain import entry_hash

    lines[2]["outcome"] = "denied"
    for line in lines[2:]:
        if "checkpoint" not in line:
            line["hash"] = entry_hash(line["workspaceId"], line)
            following = lines[lines.index(line) + 1]
            following["previousHash" if "previousHash" in following else "ignored"] = line["hash"]


def removed(lines: Lines) -> None:
    del lines[4]


def moved(lines: Lines) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def inserted(lines: Lines) -> None:
    lines.insert(3, dict(lines[3]))


def cut_at_the_end(lines: Lines) -> None:
    del lines[-2:]


def cut_before_the_checkpoint(lines: Lines) -> None:
    del lines[max(place for place, line in enumerate(lines) if "sequence" in line)]


def cut_at_the_beginning(lines: Lines) -> None:
    del lines[0]


def of_another_workspace(lines: Lines) -> None:
    lines[2]["workspaceId"] = str(uuid4())


def checkpoint_edited(lines: Lines) -> None:
    lines[-1]["checkpoint"]["createdAt"] = "2001-01-01T00:00:00.000Z"


def signature_gone(lines: Lines) -> None:
    lines[-1]["checkpoint"]["signature"] = ""


def emptied(lines: Lines) -> None:
    lines.clear()


TAMPERINGS = [
    edited, edited_changes, rehashed, removed, moved, inserted, cut_at_the_end, cut_before_the_checkpoint,
    cut_at_the_beginning, of_another_workspace, checkpoint_edited, signature_gone, emptied,
]  # fmt: skip


@pytest.fixture(scope="module")
def exported(server: Any, mailbox: Any) -> Lines:
    world = World(server, mailbox)
    lines = export(world.workspace())
    world.close()
    return lines


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_an_export_that_was_tampered_with_is_found_out(exported: Lines, tamper: Callable[[Lines], None]) -> None:
    assert proof(exported).entries >= 10
    copy = json.loads(json.dumps(exported))
    tamper(copy)
    with pytest.raises(Broken):
        proof(copy)


def test_the_command_checks_an_export_without_a_database(exported: Lines, world: World, tmp_path: Path) -> None:
    def tenfold(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tenfold", "audit", *words], capture_output=True, text=True, check=False
        )

    file = tmp_path / "audit.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in exported))
    key = tenfold("key", "--data-dir", str(world.server.directory)).stdout.strip()
    good = tenfold("verify", str(file), "--key", key)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("ok: workspace ")
    assert key in tenfold("verify", str(file)).stdout
    wrong = tenfold("verify", str(file), "--key", "ab" * 32)
    assert wrong.returncode == 1
    assert "another key" in wrong.stderr
    file.write_text(file.read_text().replace('"allowed"', '"denied"', 1))
    broken = tenfold("verify", str(file), "--key", key)
    assert broken.returncode == 1
    assert broken.stderr == "tenfold: line 1: entry 1 was edited\n"
    assert tenfold("verify", str(tmp_path / "absent")).returncode == 1


def test_somebody_who_owns_the_database_cannot_rewrite_what_was_signed(
    alice: Owner, owner: psycopg.Connection[Any]
) -> None:
    """They can compute every hash, but have no key for the checkpoint that was signed before."""
    before = export(alice)
    assert any("checkpoint" in line for line in before[:-1])
    with owner.transaction():
        owner.execute("DELETE FROM audit_log WHERE workspace_id = %s AND sequence > 3", (alice.id,))
        owner.execute(
            "UPDATE audit_heads h SET sequence = 3, hash = l.hash FROM audit_log l"
            " WHERE h.workspace_id = %(id)s AND l.workspace_id = %(id)s AND l.sequence = 3",
            {"id": alice.id},
        )
    for number in range(len(before)):
        alice.segment(f"s{number}", PRO)
    with pytest.raises(Broken, match="checkpoint"):
        proof(export(alice))


def test_the_processes_role_can_only_add(alice: Owner, charlie: Owner, world: World) -> None:
    entries(alice)
    with psycopg.connect(world.server.database_url, user="tenfold_app", autocommit=True) as app:
        for statement in (
            "UPDATE audit_log SET action = 'nothing'", "DELETE FROM audit_log", "TRUNCATE audit_log",
            "INSERT INTO audit_log SELECT * FROM audit_log", "DELETE FROM audit_pending", "UPDATE audit_heads SET sequence = 0",
            "INSERT INTO audit_pending (workspace_id) VALUES (gen_random_uuid())", "DELETE FROM audit_checkpoints",
            "ALTER TABLE segments DISABLE TRIGGER audit", "SET session_replication_role = replica",
        ):  # fmt: skip
            assert refused(app, world.server.context(alice.id), statement), statement
        foreign = f"SELECT tenancy.record_audit('{charlie.id}', 'x', 'x', 'x', 'allowed', '{{}}')"
        assert refused(app, world.server.context(alice.id), foreign)
        own = f"SELECT tenancy.record_audit('{alice.id}', 'x', 'x', 'x', 'allowed', '{{}}')"
        assert not refused(app, world.server.context(alice.id), own)


def refused(app: psycopg.Connection[Any], context: str, statement: str) -> bool:
    try:
        with app.transaction():
            app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (context,))
            app.execute(statement)  # type: ignore[arg-type]
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_old_entries_can_go_and_the_rest_is_still_proved(alice: Owner, owner: psycopg.Connection[Any]) -> None:
    for number in range(5):
        alice.segment(f"s{number}", PRO)
    whole = export(alice)
    alice.put("/settings/access", auditRetentionDays=30)
    export(alice)
    old = "UPDATE audit_log SET occurred_at = now() - interval '31 days' WHERE workspace_id = %s AND sequence <= 4"
    owner.execute(old, (alice.id,))
    with owner.transaction():
        owner.execute(
            "SELECT set_config('app.current_workspace_id', %s, true)", (alice.world.server.context(alice.id),)
        )
        assert owner.execute("SELECT tenancy.trim_audit(%s)", (alice.id,)).fetchone() == (4,)
    kept = export(alice)
    assert proof(kept).first == 5
    assert kept[0] == whole[4]
    del kept[0]
    with pytest.raises(Broken, match="its beginning was cut off"):
        proof(kept)


def test_taking_the_log_out_is_in_the_log(alice: Owner) -> None:
    export(alice)
    assert entries(alice)[0]["action"] == "audit-log.exported"


def test_a_change_that_fails_leaves_no_entry(alice: Owner) -> None:
    alice.segment("pro", PRO)
    before = len(entries(alice))
    taken = alice.request(
        "POST", "/segments", {"name": "pro", "definition": {"entryNode": {"id": "1", **PRO}, "nodes": []}}
    )
    assert taken.status_code == 409
    assert len(entries(alice)) == before
