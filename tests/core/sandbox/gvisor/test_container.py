"""A container for one command: what comes back, what it sees, what it can't do."""

import asyncio
import hashlib
import os
import signal
import socket
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import gvisor, seccomp
from blastwall.sandbox.gvisor import outer
from blastwall.values import Profile, Strength

PROFILE = Profile("call", strength=Strength.CONTAINER, timeout_s=30)
PYTHON = "/usr/bin/python3"


@pytest.fixture(params=["run", "arun"])
def start(request):
    """Both twins, called alike."""

    def start(*args, **options):
        if request.param == "run":
            return sandbox.run(*args, **options)
        return asyncio.run(sandbox.arun(*args, **options))

    return start


def test_what_comes_back(start):
    done = start(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], PROFILE, stdin=b"in ")
    assert (done.stdout, done.stderr, done.returncode) == (b"in out\n", b"err\n", 3)
    assert not done.timed_out


def test_much_of_it():
    data = os.urandom(3 << 20)
    done = sandbox.run(["sh", "-c", "cat; echo end >&2"], replace(PROFILE, output_kb=4096), stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert (done.stderr, done.truncated) == (b"end\n", False)


def test_a_flood_of_output_costs_nothing():
    done = sandbox.run(["head", "-c", "20M", "/dev/zero"], replace(PROFILE, output_kb=8))
    assert (done.stdout, done.truncated, done.returncode) == (bytes(8 << 10), True, 0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("kill -TERM $$", 128 + signal.SIGTERM),
        ("exit 128", 128),  # as runsc itself ends when it fails
        ("exit 125", 125),  # as the last step before it does
        ("exit 1", 1),  # as bubblewrap does
        ("exec blastwall-no-such-command", 127),
        ("exec /etc", 126),
    ],
)
def test_how_it_ended(command, code):
    assert sandbox.run(["sh", "-c", command], PROFILE).returncode == code


def test_a_command_that_does_not_exist():
    assert sandbox.run(["blastwall-no-such-command"], PROFILE).returncode == 127


@pytest.mark.parametrize("argv", [[], ["a\0b"]])
def test_a_command_that_is_none(argv):
    with pytest.raises(BackendError, match="words without NUL"):
        sandbox.run(argv, PROFILE)


def test_a_nul_in_the_environment():
    with pytest.raises(BackendError, match="NUL"):
        sandbox.run(["true"], replace(PROFILE, env=(("A", "b\0c"),)))


def test_the_time_is_up(start):
    done = start(["sh", "-c", "echo begun; sleep 60"], replace(PROFILE, timeout_s=3))
    assert done.timed_out
    assert (done.stdout, done.returncode) == (b"begun\n", -signal.SIGKILL)


def test_the_workspace_is_written_on_the_host(workspace, profile):
    done = sandbox.run(["sh", "-c", "pwd; echo inside > file; mkdir folder; ln -s file link"], profile)
    assert (done.stdout, done.stderr) == (f"{workspace}\n".encode(), b"")
    assert (workspace / "file").read_text() == "inside\n"
    assert {path.stat().st_uid for path in workspace.iterdir()} == {workspace.stat().st_uid}
    assert sorted(path.name for path in workspace.iterdir()) == ["file", "folder", "link"]


def test_where_it_starts(workspace, profile):
    (workspace / "below").mkdir()
    done = sandbox.run(["pwd"], replace(profile, directory="below", shown_as=Path("/project")))
    assert done.stdout == b"/project/below\n"
    for directory in ("missing", "..", "/etc"):
        with pytest.raises(BackendError, match="starts in"):
            sandbox.run(["pwd"], replace(profile, directory=directory))
    assert sorted(path.name for path in workspace.iterdir()) == ["below"]


def test_what_it_is():
    """An ordinary user without any privilege, on a kernel that is not the host's."""
    code = (
        "import os, platform\n"
        "status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)\n"
        "print(os.getuid(), os.getgid(), os.getgroups(), os.uname().release, os.uname().nodename)\n"
        "print([int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff')])\n"
        "print(sorted(os.environ), os.environ['SECRET'], sorted(map(int, os.listdir('/proc/self/fd'))))\n"
    )
    done = sandbox.run([PYTHON, "-c", code], replace(PROFILE, env=(("SECRET", "s"),)))
    who, capabilities, rest = done.stdout.decode().splitlines()
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    assert who.split()[0] == str(user)
    assert who.split()[-1] == "sandbox"
    assert os.uname().release not in who
    assert capabilities == "[0, 0, 0]"
    assert rest == "['HOME', 'LANG', 'PATH', 'SECRET', 'TMPDIR'] s [0, 1, 2, 3]"
    done = sandbox.run(["sh", "-c", "dmesg; id -un; cat /proc/version"], PROFILE)
    assert b"Starting gVisor" in done.stdout
    assert b"\nsandbox\n" in done.stdout
    assert Path("/proc/version").read_bytes() not in done.stdout


