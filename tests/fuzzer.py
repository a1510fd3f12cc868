"""Probes made by chance from what an attacker may know: ids, keys, cursors and headers, bent in many ways."""

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

from tests.samples import ADMIN_ROUTES, Sample


@dataclass(frozen=True)
class Loot:
    """What the attacker holds: a workspace and key of their own, and ids of the victim's."""

    own: str
    own_key: str
    ids: list[str]
    victim: str
    victim_key: str  # only ever bent, never used as it is
    victim_write_key: str


@dataclass(frozen=True)
class Probe:
    """A request, and what must not come of it."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Findings:
    """What came of the probes."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    leaks: list[str] = field(default_factory=list[str])


def bent_id(dice: random.Random, identity: str) -> str:
    ways: list[Callable[[str], str]] = [
        lambda text: text, str.upper, lambda text: text.replace("-", ""), lambda text: "{" + text + "}", lambda text: text[:-1],
        lambda text: text + "\0", lambda text: "urn:uuid:" + text, lambda text: text + "' OR '1'='1", lambda text: text + ",",
        lambda text: f" {text} ", lambda text: text + "|" + text, lambda text: f"{text},{text}", lambda _: str(uuid4()),
        lambda text: str(UUID(int=UUID(text).int ^ (1 << dice.randrange(128)))), lambda text: text[::-1], lambda _: "*",
        lambda text: base64.b64encode(text.encode()).decode(), lambda _: "null", lambda text: f"..%2f{text}", lambda _: "",
    ]  # fmt: skip
    return dice.choice(ways)(identity)


def bent_key(dice: random.Random, key: str) -> str:
    place = dice.randrange(len(key))
    ways: list[Callable[[str], str]] = [
        lambda text: text[:place] + dice.choice("0123456789abcdef") + text[place + 1 :], lambda text: text[:-1],
        lambda text: text[1:], lambda text: text + "0", lambda text: text + text, lambda text: text[:place] + "%" + text[place:],
        lambda text: text[:place] + "*", lambda _: "%", lambda _: "' OR '1'='1", lambda text: text[:place] + "\\x00" + text[place:],
        lambda text: text[place:] + text[:place], lambda _: "Bearer", lambda text: text[:16],
    ]  # fmt: skip
    made = dice.choice(ways)(key)
    return made if made not in (key, key.upper()) else key[:-1]


def bent_cursor(dice: random.Random, identity: str) -> str:
    fields = {
        "workspaceId": identity,
        "userId": "ann",
        "id": identity,
        "0": identity,
        "sequence": dice.randrange(10**9),
    }
    packed = base64.b64encode(json.dumps(fields).encode()).decode()
    return dice.choice(
        [identity, packed, packed[:-3], str(dice.randrange(-5, 10**12)), "ann", "0", "-1", "1e9", f"ann|{identity}"]
    )


def probes(dice: random.Random, loot: Loot, count: int) -> Iterator[Probe]:
    kinds = [_resource, _workspace, _cursor, _forged_key, _forged_write_key, _session, _platform]
    for _ in range(count):
        yield dice.choice(kinds)(dice, loot)


def _resource(dice: random.Random, loot: Loot) -> Probe:
    """The attacker's own key and workspace, the victim's ids."""
    endpoint, path = dice.choice([route for route in ADMIN_ROUTES if route[0].path != "/audit-log/export"])
    sample = Sample(endpoint, loot.own, bent_id(dice, dice.choice(loot.ids)))
    headers = {"authorization": f"Bearer {loot.own_key}"}
    return _probe("resource", endpoint.method, path, headers, sample.query(), sample.body())


def _workspace(dice: random.Random, loot: Loot) -> Probe:
    """The attacker's own key, the victim's workspace: in the body, the query, a header, or several of them."""
    endpoint, path = dice.choice(ADMIN_ROUTES)
    named = bent_id(dice, loot.victim)
    sample = Sample(endpoint, dice.choice([named, loot.victim, loot.own]), dice.choice(loot.ids))
    headers = {"authorization": f"Bearer {loot.own_key}"}
    headers[dice.choice(["df-workspace-id", "workspace-id", "DF-Workspace-Id", "x-workspace-id"])] = named
    return _probe("workspace", endpoint.method, path, headers, sample.query(), sample.body())


