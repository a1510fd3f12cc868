"""The isolation rules, checked against the database itself: at every start, by `tenfold doctor` and in tests."""

from dataclasses import dataclass
from typing import Any

import psycopg

from tenfold.tenancy.catalogue_store import RULES


@dataclass(frozen=True, slots=True)
class Fault:
    """A breach: which rule, of what, and how."""

    rule: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject} {self.text}"


def faults(connection: psycopg.Connection[Any]) -> list[Fault]:
    """Every breach of the rules; none in a sound installation. Takes some milliseconds, whatever the data.

    `connection` is the owner's: other roles do not see all of the catalogue.
    """
    found: list[Fault] = []
    for rule, statement in RULES.items():
        found += [Fault(rule, row[0], row[1]) for row in connection.execute(statement).fetchall()]
    return found
