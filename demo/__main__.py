"""`make demo`: three shops, real clients, a real mail server, and a table that must add up."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from demo import clients
from demo.mailserver import MailServer
from demo.shop import Shop
from demo.tenant import Tenant

SHOPS = (("tea", 1, 120), ("coffee", 2, 180), ("cocoa", 3, 150))
_PATIENCE = 90


def main() -> int:
    """Run the demo; 0 when everything that should have happened did."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tenfold-demo-") as directory:
        mail = MailServer()
        mail.start()
        process, url = _serve(Path(directory))
        try:
            faults = _run(url, Path(directory), mail)
        finally:
            process.terminate()
            process.wait(30)
            mail.stop()
    for fault in faults:
        print(f"  ✗ {fault}")
    print(f"{'failed' if faults else 'everything added up'} after {time.monotonic() - started:.0f} s")
    return 1 if faults else 0


def _serve(directory: Path) -> tuple[subprocess.Popen[str], str]:
    print("starting PostgreSQL, ClickHouse, the API and the worker ...", flush=True)
    command = [sys.executable, "-m", "tenfold", "serve", "--data-dir", str(directory), "--port", "0"]
    environment = {**os.environ, "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - ourselves
    line = process.stdout.readline().split() if process.stdout else []
    if line[:1] != ["ready"]:
        raise SystemExit("the server did not start")
    print(f"ready at {line[1]}", flush=True)
    return process, line[1]


def _run(url: str, directory: Path, mail: MailServer) -> list[str]:
    key = (directory / "platform.key").read_text().strip()
    http = httpx.Client(base_url=url, timeout=60)
    tenants = [_tenant(http, key, Shop(*shop), mail) for shop in SHOPS]
    sent_at: dict[tuple[str, str], float] = {}
    counts = {tenant.shop.name: _send(url, tenant, number, sent_at) for number, tenant in enumerate(tenants)}
    expected = sum(_mails(tenant) for tenant in tenants)
    _wait(mail, expected)
    _until_archived(tenants, counts)
    faults = [fault for tenant in tenants for fault in _check(tenant, counts[tenant.shop.name], mail)]
    _table(tenants, counts, mail, sent_at)
    http.close()
    return faults


def _tenant(http: httpx.Client, key: str, shop: Shop, mail: MailServer) -> Tenant:
    answer = http.post("/api/platform/workspaces", json={"name": shop.name}, headers={"authorization": f"Bearer {key}"})
    tenant = Tenant(shop, http, answer.raise_for_status().json())
    tenant.set_up(mail.port)
    print(f"workspace {shop.name:<7} 4 segments, 3 journeys, mail by SMTP", flush=True)
    return tenant


def _send(url: str, tenant: Tenant, number: int, sent_at: dict[tuple[str, str], float]) -> int:
    messages = list(tenant.shop.messages())
    with_node = number == len(SHOPS) - 1 and clients.node_is_there()
    for message in messages:
        if message.get("event") in ("Signed Up", "Order Completed"):
            sent_at.setdefault((message["user"], message["event"]), time.time())
    if with_node:
        clients.with_node(url, tenant.write_key, messages)
    else:
        clients.with_python(url, tenant.write_key, messages)
    name = "@dittofeed/sdk-node" if with_node else "segment-analytics-python"
    print(f"sent      {tenant.shop.name:<7} {len(messages):>5} events with {name}", flush=True)
    return len(messages)


def _mails(tenant: Tenant) -> int:
    shop = tenant.shop
    return shop.customers + len(shop.expected_buyers) + len(shop.expected_regulars)


def _wait(mail: MailServer, expected: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while len(mail.received) < expected and time.monotonic() < deadline:
        if sys.stdout.isatty():
            print(f"\rmails     {len(mail.received):>5} of {expected}", end="", flush=True)
        time.sleep(0.25)
    time.sleep(0.5)
    print("\r" if sys.stdout.isatty() else "", end="")
    print(f"mails     {len(mail.received):>5} of {expected}", flush=True)


def _until_archived(tenants: list[Tenant], counts: dict[str, int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if all(t.events() >= counts[t.shop.name] and t.entered() >= _mails(t) for t in tenants):
            return
        time.sleep(0.25)


def _check(tenant: Tenant, sent: int, mail: MailServer) -> list[str]:
    shop = tenant.shop
    mine = [to for to, _, _ in mail.received if to.startswith(f"{shop.name}-")]
    pairs = {
        "events": (tenant.events(), sent),
        "users": (tenant.users(), shop.customers),
        "buyers": (tenant.size("buyers"), len(shop.expected_buyers)),
        "regulars": (tenant.size("regulars"), len(shop.expected_regulars)),
        "journeys entered": (tenant.entered(), _mails(tenant)),
        "mails received": (len(mine), _mails(tenant)),
        "deliveries shown": (len(tenant.deliveries()), len({(to, s) for to, s, _ in mail.received if to in mine})),
    }
    return [
        f"{shop.name}: {name}: {found}, expected {wanted}" for name, (found, wanted) in pairs.items() if found != wanted
    ]


def _table(
    tenants: list[Tenant], counts: dict[str, int], mail: MailServer, sent_at: dict[tuple[str, str], float]
) -> None:
    print(f"\n{'workspace':<10}{'events':>8}{'users':>7}{'buyers':>8}{'regulars':>10}{'club':>6}{'journeys':>10}"
          f"{'mails':>7}{'p50':>9}{'p99':>9}")  # fmt: skip
    for tenant in tenants:
        name = tenant.shop.name
        mine = [(to, subject, at) for to, subject, at in mail.received if to.startswith(f"{name}-")]
        waits = sorted(
            at - sent_at[to.partition("@")[0], "Signed Up"] for to, subject, at in mine if subject.startswith("Welcome")
        )
        p50, p99 = statistics.median(waits or [0]), (waits or [0])[int(len(waits) * 0.99) - 1]
        print(f"{name:<10}{counts[name]:>8}{tenant.users():>7}{tenant.size('buyers'):>8}{tenant.size('regulars'):>10}"
              f"{tenant.size('club'):>6}{tenant.entered():>10}{len(mine):>7}"
              f"{p50 * 1000:>7.0f}ms{p99 * 1000:>7.0f}ms")  # fmt: skip
    print("p50 and p99: from handing the sign-up to the client until the mail server has the welcome\n")


if __name__ == "__main__":
    sys.exit(main())
