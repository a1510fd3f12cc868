"""The isolation rules, checked against the database itself: at every start, by `tenfold doctor` and in tests."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from tenfold.tenancy import catalogue_store as store

PROBE = UUID("00000000-0000-8000-8000-000000000003")  # no workspace: a name to try contexts with


_SIGNED = "the context is signed"


@dataclass(frozen=True, slots=True)
class Fault:
    """A breach: which rule, of what, and how."""

    rule: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject} {self.text}"


def faults(connection: psycopg.Connection[Any], *, signed: bool = True) -> list[Fault]:
    """Every breach of the rules; none in a sound installation. Takes some milliseconds, whatever the data.

    `connection` is the owner's: other roles do not see all of the catalogue. Without `signed` (the installation is set
    so) contexts need no signature.
    """
    found: list[Fault] = []
    for rule, statement in store.RULES.items():
        if rule == _SIGNED and not signed:
            continue
        found += [Fault(rule, row[0], row[1]) for row in connection.execute(statement).fetchall()]
    return found


def rows_without_context(app: psycopg.Connection[Any]) -> int:
    """How many workspaces the app role sees when nobody said for which it works: none, in a sound installation."""
    row = app.execute(store.ROWS_WITHOUT_CONTEXT).fetchone()
    return row[0] if row else 0


def context_opens(app: psycopg.Connection[Any], setting: str, context: str) -> bool:
    """Whether the database takes a context for the probe's workspace."""
    with app.transaction():
        app.execute(store.SET_CONTEXT, (setting, context))
        row = app.execute(store.WORKSPACES_OF_CONTEXT).fetchone()
    return row is not None and row[0] == [PROBE]


def context_survives(app: psycopg.Connection[Any], setting: str) -> bool:
    """Whether a context is still there once its transaction has ended."""
    with app.transaction():
        app.execute(store.SET_CONTEXT, (setting, "left behind"))
    row = app.execute(store.SETTING_NOW, (setting,)).fetchone()
    return row is not None and row[0] == "left behind"


def quota_drift(owner: psycopg.Connection[Any]) -> list[str]:
    """The quota counters that differ from a recount, each as a line; none in a sound installation."""
    rows = owner.execute(store.QUOTA_DRIFT).fetchall()
    return [f"workspace {row[0]} counts {row[2]} {row[1]} and has {row[3]}" for row in rows]


def storage_drift(owner: psycopg.Connection[Any], archived: Mapping[UUID, int]) -> list[str]:
    """The workspaces whose counted bytes differ from those in the archive and on their way there, each as a line."""
    rows = owner.execute(store.STORAGE).fetchall()
    kept: Counter[UUID] = Counter()
    for workspace, parent, _, waiting in rows:
        for holder in (workspace, parent):
            if holder is not None:
                kept[holder] += waiting + archived.get(workspace, 0)
    return [
        f"workspace {row[0]} counts {row[2]} bytes and keeps {kept[row[0]]}" for row in rows if row[2] != kept[row[0]]
    ]
