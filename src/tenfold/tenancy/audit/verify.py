"""Checking an exported audit log, offline: nothing edited, removed, moved, added or cut off.

An export is JSON lines: entries in order, among them the checkpoints signed at the time, at the end a last one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenfold.kit.errors import AppError
from tenfold.tenancy.audit.chain import Checkpoint, entry_hash, genesis, is_signed


class Broken(AppError):
    """The log is not what was written."""

    code = "audit_broken"


@dataclass(frozen=True, slots=True)
class Proof:
    """What an export has been shown to be."""

    workspace_id: str
    entries: int
    first: int
    last: int
    key: str
    until: str


@dataclass(slots=True)
class _Reader:
    """Where the check stands."""

    trusted: str | None
    key: str = ""
    workspace_id: str = ""
    first: int = 0
    first_hash: str = ""
    sequence: int = 0
    hash: str = ""
    entries: int = 0
    last: Checkpoint | None = None


def verify(lines: Iterable[str], trusted: str | None = None) -> Proof:
    """The proof of an export. `trusted` is the installation's public key; without it the export's own is taken.

    Raises Broken, naming the line and what is wrong with it.
    """
    reader = _Reader(trusted)
    for number, line in enumerate(lines, 1):
        try:
            _read(reader, json.loads(line, parse_float=Decimal))
        except Broken as error:
            raise Broken(f"line {number}: {error.message}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Broken(f"line {number}: this is no entry of an audit log ({error})") from error
    return _finish(reader)


def _read(reader: _Reader, line: dict[str, Any]) -> None:
    reader.last = None
    if "checkpoint" in line:
        _read_checkpoint(reader, line["checkpoint"])
    else:
        _read_entry(reader, line)


def _read_entry(reader: _Reader, entry: dict[str, Any]) -> None:
    if not reader.entries and not reader.workspace_id:
        reader.workspace_id = entry["workspaceId"]
        reader.first, reader.first_hash = entry["sequence"] - 1, entry["previousHash"]
        reader.sequence, reader.hash = reader.first, reader.first_hash
    if entry["workspaceId"] != reader.workspace_id:
        raise Broken("an entry of another workspace")
    if entry["sequence"] != reader.sequence + 1:
        raise Broken(f"entry {entry['sequence']} follows {reader.sequence}: one was removed, added or moved")
    if entry["previousHash"] != reader.hash:
        raise Broken(f"entry {entry['sequence']} does not follow from the one before: one was replaced")
    if entry_hash(reader.workspace_id, entry) != entry["hash"]:
        raise Broken(f"entry {entry['sequence']} was edited")
    reader.sequence, reader.hash, reader.entries = entry["sequence"], entry["hash"], reader.entries + 1


def _read_checkpoint(reader: _Reader, line: dict[str, Any]) -> None:
    point = Checkpoint(
        line["workspaceId"], line["fromSequence"], line["fromHash"], line["sequence"], line["hash"], line["createdAt"]
    )
    reader.key = reader.key or line["publicKey"]
    if (reader.trusted or reader.key) != line["publicKey"]:
        raise Broken("a checkpoint signed with another key")
    if not is_signed(point, line["signature"], line["publicKey"]):
        raise Broken("a checkpoint whose signature is wrong")
    if not reader.entries:
        reader.workspace_id = reader.workspace_id or point.workspace_id
        reader.first, reader.first_hash = point.from_sequence, point.from_hash
        reader.sequence, reader.hash = point.from_sequence, point.from_hash
    if (point.workspace_id, point.sequence, point.hash) != (reader.workspace_id, reader.sequence, reader.hash):
        raise Broken(f"the checkpoint says entry {point.sequence} ends the log here: entries were cut off or replaced")
    reader.last = point


def _finish(reader: _Reader) -> Proof:
    point = reader.last
    if point is None:
        raise Broken("the log does not end with a checkpoint: its end was cut off")
    begins = (point.from_sequence, point.from_hash)
    if begins != (reader.first, reader.first_hash):
        raise Broken(f"the log begins at entry {reader.first + 1}, not {begins[0] + 1}: its beginning was cut off")
    if begins[0] == 0 and begins[1] != genesis(reader.workspace_id):
        raise Broken("the log does not begin where this workspace's does")
    first, last = reader.first + 1, reader.sequence
    return Proof(reader.workspace_id, reader.entries, first, last, reader.key, point.created_at)
