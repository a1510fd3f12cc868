"""Requests per minute, by GCRA (ITU-T I.371): one number per workspace, the time at which it would be empty again.

A workspace that was quiet may send a minute's worth at once; after that its requests are let in evenly. The state is
this process' own: each of several API processes lets in as much (`rate_shared` has one state for all).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tenfold.tenancy.scope import Workspace

WINDOW: Final = 60.0
_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """So many requests a minute of a workspace, its children's among them."""

    workspace_id: UUID
    limit: int
    root_id: UUID | None = None


def limits_of(workspace: Workspace) -> list[RequestLimit]:
    """The limits that a request to a workspace counts against: its own and its parent's."""
    held = ((workspace.workspace_id, workspace.own_requests), (workspace.parent_id, workspace.parents_requests))
    root = workspace.root_id
    return [RequestLimit(holder, limit, root) for holder, limit in held if holder is not None and limit is not None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit says of a request: `remaining` may follow at once, `reset` seconds until all may again.

    `wait` seconds until one more is let in; None: this one is.
    """

    limit: RequestLimit
    remaining: int
    reset: float
    wait: float | None = None


def decide(limit: RequestLimit, empty_at: float, now: float) -> tuple[Verdict, float]:
    """The verdict on one request, and when the workspace would be empty again after it."""
    if limit.limit == 0:
        return Verdict(limit, 0, WINDOW, wait=WINDOW), empty_at
    each = WINDOW / limit.limit
    then = max(empty_at, now) + each
    over = then - now - WINDOW
    if over > each * 1e-6:  # the sum of many steps is off by a little
        return Verdict(limit, 0, empty_at - now, wait=over), empty_at
    return admitted(limit, then - now), then


def admitted(limit: RequestLimit, reset: float) -> Verdict:
    """The verdict on a request that is let in, when the workspace will be empty `reset` seconds after it."""
    each = WINDOW / limit.limit
    return Verdict(limit, int((WINDOW - reset) / each + 1e-6), reset)


class Limiter:
    """The requests of all workspaces that have a limit."""

    def __init__(self) -> None:
        self._empty_at: dict[UUID, float] = {}

    def take(self, limits: Iterable[RequestLimit], now: float) -> Verdict | None:
        """Let one request in under all its limits, or under none. The strictest verdict; None without limits."""
        found: list[Verdict] = []
        after: dict[UUID, float] = {}
        for limit in limits:
            verdict, after[limit.workspace_id] = decide(limit, self._empty_at.get(limit.workspace_id, 0.0), now)
            found.append(verdict)
        if not found:
            return None
        if all(verdict.wait is None for verdict in found):
            self._keep(after, now)
        return strictest(found)

    def _keep(self, after: dict[UUID, float], now: float) -> None:
        if len(self._empty_at) > _KEPT:
            self._empty_at = {key: moment for key, moment in self._empty_at.items() if moment > now}
        self._empty_at.update(after)


def strictest(found: list[Verdict]) -> Verdict:
    """Of the verdicts on one request: the longest wait, or the least that remains."""
    refused = [verdict for verdict in found if verdict.wait is not None]
    if refused:
        return max(refused, key=lambda verdict: verdict.wait or 0)
    return min(found, key=lambda verdict: verdict.remaining)


def headers(verdict: Verdict) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11)."""
    seconds = max(0, round(verdict.wait if verdict.wait is not None else verdict.reset))
    return {
        "RateLimit-Policy": f'"requests";q={verdict.limit.limit};w={int(WINDOW)}',
        "RateLimit": f'"requests";r={verdict.remaining};t={seconds}',
    }
