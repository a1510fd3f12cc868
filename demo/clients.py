"""The clients that send: unmodified `segment-analytics-python`, and `@dittofeed/sdk-node` where Node is there."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segment.analytics.client import Client

_NODE = Path(__file__).parent / "node"


def with_python(url: str, write_key: str, messages: Iterable[dict[str, Any]]) -> None:
    """Send with Segment's library; returns when every batch was acknowledged.

    Raises RuntimeError when the library gave up on a batch.
    """
    failures: list[str] = []
    client = Client(
        write_key,
        host=url,
        max_queue_size=100_000,
        upload_size=100,
        on_error=lambda error, _: failures.append(str(error)),
    )
    for message in messages:
        if message["type"] == "identify":
            client.identify(message["user"], message["traits"])
        else:
            client.track(message["user"], message["event"], message["properties"])
    client.shutdown()
    if failures:
        raise RuntimeError(f"the client could not send: {failures[0]}")


def node_is_there() -> bool:
    return shutil.which("node") is not None and (_NODE / "node_modules" / "@dittofeed" / "sdk-node").is_dir()


def with_node(url: str, write_key: str, messages: Iterable[dict[str, Any]]) -> None:
    """Send with Dittofeed's own library in a Node process; returns when all was acknowledged.

    It sends its batches side by side, so they arrive in any order: who somebody is goes ahead of what they do.
    """
    known = list(messages)
    node = shutil.which("node") or "node"
    for ahead in (True, False):
        lines = "\n".join(json.dumps(message) for message in known if (message["type"] == "identify") is ahead)
        command = [node, "send.mjs", url, write_key]
        subprocess.run(command, input=lines, text=True, check=True, cwd=_NODE)  # noqa: S603 - our own script
