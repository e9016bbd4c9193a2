"""The guest's way to the gate: many connections over one port, from an ordinary process on loopback."""

import contextlib
import http.client
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.core.egress.sites import reply, running

from blastwall.egress import Gate
from blastwall.sandbox import vm
from blastwall.sandbox.vm._tunnel import Tunnel
from blastwall.values import Credential, Destination, Source


@pytest.fixture(scope="module")
def site():
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def gate(site):
    place = Destination("api.test", ports=(site.port,), addresses=("127.0.0.1",), upload_kb=1 << 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLASTWALL_TEST_KEY", "real-secret")
        key = Credential("key", Source.ENV, ("BLASTWALL_TEST_KEY",), ("api.test",), variable="API_KEY")
        with Gate([place], [key], lambda _: None) as made:
            yield made


@pytest.fixture
def tunnel(gate):
    """Runs the guest's program here, and gives where it listens."""
    port = gate.tunnel()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        tunnel = Tunnel(port, listening)
        thread = threading.Thread(target=quietly, args=(tunnel.serve,))
        thread.start()
        yield listening.getsockname()[1]
        with socket.socket(fileno=os.dup(port)) as end:
            end.shutdown(socket.SHUT_RDWR)
        thread.join()
    os.close(port)
    tunnel._selector.close()
    for connection in tunnel._connections.values():
        connection.close()


def quietly(serve):
    with pytest.raises((EOFError, BrokenPipeError)):
        serve()


def ask(port, site, body=b"", host="api.test"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", f"http://{host}:{site.port}/", body, {"Host": f"{host}:{site.port}"})
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def test_a_request_and_its_answer(tunnel, site):
    status, body = ask(tunnel, site, b"hello")
    assert (status, json.loads(body)["body"]) == (200, "hello")


def test_much_both_ways_and_many_at_once(tunnel, site, monkeypatch):
    """More than a stream's credit, on more than one."""
    monkeypatch.setattr(site, "answer", lambda handler, asked: reply(handler, asked.body))
    bodies = [os.urandom(1 << 20) for _ in range(4)]
    with ThreadPoolExecutor() as threads:
        assert list(threads.map(lambda body: ask(tunnel, site, body), bodies)) == [
            (200, body) for body in bodies
        ]


def test_what_is_not_allowed_is_refused(tunnel, site):
    assert ask(tunnel, site, host="evil.test")[0] == 403


def test_a_client_that_goes_away(tunnel, site):
    for _ in range(20):
        socket.create_connection(("127.0.0.1", tunnel)).close()
    assert ask(tunnel, site, b"still there")[0] == 200


def test_from_inside_a_machine(site, gate, bare):
    """The gate is reached, through it what is allowed, and nothing else; the real secret never goes in."""
    code = """
import json, os, socket, urllib.request, urllib.error
where = os.environ["WHERE"]
request = urllib.request.Request(f"http://api.test:{where}/", headers={"X-Key": os.environ["API_KEY"]})
answer = json.load(urllib.request.urlopen(request, timeout=30))
print({name.lower(): value for name, value in answer["headers"]}["x-key"])
print(os.environ["API_KEY"].startswith("blastwall-placeholder-"))
try: urllib.request.urlopen(f"http://evil.test:{where}/", timeout=30)
except urllib.error.HTTPError as error: print(error.code)
try: socket.create_connection(("127.0.0.1", int(where)), timeout=5)
except OSError as error: print(error.errno)
try: socket.create_connection(("1.1.1.1", 80), timeout=5)
except OSError as error: print(error.errno)
"""
    with vm.Machine(bare, gate) as machine:
        with machine.start(
            ["python3", "-I", "-c", code], stdin=b"", env={"WHERE": str(site.port)}
        ) as command:
            out, err = command.stdout.read(), command.stderr.read()
    assert err == b"", err.decode()
    key, placeholder, *rest = out.split()
    assert (placeholder, rest) == (b"True", [b"403", b"111", b"101"])
    assert key.startswith(b"blastwall-placeholder-")  # the answer of the site is scrubbed on its way in
    assert site.asked[-1].header("x-key") == ["real-secret"]
