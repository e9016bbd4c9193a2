"""The same gate with its loop in a thread of this process, where coverage sees it. The tests are the gate's own."""

import asyncio
import contextlib
import threading

import pytest
from tests.core.egress.test_gate import (
    _secret,
    test_a_listener_lives_as_long_as_what_sent_it,
    test_a_record_comes_first,
    test_a_record_that_fails_denies,
    test_closing_from_a_record,
    test_many_sandboxes_share_one_gate_and_its_budget,
    test_threads_that_all_want_a_listener,
    test_what_is_no_listener_is_not_served,
)
from tests.core.egress.test_mux import (
    machine,
    test_a_stream_that_is_given_up,
    test_more_than_a_window_both_ways,
    test_requests_over_a_channel,
    test_what_is_malformed_ends_the_channel,
)

from blastwall.egress import Gate
from blastwall.egress import gate as gates
from blastwall.egress.control import Control
from blastwall.egress.process import _destination, _held
from blastwall.egress.proxy import Limits, Proxy
from blastwall.egress.serve import Service

__all__ = [
    "_secret",
    "machine",
    "test_a_listener_lives_as_long_as_what_sent_it",
    "test_a_record_comes_first",
    "test_a_record_that_fails_denies",
    "test_a_stream_that_is_given_up",
    "test_closing_from_a_record",
    "test_many_sandboxes_share_one_gate_and_its_budget",
    "test_more_than_a_window_both_ways",
    "test_requests_over_a_channel",
    "test_threads_that_all_want_a_listener",
    "test_what_is_malformed_ends_the_channel",
    "test_what_is_no_listener_is_not_served",
]


class Threaded:
    """Looks like the process."""

    def __init__(self, line, config):
        self.line, self.config = line.dup(), config
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()

    async def serve(self):
        with self.line:
            control = Control(self.line)
            proxy = Proxy(
                [_destination(fields) for fields in self.config["destinations"]],
                [_held(fields) for fields in self.config["held"]],
                control.record,
                roots=self.config["roots"],
                limits=Limits(**self.config["limits"]),
            )
            await control.say({"ready": "" if proxy.authority is None else proxy.authority.pem.decode()})
            await Service(proxy).obey(control)
            assert not await control.record(None)  # nobody is there to record it

    def wait(self, timeout=None):
        self.thread.join(timeout)
        assert not self.thread.is_alive()


@pytest.fixture
def opened(authority, monkeypatch):
    monkeypatch.setattr(gates, "_spawned", Threaded)
    with contextlib.ExitStack() as stack:

        def make(*destinations, credentials=(), record=None, **options):
            decisions: list = []
            gate = Gate(destinations, credentials, record or decisions.append, roots=authority.pem, **options)
            stack.callback(gate.close)
            return gate, decisions

        yield make
