"""A real SMTP server that keeps what it receives."""

import email
import socket
import threading
import time
from collections import defaultdict
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class Mailbox:
    """Mails by recipient. `refuse` answers for a recipient with an error instead."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.received: dict[str, list[EmailMessage]] = defaultdict(list)
        self.times: dict[str, float] = {}
        self.refuse: dict[str, str] = {}
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message = email.message_from_bytes(envelope.content, policy=default)
        with self._lock:
            for address in envelope.rcpt_tos:
                self.received[address].append(message)
                self.times[address] = time.time()
        return "250 OK"

    def subjects(self, address: str) -> list[str]:
        return [str(message["Subject"]) for message in self.received[address]]

    def wait_for(self, address: str, seconds: float = 15) -> None:
        """Return once a mail for this address is there."""
        deadline = time.monotonic() + seconds
        while not self.received[address]:
            assert time.monotonic() < deadline, f"no mail for {address}"
            time.sleep(0.05)

    def message_ids(self) -> list[str]:
        with self._lock:
            return [str(message["Message-ID"]) for messages in self.received.values() for message in messages]
