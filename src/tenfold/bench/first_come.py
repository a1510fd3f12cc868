"""`tenfold serve` as it would be without turns: connections go to whoever comes first. Only benchmarks start it."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from tenfold import wiring
from tenfold.kit import settings
from tenfold.server import serve
from tenfold.tenancy.gate import OURS, Gate


class FirstCome(Gate):
    """All in one lane."""

    @asynccontextmanager
    async def place(self, lane: UUID, weight: float) -> AsyncGenerator[None]:
        del lane, weight
        async with super().place(OURS, 1.0):
            yield


def main(data_dir: Path) -> None:
    wiring.Gate = FirstCome
    with wiring.installation(settings.load(data_dir)) as found:
        serve(found, "127.0.0.1", 0, "all", lambda url: print(f"ready {url}", flush=True))  # noqa: T201 - as the command


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--data-dir") + 1]))
