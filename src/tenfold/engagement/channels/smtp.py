"""E-mail over SMTP (RFC 5321), with connections kept between messages.

Whether a failed attempt may be repeated depends on where it failed: before the message's end was sent it cannot
have been accepted; after that, without an answer, it may have been.
"""

import contextlib
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any

import aiosmtplib

from tenfold.engagement.channels.model import Email, Outcome, Verdict
from tenfold.kit.clock import monotonic, now

_TIMEOUT = 20
_KEEP_SECONDS = 20
_PERMANENT = 500
_SUBMISSION_TLS = 465


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @staticmethod
    def of(config: dict[str, Any]) -> "SmtpServer | None":
        """From a stored provider configuration; None when it lacks a host or a usable port."""
        port = str(config.get("port") or "25")
        if not config.get("host") or not port.isdigit():
            return None
        return SmtpServer(config["host"], int(port), config.get("username") or None, config.get("password") or None)


class SmtpConnections:
    """Idle connections by server, for one event loop."""

    def __init__(self) -> None:
        self._idle: dict[SmtpServer, list[tuple[float, aiosmtplib.SMTP]]] = {}

    async def send(self, server: SmtpServer, email: Email) -> Outcome:
        """Hand a message to the server; never raises for what the server or the network does."""
        try:
            client = await self._take(server)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _failed(error, Verdict.RETRY)
        outcome = await _transmit(client, email)
        if client.is_connected and outcome.verdict is not Verdict.DOUBTFUL:
            self._idle.setdefault(server, []).append((monotonic() + _KEEP_SECONDS, client))
        else:
            client.close()
        return outcome

    async def close(self) -> None:
        for connections in self._idle.values():
            for _, client in connections:
                with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                    await client.quit()
        self._idle.clear()

    async def _take(self, server: SmtpServer) -> aiosmtplib.SMTP:
        idle = self._idle.get(server, [])
        while idle:
            until, client = idle.pop()
            if client.is_connected and until > monotonic():
                return client
            client.close()
        client = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, timeout=_TIMEOUT, use_tls=server.port == _SUBMISSION_TLS
        )
        await client.connect()
        if server.username:
            await client.login(server.username, server.password or "")
        return client


async def _transmit(client: aiosmtplib.SMTP, email: Email) -> Outcome:
    try:
        content = _mime(email).as_bytes()
    except (ValueError, LookupError) as error:  # a header with a line break, an address that is none
        return _failed(error, Verdict.FAILED)
    try:
        await client.mail(parseaddr(email.sender)[1])
        for address in (email.to, *email.cc, *email.bcc):
            await client.rcpt(parseaddr(address)[1])
    except aiosmtplib.SMTPResponseException as error:
        with contextlib.suppress(aiosmtplib.SMTPException):
            await client.rset()
        return _failed(error, Verdict.FAILED if error.code >= _PERMANENT else Verdict.RETRY)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        return _failed(error, Verdict.FAILED if isinstance(error, ValueError) else Verdict.RETRY)
    try:
        response = await client.data(content)
    except aiosmtplib.SMTPResponseException as error:
        return _failed(error, Verdict.FAILED if error.code >= _PERMANENT else Verdict.RETRY)
    except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
        return _failed(error, Verdict.DOUBTFUL)
    return Outcome(Verdict.SENT, {"messageId": f"<{_message_id(email)}>", "response": response.message[:200]})


def _mime(email: Email) -> EmailMessage:
    message = EmailMessage()
    message["From"] = formataddr((email.name, parseaddr(email.sender)[1])) if email.name else email.sender
    message["To"] = email.to
    message["Subject"] = " ".join(email.subject.split())
    message["Date"] = format_datetime(now())
    message["Message-ID"] = f"<{_message_id(email)}>"
    if email.reply_to:
        message["Reply-To"] = email.reply_to
    if email.cc:
        message["Cc"] = ", ".join(email.cc)
    for name, value in email.headers.items():
        del message[name]
        message[name] = " ".join(value.split())
    message.set_content(email.body, subtype="html")
    return message


def _message_id(email: Email) -> str:
    domain = parseaddr(email.sender)[1].rpartition("@")[2] or "localhost"
    return f"{email.message_id}@{domain}"


def _failed(error: Exception, verdict: Verdict) -> Outcome:
    return Outcome(verdict, {"message": str(error) or type(error).__name__})
