"""A real SMTP server on loopback that notes who received what, and when."""

import email
import socket
import threading
import time
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class MailServer:
    """Start it with `start`; `received` has (recipient, subject, time) of every mail."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.received: list[tuple[str, str, float]] = []
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(envelope.content, policy=default)
        with self._lock:
            self.received += [(to, str(message["Subject"]), time.time()) for to in envelope.rcpt_tos]
        return "250 OK"
