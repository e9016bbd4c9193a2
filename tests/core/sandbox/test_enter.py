"""The last step into a sandbox: it works, or says that it did not, and nobody else can say so."""

import os
import socket
import stat
import sys
from types import SimpleNamespace

import pytest

from blastwall import sandbox
from blastwall.errors import SandboxUnavailable
from blastwall.sandbox import enter, landlock
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"
PROFILE = Profile("enter", timeout_s=20)


@pytest.fixture(autouse=True)
def _fresh():
    enter.perl.cache_clear()
    yield
    enter.perl.cache_clear()


class Door:
    """The host's side of the way out, as the gate has it: one listener comes through, once."""

    def __init__(self):
        self.env, self.files = {"HTTP_PROXY": "http://127.0.0.1:3128"}, {}
        self.ours, self._theirs = socket.socketpair()
        self.ours.settimeout(10)

    def listener(self):
        return os.dup(self._theirs.fileno())

    def received(self):
        _, descriptors, _, _ = socket.recv_fds(self.ours, 1, 4)
        (found,) = descriptors
        return socket.socket(fileno=found)

    def close(self):
        self.ours.close()
        self._theirs.close()


@pytest.fixture
def door():
    made = Door()
    yield made
    made.close()


TALK = """
import os, socket
found = os.listdir('/proc/self/fd')
print(sorted(int(name) for name in found if os.path.exists(f'/proc/self/fd/{name}')), flush=True)
with socket.create_connection(('127.0.0.1', 3128), 10) as way:
    way.sendall(b'from inside')
    print(way.recv(100).decode())
try:
    socket.create_server(('127.0.0.1', 3128))
    print('took the port')
except OSError:
    pass
"""


def test_a_listener_comes_out_and_connections_come_through_it(door):
    with sandbox.launch([PYTHON, "-c", TALK], PROFILE, stdin=b"", gate=door) as running:
        with door.received() as listener:
            assert listener.getsockname() == ("127.0.0.1", enter.PORT)
            listener.settimeout(10)
            way, _ = listener.accept()
            with way:
                assert way.recv(100) == b"from inside"
                way.sendall(b"from outside")
            lines = running.stdout.read().splitlines()
            running.wait()
    assert lines == [b"[0, 1, 2]", b"from outside"]


def test_the_command_starts_only_after_the_listener_is_there(door):
    """Connecting at once works: what nobody accepts yet waits in the queue."""
    code = "import socket; socket.create_connection(('127.0.0.1', 3128), 5); print('ok')"
    assert sandbox.run([PYTHON, "-c", code], PROFILE, gate=door).stdout == b"ok\n"


def test_a_door_that_is_shut_is_no_sandbox(door):
    door.ours.close()
    with pytest.raises(SandboxUnavailable, match="no sandbox: the last step into it failed; sendmsg"):
        sandbox.run(["true"], PROFILE, gate=door)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["0800000000000000", "1", "1", "/missing"], "/missing"),
        (["ffffffffffffffff", "1", "1", "/"], "landlock_create_ruleset"),
        (["0100000000000000", "1", "2", "/"], "landlock_add_rule /"),
        (["00", "1", "1", "/"], "landlock_create_ruleset"),
    ],
)
def test_a_failing_last_step_is_no_sandbox(words, why, monkeypatch, workspace, profile):
    if not landlock.version():
        pytest.skip("no Landlock")
    monkeypatch.setattr(landlock, "words", lambda writable: words)
    with pytest.raises(SandboxUnavailable, match=f"the last step into it failed; {why}: "):
        sandbox.run(["touch", "ran"], profile)
    assert list(workspace.iterdir()) == []


