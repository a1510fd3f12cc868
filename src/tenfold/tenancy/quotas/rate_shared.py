"""Requests per minute of all processes together: the same GCRA as in `rate`, its numbers in Redis, one round trip.

While Redis is away each process limits by itself, and asks again a second later: requests go on, at most as many times
more as there are processes.
"""

import math
from collections.abc import Iterable
from typing import Any, Final

from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Unavailable
from tenfold.kit.logs import get
from tenfold.storage.redis import SharedMemory
from tenfold.tenancy.quotas.rate import WINDOW, Limiter, RequestLimit, Verdict, admitted, decide, strictest

_log = get("rate")
_ASK_AGAIN_SECONDS = 1.0
_MICRO: Final = 1_000_000
# Microseconds. For each key: 1 and the wait when it is one too many, else 0 and when the workspace will be empty again.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = tonumber(ARGV[1])
local found, after, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local each = tonumber(ARGV[i + 1])
  local empty = math.max(tonumber(redis.call('GET', key) or '0'), now)
  local over = empty + each - now - window
  if over > 1 then
    refused = true
    found[i] = {1, math.ceil(over), math.ceil(empty - now)}
  else
    after[i] = empty + each
    found[i] = {0, 0, math.ceil(after[i] - now)}
  end
end
if not refused then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', after[i]), 'PX', math.ceil((after[i] - now) / 1000) + 1)
  end
end
return found
"""


class SharedLimiter:
    """The requests of all workspaces that have a limit, whichever process they came to."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory, self._script = memory, memory.script(_SCRIPT)
        self._alone = Limiter()
        self._away_until = 0.0

    async def take(self, limits: Iterable[RequestLimit]) -> Verdict | None:
        """As `Limiter.take`."""
        wanted, present = list(limits), monotonic()
        if not wanted:
            return None
        if any(limit.limit == 0 for limit in wanted):
            return strictest([decide(limit, 0.0, present)[0] for limit in wanted])
        if present >= self._away_until:
            try:
                return await self._ask(wanted)
            except Unavailable as error:
                _log.warning("requests are limited by each process alone", error=str(error))
                self._away_until = present + _ASK_AGAIN_SECONDS
        return self._alone.take(wanted, present)

    async def _ask(self, limits: list[RequestLimit]) -> Verdict:
        keys = [_key(limit) for limit in limits]
        steps = [math.ceil(WINDOW * _MICRO / limit.limit) for limit in limits]
        answer: list[Any] = await self._memory.run(self._script, keys, [WINDOW * _MICRO + len(limits), *steps])
        return strictest([_verdict(limit, *found) for limit, found in zip(limits, answer, strict=True)])


def _key(limit: RequestLimit) -> str:
    """The root in braces keeps a family's keys on one node of a cluster."""
    return f"workspace:{{{limit.root_id or limit.workspace_id}}}:{limit.workspace_id}:requests"


def _verdict(limit: RequestLimit, refused: int, wait: int, reset: int) -> Verdict:
    if refused:
        return Verdict(limit, 0, reset / _MICRO, wait=wait / _MICRO)
    return admitted(limit, min(reset / _MICRO, WINDOW))