LOOK = """
import os
for top in ("/", "/etc", "/proc"):
    print(sorted(name for name in os.listdir(top) if not name.isdigit() or top != "/proc"))
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
for path in ("/dev/kvm", "/dev/sda", "/dev/mem", "/etc/shadow", "/root", "/state", "/bundle", "/stage"):
    print(path, os.path.lexists(path))
"""


def test_what_it_sees():
    done = sandbox.run([PYTHON, "-c", LOOK], PROFILE)
    root, etc, proc, pids, *absent = done.stdout.decode().splitlines()
    assert {*eval(root)} <= {*"bin dev etc lib lib32 lib64 libx32 proc run sbin sys tmp usr".split()}
    assert "passwd" in etc
    assert "shadow" not in etc
    assert "kallsyms" not in proc
    assert "kcore" not in proc
    assert pids == "[1]"
    assert {line.split()[1] for line in absent} == {"False"}


def test_secrets_read_as_empty(home):
    command = ["sh", "-c", f"cat {home}/.aws/credentials {home}/.netrc; cat {home}/notes.txt"]
    done = sandbox.run(command, replace(PROFILE, read=(home,)))
    assert done.stdout == b"nothing secret"


def test_what_may_be_read_and_under_which_names(tmp_path):
    """Symlinks too, which pytest's folder below /tmp shows: gVisor's own /tmp can't hold any of ours."""
    shown = tmp_path / "shown"
    (shown / "covered").mkdir(parents=True)
    (shown / "covered" / "key").write_text("CANARY")
    (shown / "file").write_text("text")
    (tmp_path / "link").symlink_to("shown")
    (tmp_path / "one").symlink_to(shown / "file")
    profile = replace(PROFILE, read=(tmp_path / "link", tmp_path / "one"), mask=(shown / "covered",))
    code = f"cd {tmp_path}; cat link/file shown/file one; cat */covered/key; echo x > shown/file; echo x > link/n"
    done = sandbox.run(["sh", "-c", code], profile)
    assert done.stdout == b"text" * 3
    assert (shown / "file").read_text() == "text"
    assert sorted(path.name for path in shown.iterdir()) == ["covered", "file"]


def test_everything_may_be_read_and_still_nothing_be_written(workspace, profile, home):
    code = (
        f"cat {home}/.aws/credentials; for f in /etc /usr /var / {home}; do touch $f/blastwall-test; done;"
        " echo a > $HOME/x && echo b > /tmp/y && echo c > z && echo d > /run/w && cat $HOME/x /tmp/y z /run/w"
    )
    done = sandbox.run(["sh", "-c", code], replace(profile, read=(Path("/"),)))
    assert done.stdout == b"a\nb\nc\nd\n"
    assert (workspace / "z").read_text() == "c\n"
    for folder in (Path("/etc"), Path("/usr"), Path("/var"), Path("/"), home):
        assert not (folder / "blastwall-test").exists()


ATTACK = """
import os
def attempt(do, *arguments):
    try:
        do(*arguments)
    except OSError:
        pass
def write(path):
    open(path, "w").write("evil")
for path in (".bashrc", ".git/hooks/pre-commit", ".git/config", ".vscode/tasks.json", ".envrc"):
    attempt(write, path)
    attempt(os.unlink, path)
for folder in (".git", ".git/hooks", ".vscode"):
    attempt(os.rename, folder, folder + "-away")
    attempt(os.mkdir, folder)
attempt(write, ".git/hooks/new")
attempt(os.symlink, "/tmp/evil", ".zshrc")
attempt(write, "ordinary")
"""


def test_protected_paths_stay(workspace, profile):
    """The host's kernel keeps them: what gVisor's own thinks of it does not matter."""
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (workspace / ".git" / "config").write_text("mine")
    (workspace / ".bashrc").write_text("mine")
    for path in (workspace, *workspace.rglob("*")):
        os.chown(path, workspace.stat().st_uid, workspace.stat().st_gid)
    before = {str(path) for path in workspace.rglob("*")}
    assert sandbox.run([PYTHON, "-c", ATTACK], profile).returncode == 0
    assert {str(path) for path in workspace.rglob("*")} == before | {str(workspace / "ordinary")}
    assert (workspace / ".git" / "config").read_text() == (workspace / ".bashrc").read_text() == "mine"


def test_no_file_becomes_setuid(workspace, profile):
    code = (
        "import os\n"
        "open('a', 'w').close()\n"
        "for mode in (0o4755, 0o2755):\n"
        "    for do in (lambda: os.chmod('a', mode), lambda: os.open('b', os.O_CREAT | os.O_WRONLY, mode)):\n"
        "        try: do()\n"
        "        except OSError: pass\n"
        "for name, kind in (('c', 0o020666), ('d', 0o060666)):\n"
        "    try: os.mknod(name, kind, os.makedev(1, 3))\n"
        "    except OSError: pass\n"
    )
    assert sandbox.run([PYTHON, "-c", code], profile).returncode == 0
    assert [path.name for path in workspace.iterdir() if path.stat().st_mode & 0o6000] == []
    assert [path.name for path in workspace.iterdir() if not path.is_file()] == []