FORGERIES = [
    "echo 'refused: by me'; echo 'refused: by me' >&2; exit 125",
    "for f in /proc/self/fd/* /proc/[0-9]*/fd/*; do echo 'refused: by me' > $f; done 2>/dev/null; exit 125",
    "for n in 3 4 5 6 7 8 9 10 11 12; do eval \"echo 'refused: by me' >&$n\"; done; exit 125",
    "kill -9 $PPID; kill -9 1; exit 125",
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nobody_else_can_say_that_it_failed(forgery):
    done = sandbox.run(["bash", "-c", forgery], PROFILE)
    assert done.returncode == 125


def test_no_file_of_reports_can_be_reached():
    """Neither by our own descriptors, nor by those of any other process inside."""
    code = (
        "import glob, os\n"
        "for path in glob.glob('/proc/[0-9]*/fd/*'):\n"
        "    try: print(os.readlink(path))\n"
        "    except OSError: pass\n"
    )
    seen = sandbox.run([PYTHON, "-c", code], PROFILE).stdout.decode().splitlines()
    assert seen
    assert not [path for path in seen if "memfd:status" in path or "memfd:arguments" in path]


def test_a_missing_command(workspace, profile):
    for missing in ("no-such-command", "/no/such/command", "./missing"):
        done = sandbox.run([missing], profile)
        assert (done.returncode, done.stdout) == (127, b"")
        assert missing.encode() in done.stderr


def test_a_command_that_is_no_program(workspace, profile):
    (workspace / "text").write_text("not a program")
    (workspace / "text").chmod(0o644)
    for path in ("./text", "/usr"):
        assert sandbox.run([path], profile).returncode == 126


def test_odd_arguments_arrive_as_they_are():
    words = ["", " ", "a\nb", "$HOME", "-e", "--", "ü", "\udcff", "'", '"', "\\", "x" * 100_000]
    done = sandbox.run(
        [PYTHON, "-c", "import sys, os; print([os.fsencode(w) for w in sys.argv[1:]])", *words], PROFILE
    )
    assert done.stdout.decode().strip() == repr([os.fsencode(word) for word in words])


def test_signals_and_exit_codes_come_through():
    assert sandbox.run(["sh", "-c", "exit 7"], PROFILE).returncode == 7
    assert sandbox.run(["sh", "-c", "kill -TERM $$"], PROFILE).returncode == 128 + 15


def test_signals_are_at_their_defaults():
    code = "import signal; print([s for s in range(1, 32) if signal.getsignal(s) == signal.SIG_IGN])"
    ignored = sandbox.run([PYTHON, "-c", code], PROFILE).stdout
    assert ignored in (b"[13, 25]\n", b"[<Signals.SIGPIPE: 13>, <Signals.SIGXFSZ: 25>]\n")  # Python's own
    assert sandbox.run(["sh", "-c", "yes | head -n 1"], PROFILE).stdout == b"y\n"


def test_the_standard_streams_are_pipes_that_can_be_opened_again():
    done = sandbox.run(
        ["sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"], PROFILE, stdin=b"in"
    )
    assert (done.stdout, done.stderr) == (b"out\nin", b"err\n")


# --- Without Perl, without Landlock ---------------------------------------------------------------------


def test_without_anything_to_do_there_is_no_step(monkeypatch):
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert enter.command(lambda: "9", ["/tmp"], None) == []
    assert enter.walls() == "no Landlock in this kernel"
    assert sandbox.run(["echo", "ok"], PROFILE).stdout == b"ok\n"


def test_without_perl_nothing_gets_a_way_out(monkeypatch, door):
    monkeypatch.setattr(enter, "perl", lambda: None)
    assert enter.command(lambda: "9", ["/tmp"], None) == []
    with pytest.raises(SandboxUnavailable, match="apt-get install perl-base"):
        sandbox.run(["true"], PROFILE, gate=door)
    monkeypatch.setattr(landlock, "version", lambda: 5)
    assert enter.walls() == "no Landlock: install perl-base"


def test_another_architecture_gets_no_way_out(monkeypatch):
    monkeypatch.setattr(enter, "platform", SimpleNamespace(machine=lambda: "riscv64"))
    with pytest.raises(SandboxUnavailable, match="x86-64 or ARM64"):
        enter.command(lambda: "9", ["/tmp"], "5")


def test_what_the_doctor_says():
    if landlock.version():
        assert enter.walls() == f"Landlock {landlock.version()}"


def test_perl_is_one_that_every_sandbox_shows():
    found = enter.perl()
    assert found is not None
    assert stat.S_ISREG(os.stat(found).st_mode)
    assert found.startswith(("/usr/bin/", "/bin/"))
    assert sys.platform == "linux"