def _cursor(dice: random.Random, loot: Loot) -> Probe:
    cursor = bent_cursor(dice, loot.victim)
    headers = {"authorization": f"Bearer {loot.own_key}"}
    if dice.random() < 0.5:
        body = {"workspaceId": loot.own, "cursor": cursor, "limit": 5, "direction": dice.choice(["after", "before"])}
        return _probe("cursor", "POST", "/api/admin/users", headers, {}, body)
    path = dice.choice(["/api/admin/deliveries", "/api/admin/audit-log", "/api/admin/events"])
    query = {
        "workspaceId": loot.own,
        "cursor": cursor,
        "userId": "ann",
        "limit": "5",
        "segmentFilter": dice.choice(loot.ids),
    }
    return _probe("cursor", "GET", path, headers, query, None)


def _forged_key(dice: random.Random, loot: Loot) -> Probe:
    endpoint, path = dice.choice(ADMIN_ROUTES)
    scheme = dice.choice(["Bearer ", "bearer ", "Basic ", "", "Bearer  ", "Token "])
    headers = {"authorization": scheme + bent_key(dice, loot.victim_key)}
    sample = Sample(endpoint, loot.victim, dice.choice(loot.ids))
    return _probe("admin key", endpoint.method, path, headers, sample.query(), sample.body())


def _forged_write_key(dice: random.Random, loot: Loot) -> Probe:
    identity, value = base64.b64decode(loot.victim_write_key.removeprefix("Basic ")).decode().split(":")
    given = f"{bent_id(dice, identity)}:{bent_key(dice, value)}"
    body = {"batch": [{"type": "identify", "messageId": str(uuid4()), "userId": "ann", "traits": {"owned": True}}]}
    headers = {"authorization": "Basic " + base64.b64encode(given.encode()).decode()}
    return _probe("write key", "POST", "/api/public/apps/batch", headers, {}, body)


def _session(dice: random.Random, loot: Loot) -> Probe:
    """No key at all on the routes of sessions (anonymous mode has one workspace, which is not the victim's)."""
    endpoint, path = dice.choice(ADMIN_ROUTES)
    headers = {"df-workspace-id": bent_id(dice, loot.victim), "cookie": f"session={bent_key(dice, loot.victim_key)}"}
    sample = Sample(endpoint, loot.victim, dice.choice(loot.ids))
    return _probe(
        "session", endpoint.method, path.replace("/api/admin/", "/api/"), headers, sample.query(), sample.body()
    )


def _platform(dice: random.Random, loot: Loot) -> Probe:
    headers = {
        "authorization": dice.choice(
            [f"Bearer {loot.own_key}", f"Bearer {bent_key(dice, loot.victim_key)}", "Bearer x"]
        )
    }
    path = f"/api/platform/workspaces/{quote(bent_id(dice, loot.victim), safe='')}"
    return _probe("platform", dice.choice(["GET", "GET", "PUT"]), path, headers, {}, None)


def _probe(kind: str, method: str, path: str, headers: dict[str, str], query: dict[str, object], body: object) -> Probe:
    words = "&".join(
        f"{name}={quote(str(part))}"
        for name, value in query.items()
        for part in (value if isinstance(value, list) else [value])
    )
    content = b"" if body is None else json.dumps(body).encode()
    sent = {**headers, **({"content-type": "application/json"} if content else {})}
    return Probe(kind, method, f"{path}?{words}" if words else path, sent, content)


async def fire(
    url: str, source: Iterator[Probe], judge: Callable[[Probe, int, bytes], str | None], lanes: int = 12
) -> Findings:
    """Send all probes over a few connections; `judge` says what is wrong with an answer."""
    found = Findings()

    async def lane() -> None:
        connection = _Connection(url)
        for probe in source:
            status, body = await connection.send(probe)
            found.kinds[probe.kind] += 1
            found.statuses[status] += 1
            if leak := judge(probe, status, body):
                found.leaks.append(f"{leak}: {probe} -> {status} {body[:300]!r}")
        await connection.close()

    await asyncio.gather(*(lane() for _ in range(lanes)))
    return found


class _Connection:
    """Just enough of HTTP/1.1 to be fast."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, probe: Probe) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        lines = [f"{probe.method} {probe.path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(probe.body)}"]
        lines += [f"{name}: {_clean(value)}" for name, value in probe.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + probe.body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        body = await _body(reader, head)
        if "connection: close" in head:
            await self.close()
        return status, body

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()
        self._streams = None


async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
    if "transfer-encoding: chunked" in head:
        whole = b""
        while size := int(await reader.readline(), 16):
            whole += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return whole
    length = head.partition("content-length:")[2].split("\r\n", 1)[0].strip()
    return await reader.readexactly(int(length)) if length else b""


def _clean(value: str) -> str:
    return value.replace("\r", "").replace("\n", "").replace("\0", "").strip()
