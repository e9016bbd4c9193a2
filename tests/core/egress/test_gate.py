"""The gate as a process: what is inside reaches it and nothing else, and without it nothing leaves."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.egress.sites import SECRET, allow, drained, needed

from blastwall.egress import CA_FILE, PORT, Gate
from blastwall.egress import gate as gates
from blastwall.errors import BackendError
from blastwall.values import Credential, Destination, Source

SENDER = Path(__file__).with_name("_sender.py")
CREDENTIAL = Credential("api", Source.ENV, ("EGRESS_TEST_SECRET",), ("api.test",), "API_TOKEN")


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("EGRESS_TEST_SECRET", SECRET)


@pytest.fixture
def opened(authority):
    """Makes gates, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(*destinations, credentials=(), record=None, **options):
            decisions: list = []
            gate = Gate(destinations, credentials, record or decisions.append, roots=authority.pem, **options)
            stack.callback(gate.close)
            return gate, decisions

        yield make


def listening(gate):
    """Give the port of a listener of this process that the gate serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.socket(fileno=gate.listener()) as line:
            socket.send_fds(line, [b"x"], [listener.fileno()])
        return listener.getsockname()[1]


def ask(port, url):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        host = url.split("/")[2]
        sock.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return drained(sock)


def confined(gate, *command, env=()):
    """Run a command where there is no network but the gate."""
    needed("bwrap")
    line = gate.listener()
    try:
        argv = ["bwrap", "--unshare-all", "--die-with-parent", "--cap-add", "CAP_NET_ADMIN"]
        argv += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
        files = []
        for path, data in gate.files.items():
            out, into = os.pipe()
            threading.Thread(target=_fill, args=(into, data)).start()
            files.append(out)
            argv += ["--ro-bind-data", str(out), path]
        python = [sys.executable, "-I", str(SENDER), str(line)]
        return subprocess.run(
            [*argv, "--", *python, *command],
            pass_fds=[line, *files],
            env={"PATH": os.environ["PATH"], **gate.env, **dict(env)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        os.close(line)
        for descriptor in files:
            os.close(descriptor)


def _fill(descriptor, data):
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def gone(pid, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.02)
    return False


def process_of(gate):
    gate.files  # noqa: B018  # starts it
    return gate._line._process


def test_a_program_inside(opened, site):
    needed("curl")
    gate, decisions = opened(allow("api.test", site), credentials=[CREDENTIAL])
    script = 'curl -sS "$1" -H "Authorization: Bearer $API_TOKEN"; curl -sS http://evil.test/; env'
    done = confined(gate, "sh", "-c", script, "sh", f"http://api.test:{site.port}/a")
    assert f"Bearer {gate.placeholder('api')}" in done.stdout
    assert "evil.test is not an allowed destination" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert site.asked[0].header("authorization") == [f"Bearer {SECRET}"]
    assert [(d.allowed, d.host) for d in decisions if d.method != "CLOSE"] == [
        (True, "api.test"),
        (False, "evil.test"),
    ]


def test_tls_inside_trusts_the_session_s_authority(opened, secure_site):
    needed("curl")
    gate, _ = opened(
        allow("api.test", secure_site), allow("other.test", secure_site), credentials=[CREDENTIAL]
    )
    port = secure_site.port
    code = f"""
        import json, os, urllib.request as u
        request = u.Request("https://api.test:{port}/urllib", headers={{"X-Key": os.environ["API_TOKEN"]}})
        print(u.urlopen(request).read().decode(), flush=True)
        print(u.urlopen("https://other.test:{port}/opaque").read().decode(), flush=True)
        os.execvp("curl", ["curl", "-sS", "https://api.test:{port}/curl"])
    """
    done = confined(gate, sys.executable, "-c", textwrap.dedent(code))
    assert done.stderr == ""
    assert [asked.path for asked in secure_site.asked] == ["/urllib", "/opaque", "/curl"]
    assert secure_site.asked[0].header("x-key") == [SECRET]


@pytest.mark.parametrize("unset", [False, True])
def test_there_is_no_way_around_it(opened, site, unset):
    """With the proxy's variables gone, or ignored: names don't resolve, addresses are not reached."""
    gate, decisions = opened(allow("api.test", site))
    code = f"""
        import os, socket, urllib.request as u
        if {unset}:
            for name in list(os.environ):
                if "proxy" in name.lower():
                    del os.environ[name]
        opener = u.build_opener(u.ProxyHandler({{}}))
        for url in ("http://api.test:{site.port}/", "http://127.0.0.1:{site.port}/", "http://1.1.1.1/"):
            try:
                opener.open(url, timeout=3)
                print("REACHED", url)
            except OSError:
                pass
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                try:
                    sock.connect(("1.1.1.1", 53))
                    print("REACHED", kind)
                except OSError:
                    pass
    """
    done = confined(gate, sys.executable, "-c", textwrap.dedent(code))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert decisions == []
    assert site.connections == 0


def test_names_are_resolved_when_all_rights_are_gone(opened):
    """Nothing that a look-up needs may be imported after that: this Python may be root's own."""
    gate, decisions = opened(Destination("localhost", ports=(80,)), Destination("no.invalid", ports=(80,)))
    port = listening(gate)
    assert b"not of the public internet" in ask(port, "http://localhost/")
    assert b"can't be resolved" in ask(port, "http://no.invalid/")
    assert [d.allowed for d in decisions] == [True, False, True, False]


