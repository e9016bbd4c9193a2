"""What the gate owes beyond saying no: empty lists, quotas, and credentials that stay outside."""

import base64
import secrets

import pytest
from tests.core.escape.items import item
from tests.core.escape.runner import profile_of
from tests.core.escape.world import PYTHON

from blastwall import sandbox
from blastwall.egress import Gate
from blastwall.sandbox.escape.attacks import BACKENDS
from blastwall.values import Credential, Destination, Source

EVERYWHERE = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
FETCH = """
import json, os, sys, urllib.request, urllib.error
def fetch(url, headers={}, data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return answer.read().decode(errors='replace')
    except OSError as error:
        return f'FAILED {error}'
"""


def gate_to(*hosts, upstream, credentials=(), **options):
    allowed = [
        Destination(host, ports=(upstream.port,), addresses=("127.0.0.1",), **options) for host in hosts
    ]
    return Gate(allowed, credentials, lambda decision: None)


def inside(backend, world, gate, code):
    options = {} if gate is None else {"gate": gate}
    done = sandbox.run([PYTHON, "-I", "-c", FETCH + code], profile_of(backend, world, {}), **options)
    world.settle()
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def url(upstream, host="allowed.test"):
    return f"http://{host}:{upstream.port}/"


@item(85, "take an empty list of places for all of them", "egress")
@EVERYWHERE
def test_an_empty_list_is_no_place(backend, world, upstream):
    """CVE-2025-66479."""
    code = f"print(fetch({url(upstream)!r})[:6])"
    with gate_to(upstream=upstream) as shut:
        assert inside(backend, world, shut, code) == "FAILED\n"
    assert upstream.received == []
    with gate_to("allowed.test", upstream=upstream) as ajar:
        inside(backend, world, ajar, code)
    assert len(upstream.received) == 1


@item(97, "use another sandbox's way out", "egress")
@EVERYWHERE
def test_a_gate_serves_its_own_sandbox(backend, world, upstream, gate):
    """There is no password to steal: the way out is a socket in the sandbox's own network."""
    code = (
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', 3128), 5); print('reached')\n"
        "except OSError as error:\n"
        "    print('unreachable')\n"
    )
    assert inside(backend, world, gate, code) == "reached\n"
    assert inside(backend, world, None, code) == "unreachable\n"


@item(98, "carry everything out to a place that is allowed", "egress")
@EVERYWHERE
def test_an_allowed_place_takes_so_much(backend, world, upstream):
    code = f"print(fetch({url(upstream)!r}, data=b'x' * 2_000_000)[:6])"
    with gate_to("allowed.test", upstream=upstream, upload_kb=64) as small:
        inside(backend, world, small, code)
    assert sum(map(len, upstream.received)) <= 80 << 10
    upstream.received.clear()
    with gate_to("allowed.test", upstream=upstream, upload_kb=4096) as large:
        inside(backend, world, large, code)
    assert sum(map(len, upstream.received)) > 2_000_000


@pytest.fixture
def secret(monkeypatch):
    value = f"real-{secrets.token_hex(16)}"
    monkeypatch.setenv("BLASTWALL_REAL", value)
    return value


def credential():
    return Credential("api", Source.ENV, ("BLASTWALL_REAL",), ("allowed.test",), "API_TOKEN")


def with_token(upstream, host, what="{'Authorization': 'Bearer ' + os.environ['API_TOKEN']}", data="None"):
    return f"print(os.environ['API_TOKEN'], fetch({url(upstream, host)!r}, {what}, {data}))"


@item(99, "send a placeholder to a place that it is not for", "egress")
@EVERYWHERE
def test_a_placeholder_is_one_everywhere_else(backend, world, upstream, secret):
    with gate_to("allowed.test", "second.test", upstream=upstream, credentials=[credential()]) as gate:
        inside(backend, world, gate, with_token(upstream, "second.test"))
        assert secret.encode() not in b"".join(upstream.received)
        inside(backend, world, gate, with_token(upstream, "allowed.test"))
    assert secret.encode() in b"".join(upstream.received)


@item(100, "have the real secret said back", "egress")
@EVERYWHERE
def test_what_comes_back_holds_no_secret(backend, world, upstream, secret):
    """The upstream says back whatever it was sent, in every spelling that it was sent in."""
    with gate_to("allowed.test", upstream=upstream, credentials=[credential()]) as gate:
        seen = inside(backend, world, gate, with_token(upstream, "allowed.test"))
    assert secret.encode() in b"".join(upstream.received)
    assert secret not in seen
    assert base64.b64encode(secret.encode()).decode() not in seen
    assert "authorization" in seen.lower()  # the rest of it came back


@item(101, "have a placeholder replaced where it is kept: in an address, a body, another spelling", "egress")
@EVERYWHERE
def test_a_placeholder_is_replaced_in_headers_alone(backend, world, upstream, secret):
    token = "os.environ['API_TOKEN']"
    code = (
        "import base64\n"
        f"fetch({url(upstream)!r} + '?t=' + {token})\n"
        f"fetch({url(upstream)!r}, data={token}.encode())\n"
        f"fetch({url(upstream)!r}, {{'X-Key': base64.b64encode({token}.encode()).decode()}})\n"
    )
    with gate_to("allowed.test", upstream=upstream, credentials=[credential()]) as gate:
        inside(backend, world, gate, code)
        arrived = b"".join(upstream.received)
        assert secret.encode() not in arrived
        assert base64.b64encode(secret.encode()) not in arrived
        inside(backend, world, gate, with_token(upstream, "allowed.test"))
    assert secret.encode() in b"".join(upstream.received)
