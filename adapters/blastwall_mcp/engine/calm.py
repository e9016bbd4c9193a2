"""Doing something at once, and then not again for a while, however often it is wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

REST_S = 0.5
"""How long nothing is done again. What is wanted meanwhile is done once, at the end of it."""

Thing = TypeVar("Thing", bound=Hashable)


class Calm(Generic[Thing]):
    """Does what is wanted, for each thing at a pace that nobody outside can set."""

    def __init__(self, do: Callable[[Thing], Awaitable[None]]) -> None:
        """Have nothing to do yet."""
        self._do = do
        self._resting: dict[Thing, bool] = {}
        self._doing: set[asyncio.Task[None]] = set()

    async def want(self, thing: Thing) -> None:
        """Do it now, or after the rest."""
        if thing in self._resting:
            self._resting[thing] = True
            return
        self._resting[thing] = False
        asyncio.get_running_loop().call_later(REST_S, self._rested, thing)
        await self._do(thing)

    def later(self, thing: Thing) -> None:
        """Do it as soon as whoever wants it is done."""
        task = asyncio.get_running_loop().create_task(self.want(thing))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def _rested(self, thing: Thing) -> None:
        if self._resting.pop(thing):
            self.later(thing)
