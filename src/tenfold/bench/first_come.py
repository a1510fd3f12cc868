"""`tenfold` as it would be without turns: connections go to whoever comes first. Only benchmarks start it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from tenfold import wiring
from tenfold.cli import main
from tenfold.tenancy.gate import OURS, Gate


class FirstCome(Gate):
    """All in one lane."""

    @asynccontextmanager
    async def place(self, lane: UUID, weight: float) -> AsyncGenerator[None]:
        del lane, weight
        async with super().place(OURS, 1.0):
            yield


if __name__ == "__main__":
    wiring.Gate = FirstCome
    main()