def test_a_listener_lives_as_long_as_what_sent_it(opened, site):
    gate, _ = opened(allow("api.test", site))
    code = """
        import socket, sys, time
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.socket(fileno=int(sys.argv[1])) as line:
            socket.send_fds(line, [b"x"], [listener.fileno()])
        print(listener.getsockname()[1], flush=True)
        listener.close()
        time.sleep(300)
    """
    line = gate.listener()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(line)], pass_fds=[line], stdout=subprocess.PIPE
    )
    os.close(line)
    with process:
        port = int(process.stdout.readline())
        assert b"200 OK" in ask(port, f"http://api.test:{site.port}/")
        held_open = socket.create_connection(("127.0.0.1", port), timeout=10)
        process.kill()
    with held_open:
        assert drained(held_open) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    assert b"200 OK" in ask(listening(gate), f"http://api.test:{site.port}/")


@pytest.mark.parametrize("what", ["nothing", "datagram", "connected", "everywhere", "two"])
def test_what_is_no_listener_is_not_served(opened, site, what):
    gate, _ = opened(allow("api.test", site))
    with contextlib.ExitStack() as stack:
        sent = []
        if what == "datagram":
            sent.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        elif what == "connected":
            sent += [stack.enter_context(sock) for sock in socket.socketpair()][:1]
        elif what == "everywhere":
            sent.append(stack.enter_context(socket.create_server(("0.0.0.0", 0))))
        elif what == "two":
            sent += [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        line = stack.enter_context(socket.socket(fileno=gate.listener()))
        line.settimeout(10)
        if sent:
            socket.send_fds(line, [b"x"], [sock.fileno() for sock in sent])
        else:
            line.send(b"x")
        assert line.recv(1) == b""  # it hung up
    assert b"200 OK" in ask(listening(gate), f"http://api.test:{site.port}/")


def test_many_sandboxes_share_one_gate_and_its_budget(opened, site):
    gate, _ = opened(allow("api.test", site, upload_kb=1))
    ports = [listening(gate) for _ in range(3)]
    answers = [ask(port, f"http://api.test:{site.port}/{'x' * 400}") for port in ports]
    assert [b"200 OK" in answer for answer in answers] == [True, True, False]


def test_a_record_that_fails_denies(opened, site):
    def record(decision):
        raise RuntimeError("disk full")

    gate, _ = opened(allow("api.test", site), record=record)
    assert b"can't be recorded" in ask(listening(gate), f"http://api.test:{site.port}/")
    assert site.connections == 0


def test_a_record_comes_first(opened, site):
    seen = []
    gate, _ = opened(
        allow("api.test", site), record=lambda decision: seen.append((decision.method, len(site.asked)))
    )
    ask(listening(gate), f"http://api.test:{site.port}/")
    assert seen[0] == ("GET", 0)


def test_when_the_process_is_killed_nothing_leaves(opened, site):
    gate, _ = opened(allow("api.test", site))
    port = listening(gate)
    ask(port, f"http://api.test:{site.port}/")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as kept:
        process_of(gate).kill()
        process_of(gate).wait()
        assert drained(kept) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    for way in (gate.listener, gate.tunnel):
        with pytest.raises(BackendError, match="gone: nothing can leave"):
            way()


def test_when_the_host_is_killed_nothing_is_left(site):
    code = f"""
        import os, socket, sys, time
        from blastwall.egress import Gate
        from blastwall.values import Destination
        gate = Gate([Destination("api.test", ports=({site.port},), addresses=("127.0.0.1",))], [], print)
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.socket(fileno=gate.listener()) as line:
            socket.send_fds(line, [b"x"], [listener.fileno()])
        gate.files
        if os.fork() == 0:
            time.sleep(300)  # holds a copy of everything that the gate's host held
        print(gate._line._process.pid, listener.getsockname()[1], flush=True)
        time.sleep(300)
    """
    group = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        with group:
            pid, port = map(int, group.stdout.readline().split())
            assert b"200 OK" in ask(port, f"http://api.test:{site.port}/")
            group.kill()
        assert gone(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group.pid, signal.SIGKILL)


def test_close_ends_it(opened):
    gate, _ = opened(Destination("api.test"))
    with gate:
        pid = process_of(gate).pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    gate.close()
    for way in (gate.listener, gate.tunnel, lambda: gate.files, gate.__enter__):
        with pytest.raises(BackendError, match="closed"):
            way()


def test_a_gate_that_nobody_used_starts_nothing(opened):
    gate, _ = opened(Destination("api.test"))
    assert gate.env["HTTPS_PROXY"] == f"http://127.0.0.1:{PORT}"
    assert gate._line is None
    gate.close()


def test_it_is_not_usable_in_a_fork(opened):
    gate, _ = opened(Destination("api.test"))
    process_of(gate)
    gate._line._pid += 1
    with pytest.raises(BackendError, match="forked"):
        gate.listener()


def test_what_others_can_see_of_the_process(opened):
    gate, _ = opened(Destination("api.test"), credentials=[CREDENTIAL])
    pid = process_of(gate).pid
    assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    if os.geteuid() == 0:  # it may not be looked into by anybody else
        assert Path(f"/proc/{pid}/environ").read_bytes() == b"LANG=C.UTF-8\0"
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "Groups:\t \n" in status
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0  # not dumpable: the kernel's own
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits


def test_the_environment_inside(opened):
    gate, _ = opened(Destination("api.test"))
    assert gate.env["NO_PROXY"] == gate.env["no_proxy"] == ""
    assert gate.env["https_proxy"] == gate.env["HTTP_PROXY"] == "http://127.0.0.1:3128"
    assert "SSL_CERT_FILE" not in gate.env
    assert gate.files == {}
    gate, _ = opened(
        Destination("api.test"), credentials=[CREDENTIAL, replace(CREDENTIAL, name="b", variable="")]
    )
    assert gate.env["API_TOKEN"] == gate.placeholder("api")
    assert gate.env["SSL_CERT_FILE"] == CA_FILE
    assert SECRET not in repr(dict(gate.env))
    context = ssl.create_default_context(cadata=gate.files[CA_FILE].decode())
    assert context.cert_store_stats()["x509_ca"] == 2
    other, _ = opened(Destination("api.test"), credentials=[CREDENTIAL])
    assert other.placeholder("api") != gate.placeholder("api")


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        (Destination("https://api.test/x"), "is no host"),
        (Destination("api.test:80"), "is no host"),
        (Destination("*"), "is no host"),
        (Destination("*.1.2.3.4"), "is no host"),
        (Destination("a\0.test"), "is no host"),
        (Destination("api.test", ports=()), "port"),
        (Destination("api.test", ports=(0,)), "port"),
        (Destination("api.test", methods=("get",)), "methods"),
        (Destination("api.test", paths=("x",)), "path"),
        (Destination("api.test", paths=("/a/../b",)), "path"),
        (Destination("api.test", addresses=("localhost",)), "address"),
        (Destination("api.test", addresses=("169.254.169.254",)), "address"),
    ],
)
def test_destinations_that_cannot_be(destination, reason):
    with pytest.raises(BackendError, match=reason):
        Gate([destination], [], print)


