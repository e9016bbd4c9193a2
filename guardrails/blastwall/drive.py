"""The two loops that run a flow: one that blocks, one that awaits."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, TypeVar

from blastwall.effects import AnyEffect, Flow

R = TypeVar("R")


def run(flow: Flow[R], handle: Callable[[AnyEffect], Any]) -> R:
    """Drive `flow` to its end. What `handle` raises is thrown into the flow, which decides."""
    with closing(flow):
        try:
            effect = next(flow)
            while True:
                try:
                    reply = handle(effect)
                except Exception as error:  # noqa: BLE001
                    effect = flow.throw(error)
                else:
                    effect = flow.send(reply)
        except StopIteration as stop:
            result: R = stop.value
            return result


async def arun(flow: Flow[R], handle: Callable[[AnyEffect], Awaitable[Any]]) -> R:
    """Drive `flow` to its end, awaiting each reply."""
    with closing(flow):
        try:
            effect = next(flow)
            while True:
                try:
                    reply = await handle(effect)
                except Exception as error:  # noqa: BLE001
                    effect = flow.throw(error)
                else:
                    effect = flow.send(reply)
        except StopIteration as stop:
            result: R = stop.value
            return result
