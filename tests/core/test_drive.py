"""The two loops: what they owe to a flow."""

import asyncio

import pytest

from blastwall.drive import arun, run


def drive_blocking(flow, handle):
    return run(flow, handle)


def drive_awaiting(flow, handle):
    async def awaited(effect):
        return handle(effect)

    return asyncio.run(arun(flow, awaited))


@pytest.fixture(params=[drive_blocking, drive_awaiting], ids=["blocking", "awaiting"])
def drive(request):
    return request.param


def test_replies_go_back_and_the_result_comes_out(drive):
    def flow():
        return (yield 1) + (yield 2)

    assert drive(flow(), lambda effect: effect * 10) == 30


def test_what_a_handler_raises_is_the_flow_s_to_decide(drive):
    def flow():
        try:
            yield 1
        except ValueError:
            return (yield 2)

    def handle(effect):
        if effect == 1:
            raise ValueError
        return "recovered"

    assert drive(flow(), handle) == "recovered"


def test_what_the_flow_does_not_catch_comes_out(drive):
    def flow():
        yield 1

    def handle(effect):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        drive(flow(), handle)


def test_a_handler_can_not_smuggle_a_result_out_by_stop_iteration(drive):
    def flow():
        yield 1
        return "honest"

    def handle(effect):
        raise StopIteration("smuggled")

    with pytest.raises(RuntimeError):
        drive(flow(), handle)


def test_an_abandoned_flow_is_closed(drive):
    closed = []

    def flow():
        try:
            yield 1
        finally:
            closed.append(True)

    def handle(effect):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(flow(), handle)
    assert closed == [True]


async def test_a_cancelled_flow_is_closed():
    closed, started = [], asyncio.Event()

    def flow():
        try:
            yield 1
        finally:
            closed.append(True)

    async def handle(effect):
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(arun(flow(), handle))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]