def test_credentials_that_cannot_be(opened, monkeypatch):
    for wrong, reason in (
        (replace(CREDENTIAL, name="a b"), "no name"),
        (replace(CREDENTIAL, hosts=()), "bound to no host"),
        (replace(CREDENTIAL, hosts=("*",)), "is no host"),
    ):
        with pytest.raises(BackendError, match=reason):
            Gate([], [wrong], print)
    with pytest.raises(BackendError, match="the same name"):
        Gate([], [CREDENTIAL, CREDENTIAL], print)
    monkeypatch.delenv("EGRESS_TEST_SECRET")
    gate, _ = opened(credentials=[CREDENTIAL])
    with pytest.raises(BackendError, match="set the environment variable EGRESS_TEST_SECRET"):
        gate.listener()


def test_a_python_that_cannot_start(opened, monkeypatch):
    gate, _ = opened(Destination("api.test"))
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(BackendError, match="could not be started"):
        gate.listener()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BackendError, match="could not be started: its process ended"):
        gate.listener()


def test_the_host_s_own_roots(monkeypatch, tmp_path, authority):
    bundle = tmp_path / "roots.pem"
    bundle.write_text("A note.\n" + authority.pem.decode() + "Another.\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    gate = Gate([], [], print)
    assert gate._trusted() == authority.pem.decode()
    monkeypatch.setattr(gates, "_BUNDLES", ())
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: type("Paths", (), {"cafile": None}))
    with pytest.raises(BackendError, match="install ca-certificates"):
        gate._trusted()


def test_threads_that_all_want_a_listener(opened, site):
    gate, _ = opened(allow("api.test", site))
    answers = []

    def one():
        answers.append(ask(listening(gate), f"http://api.test:{site.port}/"))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [b"200 OK" in answer for answer in answers] == [True] * 8


def test_closing_from_a_record(opened, site):
    gate, _ = opened(allow("api.test", site), record=lambda decision: gate.close())
    assert ask(listening(gate), f"http://api.test:{site.port}/") == b""
    assert site.asked == []