def test_without_the_filter_one_would(workspace, profile, monkeypatch):
    monkeypatch.setattr(seccomp, "modes", lambda: bytes.fromhex("060000000000ff7f"))
    sandbox.run([PYTHON, "-c", "import os; open('a', 'w').close(); os.chmod('a', 0o4755)"], profile)
    assert (workspace / "a").stat().st_mode & 0o4000


NETWORK = """
import socket
def attempt(name, do):
    try:
        do()
        print("ESCAPED", name)
    except OSError:
        pass
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", PORT), 2))
attempt("gate", lambda: socket.create_connection(("127.0.0.1", 3128), 2))
attempt("out", lambda: socket.create_connection(("192.0.2.1", 80), 2))
attempt("udp", lambda: socket.socket(2, 2).sendto(b"x", ("192.0.2.1", 53)))
for family in (17, 38, 40):
    attempt(family, lambda: socket.socket(family, 3 if family == 17 else 5 if family == 38 else 1))
attempt("raw", lambda: socket.socket(2, 3, 1))
attempt("abstract", lambda: socket.socket(1, 1).connect("\\0NAME"))
print([name for _, name in socket.if_nameindex()])
"""


@pytest.mark.parametrize("gated", [False, True])
def test_no_network(listener, gates, gated):
    name = f"blastwall-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"\0{name}")
        bound.listen()
        code = NETWORK.replace("PORT", str(listener.port)).replace("NAME", name)
        options = {"gate": gates("A")} if gated else {}
        done = sandbox.run([PYTHON, "-c", code], PROFILE, **options)
    reached = [b"ESCAPED gate"] if gated else []
    assert done.stdout.splitlines()[:-1] == reached, done
    assert done.stdout.splitlines()[-1] == b"['lo']"


def test_the_way_out_is_the_gate(gates):
    code = (
        "import os, socket\n"
        "print(socket.create_connection(('127.0.0.1', 3128), 5).recv(9), os.environ['TOKEN'],"
        " open('/run/blastwall/ca.pem').read())\n"
        "open('/run/mine', 'w').close()\n"
        "try: open('/run/blastwall/ca.pem', 'w')\n"
        "except OSError: print('kept')\n"
    )
    done = sandbox.run([PYTHON, "-c", code], PROFILE, gate=gates("A"))
    assert done.stdout == b"b'A' PLACEHOLDER-OF-A A\nkept\n", done.stderr


class TestUnavailable:
    def test_without_gvisor_nothing_runs(self, monkeypatch, workspace, profile):
        outer.runsc.cache_clear()
        monkeypatch.setattr(outer, "_WHERE", "/nonexistent")
        with pytest.raises(SandboxUnavailable, match="apt-get install runsc"):
            sandbox.run(["touch", "ran"], profile)
        assert list(workspace.iterdir()) == []
        outer.runsc.cache_clear()

    def test_a_gvisor_that_is_not_where_it_could_be_shown(self, monkeypatch, tmp_path):
        outer.runsc.cache_clear()
        (tmp_path / "runsc").write_text("")
        (tmp_path / "runsc").chmod(0o755)
        monkeypatch.setattr(outer, "_WHERE", str(tmp_path))
        with pytest.raises(SandboxUnavailable, match="into /usr/local/bin"):
            outer.runsc()
        outer.runsc.cache_clear()

    def test_a_gvisor_that_fails(self, monkeypatch, profile, workspace):
        monkeypatch.setattr(gvisor, "chosen", lambda: "nonsense")
        with pytest.raises(SandboxUnavailable, match="can't start a container: unknown platform: nonsense;"):
            sandbox.run(["touch", "ran"], profile)
        assert list(workspace.iterdir()) == []

    def test_steps_before_it_that_fail(self, monkeypatch, profile, workspace):
        """They end as a command may, and still are none."""
        monkeypatch.setattr(outer, "runsc_words", lambda: ["/bin/sh", "-c", "echo why >&2; exit 3"])
        with pytest.raises(SandboxUnavailable, match="why"):
            sandbox.run(["touch", "ran"], profile)
        assert list(workspace.iterdir()) == []


def test_from_a_thread_and_beside_others():
    """Containers that start at once don't get into each other's way."""
    results = []

    def go(word):
        results.append(sandbox.run(["echo", word], PROFILE).stdout)

    threads = [threading.Thread(target=go, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [b"0\n", b"1\n", b"2\n"]


def test_a_python_function():
    assert sandbox.call(pow, {"base": 2, "exp": 10}, PROFILE) == 1024
