"""What a provider is given and what it answers."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    """What became of an attempt."""

    SENT = "sent"
    FAILED = "failed"  # for good
    RETRY = "retry"  # surely not sent; worth another try
    DOUBTFUL = "doubtful"  # may have been sent; must not be tried again


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with what the provider said, in the wire's words (`detail`)."""

    verdict: Verdict
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Email:
    """A rendered e-mail. `message_id` is the platform's own and makes the Message-ID header."""

    message_id: str
    sender: str
    to: str
    subject: str
    body: str
    name: str | None = None
    reply_to: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A rendered webhook. `secret` parts go over the wire but are never recorded."""

    message_id: str
    config: dict[str, Any]
    secret: dict[str, Any] = field(default_factory=dict[str, Any])
