"""Looking for alerts, and telling of each once, by mail to the workspace's Admins and by webhook."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import httpx
import msgspec

from tenfold.engagement.channels.model import Email, Verdict
from tenfold.engagement.channels.smtp import SmtpConnections, SmtpServer
from tenfold.jobs import store as jobs_store
from tenfold.jobs.queue import Job
from tenfold.kit.clock import iso, now
from tenfold.kit.logs import get
from tenfold.kit.settings import MailSettings
from tenfold.platform.alerts import store
from tenfold.platform.alerts.model import AlertSettings, judge
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.quotas.model import effective, month_of
from tenfold.tenancy.scope import BatchScope, Stores

TOPIC: Final = "alert"
_MOST_AT_ONCE = 200
_MOST_TRIES = 10
_TIMEOUT = 10
_log = get("alerts")


class Notice(msgspec.Struct):
    """What is told of: to whom, and how often it was tried."""

    workspace_name: str
    rule: str
    subject: str
    level: int
    message: str
    since: str
    to: list[str] = []
    webhook_url: str | None = None
    tries: int = 0


async def look_once(stores: Stores) -> int:
    """Judge the workspaces that did something lately; always 0, so that the next look is a minute later."""
    async with door.queues(stores) as db:
        ids = sorted(row["workspace_id"] for row in await store.active_workspaces(db))
    for start in range(0, len(ids), _MOST_AT_ONCE):
        part = ids[start : start + _MOST_AT_ONCE]
        async with door.workspace(BatchScope(stores, frozenset(part)), metered=False) as db:
            for row in await store.inputs(db, part):
                await _judge(db, row)
    return 0


async def _judge(db: Db, row: Row) -> None:
    settings = AlertSettings.read(row["settings"] or {})
    limits = effective(row["own"] or {}, row["defaults"] or {}, row["ceiling"] or {})
    found = judge(settings, limits, row["used"], month_of(row["test_now"] or now()), row["lately"])
    workspace: UUID = row["workspace_id"]
    await store.end_others(db, workspace, found)
    for alert in found:
        if await store.note(db, workspace, alert):
            to = await store.admins(db, workspace) if settings.mail else []
            notice = Notice(
                row["name"], alert.rule, alert.subject, alert.level, alert.message, iso(now()), to, settings.webhook_url
            )
            await _enqueue(db, workspace, row["root_id"], notice, None)


async def _enqueue(db: Db, workspace: UUID, lane: UUID | None, notice: Notice, due: datetime | None) -> None:
    await jobs_store.enqueue(db, [workspace], [lane], TOPIC, [msgspec.json.encode(notice)], due)


class Teller:
    """Tells of alerts, by the installation's own mail server if it has one."""

    def __init__(self, mail: MailSettings | None) -> None:
        self._mail, self._smtp = mail, SmtpConnections()
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)

    async def handle(self, scope: BatchScope, db: Db, jobs: list[Job]) -> None:  # noqa: ARG002 - a handler's form
        """Tell of each; what cannot be told now is tried again later, with growing pauses."""
        notices = [msgspec.json.decode(job.payload, type=Notice) for job in jobs]
        left = await asyncio.gather(*(self._tell(job, notice) for job, notice in zip(jobs, notices, strict=True)))
        for job, notice in zip(jobs, left, strict=True):
            if notice is not None and notice.tries < _MOST_TRIES:
                due = datetime.now(UTC) + timedelta(seconds=2**notice.tries * 10)
                await _enqueue(db, job.workspace_id, job.lane, notice, due)

    async def close(self) -> None:
        await self._smtp.close()
        await self._http.aclose()

    async def _tell(self, job: Job, notice: Notice) -> Notice | None:
        """What is still to be told; None when all is."""
        to = [address for address in notice.to if not await self._write(job, notice, address)]
        url = None if notice.webhook_url is None or await self._post(job, notice) else notice.webhook_url
        if not to and url is None:
            return None
        return msgspec.structs.replace(notice, to=to, webhook_url=url, tries=notice.tries + 1)

    async def _write(self, job: Job, notice: Notice, address: str) -> bool:
        if self._mail is None:
            return True
        server = SmtpServer(self._mail.host, self._mail.port, self._mail.username, self._mail.password)
        subject = f"{notice.workspace_name}: {notice.message}"
        body = f"<p>In the workspace <b>{_escaped(notice.workspace_name)}</b> {_escaped(notice.message)}.</p>"
        mail = Email(f"alert-{job.workspace_id}-{job.id}", self._mail.sender, address, subject, body)
        outcome = await self._smtp.send(server, mail)
        return outcome.verdict is not Verdict.RETRY

    async def _post(self, job: Job, notice: Notice) -> bool:
        body = {
            "type": "alert",
            "workspaceId": str(job.workspace_id),
            **{name: getattr(notice, name) for name in ("rule", "subject", "level", "message", "since")},
        }
        try:
            answer = await self._http.post(notice.webhook_url or "", json=body)
        except httpx.HTTPError as error:
            _log.warning("an alert's webhook does not answer", workspace=str(job.workspace_id), error=str(error))
            return False
        return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
