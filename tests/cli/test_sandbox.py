"""`blastwall run` and `blastwall sandbox` as programs: pipes, terminals, signals, what is left."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.core.egress.sites import SECRET, needed, running
from typer.testing import CliRunner

from blastwall.cli import app
from blastwall.sandbox import lease, registry

COMMAND = str(Path(sys.executable).with_name("blastwall"))
PATIENCE_S = 20


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    if shutil.which("bwrap") is None and not os.environ.get("CI"):
        pytest.skip("bubblewrap is not installed")
    folder = tmp_path / "work"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def blastwall():
    """Run it as a program."""

    def call(*words, stdin=b"", **options):
        return subprocess.run(
            [COMMAND, *words], input=stdin, capture_output=True, timeout=60, check=False, **options
        )

    return call


def run(*words):
    return ("run", "--", *words)


class TestPipes:
    def test_binary_both_ways(self, blastwall):
        data = bytes(range(256)) * 5000
        done = blastwall(*run("sh", "-c", "tee /dev/stderr"), stdin=data)
        assert (done.returncode, done.stdout == data, done.stderr == data) == (0, True, True)

    def test_more_than_is_kept_still_comes_through(self, blastwall):
        done = blastwall(*run("head", "-c", "5000000", "/dev/zero"))
        assert len(done.stdout) == 5_000_000

    def test_who_reads_no_further(self):
        """As in `blastwall run -- yes | head -1`: an end, and no traceback."""
        with subprocess.Popen(
            [COMMAND, *run("yes")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program:
            assert program.stdout.readline() == b"y\n"
            program.stdout.close()
            errors = program.stderr.read()
            code = program.wait(PATIENCE_S)
        assert b"Traceback" not in errors
        assert code in (1, 128 + signal.SIGPIPE)

    def test_a_command_that_does_not_read(self, blastwall):
        done = blastwall(*run("true"), stdin=bytes(1_000_000))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_an_input_that_does_not_end(self):
        read, write = os.pipe()
        done = subprocess.run(
            [COMMAND, *run("echo", "over")], stdin=read, capture_output=True, timeout=PATIENCE_S
        )
        os.close(write)
        os.close(read)
        assert (done.returncode, done.stdout) == (0, b"over\n")

    def test_a_closed_input(self):
        done = subprocess.run(
            ["sh", "-c", f"exec {COMMAND} run -- cat <&-"], capture_output=True, timeout=PATIENCE_S
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_as_json_too_it_reads_the_input(self, blastwall):
        done = blastwall("run", "--json", "--", "cat", stdin=b"given")
        assert json.loads(done.stdout)["stdout"] == "given"

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_killed_it_leaves_nothing(self, how):
        mark = f"31.{os.getpid()}{how.value}"
        with subprocess.Popen(
            [COMMAND, *run("sh", "-c", f"echo there; sleep {mark}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program:
            assert program.stdout.readline() == b"there\n"
            eventually(lambda: inside(mark))
            program.send_signal(how)
            program.wait(PATIENCE_S)
            assert b"Traceback" not in program.stderr.read()
        eventually(lambda: not inside(mark))
        eventually(lambda: not list(lease.folder().glob(f"owners/{program.pid}-*")))


def inside(mark):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == f"sleep\0{mark}\0".encode():
                found.append(entry.name)
        except OSError:
            continue
    return found


def eventually(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@contextmanager
def terminal(*words, **options):
    """Run it on a terminal of its own; gives the program, and a function that reads what is shown."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **options
    )
    os.close(theirs)

    def shown(until=None):
        data, deadline = b"", time.monotonic() + PATIENCE_S
        while until is None or until not in data:
            ready, _, _ = select.select([ours], [], [], max(deadline - time.monotonic(), 0))
            assert ready, data
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            data += piece
        return data

    try:
        yield program, ours, shown
    finally:
        program.kill()
        program.wait()
        os.close(ours)


class TestATerminal:
    def test_nothing_that_it_would_obey(self):
        r"""Titles, the clipboard (OSC 52), a query that is answered as if typed, colours, 8-bit controls."""
        script = (
            r"printf '\033]0;title\007 \033]52;c;aGk=\007 \033[6n \033[31mred \302\233 \235 \b\177 t\tn\n ü'"
        )
        with terminal(*run("sh", "-c", f"{script}; {script} >&2")) as (program, _, shown):
            said = shown()
            assert program.wait(PATIENCE_S) == 0
        assert said.count(b"?]0;title?") == 2
        assert said.count("ü".encode()) == 2
        assert b"t\tn\r\n" in said
        text = said.decode()
        assert not {
            code for code in map(ord, text) if (code < 32 and chr(code) not in "\t\r\n") or 127 <= code < 160
        }

    def test_nothing_that_turns_words_round(self):
        """A text with directions in it can show another file name than it has."""
        with terminal(*run("printf", r"a\342\200\256b\342\201\246c\n")) as (_, _, shown):
            said = shown().decode()
        assert "a?b?c" in said

    def test_a_character_that_comes_in_pieces(self):
        script = r"printf '\303'; sleep 0.2; printf '\274'; sleep 0.2; printf '\303'"
        with terminal(*run("sh", "-c", script)) as (_, _, shown):
            assert shown().decode() == "ü�"

    def test_it_has_no_terminal_inside(self):
        with terminal(*run("sh", "-c", "test -t 1 || echo none; cat /dev/tty")) as (program, _, shown):
            said = shown()
            assert program.wait(PATIENCE_S) != 0
        assert said.startswith(b"none\r\n")

    def test_what_is_typed_goes_in(self):
        with terminal(*run("sh", "-c", 'read line; echo "got $line"')) as (program, ours, shown):
            os.write(ours, b"words\n")
            shown(b"got words")
            assert program.wait(PATIENCE_S) == 0

    def test_an_interrupt_from_the_keyboard(self):
        mark = f"27.{os.getpid()}"
        with terminal(*run("sh", "-c", f"echo there; sleep {mark}")) as (program, _, shown):
            shown(b"there")
            os.killpg(program.pid, signal.SIGINT)
            assert program.wait(PATIENCE_S) in (130, -signal.SIGINT, 1)
            assert b"Traceback" not in shown()
        eventually(lambda: not inside(mark))


class TestOptions:
    def test_exit_codes(self, blastwall):
        assert blastwall("run", "--timeout", "0.5", "--", "sleep", "20").returncode == 124
        assert blastwall(*run("sh", "-c", "exit 3")).returncode == 3
        assert blastwall(*run("sh", "-c", "kill -9 $$")).returncode == 137
        done = blastwall("run", "-w", "/", "--", "true")
        assert done.returncode == 4
        assert done.stderr.count(b"\n") == 1

    def test_a_program_that_is_not_there(self, blastwall):
        assert blastwall(*run("no-such-program")).returncode not in (0, 4)

    def test_no_sandbox_of_this_strength(self, blastwall, monkeypatch, tmp_path):
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        result = CliRunner().invoke(app, ["run", "--strength", "vm", "--", "touch", "ran"])
        assert result.exit_code == 4
        assert "apt-get install" in result.stderr
        assert not os.path.exists("ran")

    @pytest.mark.parametrize("text", ["http://a.test", "a.test/path", "*", "a b", ""])
    def test_no_host(self, blastwall, text):
        done = blastwall("run", "--allow", text, "--", "touch", "ran")
        assert done.returncode == 2
        assert b"is no host" in done.stderr
        assert not os.path.exists("ran")

    @pytest.mark.parametrize("strength", ["os", "container"])
    def test_allow(self, blastwall, strength):
        """What is allowed is asked for, and what isn't is not: nothing here leads out of this machine."""
        needed({"container": "runsc"}.get(strength, "bwrap"))
        look = 'import urllib.request as u\nfor h in "one", "other":\n try: u.urlopen(f"http://{h}.invalid:81/")\n except Exception as e: print(getattr(e, "read", lambda: repr(e).encode())())'
        done = blastwall("run", "--strength", strength, "-a", "one.invalid:81", "--", "python3", "-c", look)
        one, other = done.stdout.decode().splitlines()
        assert "not an allowed destination" in other
        assert "not an allowed destination" not in one
        off = blastwall("run", "--strength", strength, "--", "python3", "-c", look).stdout.decode()
        assert off.count("URLError") == 2

    def test_a_policy_s_network_and_credential(self, blastwall, monkeypatch, tmp_path):
        monkeypatch.setenv("CLI_TEST_SECRET", SECRET)
        with running() as site:
            policy = {
                "version": 1,
                "connectors": {"a": {"rules": [{"id": "r", "effect": "deny", "tools": ["*"]}]}},
                "credentials": {
                    "api": {"env": "CLI_TEST_SECRET", "hosts": ["api.test"], "variable": "TOKEN"}
                },
                "sandboxes": {
                    "box": {
                        "credentials": ["api"],
                        "network": [{"host": "api.test", "ports": [site.port], "addresses": ["127.0.0.1"]}],
                    }
                },
            }
            (tmp_path / "policy.yaml").write_text(json.dumps(policy))
            code = (
                "import os, urllib.request as u\n"
                f"r = u.Request('http://api.test:{site.port}/', headers={{'X-Key': os.environ['TOKEN']}})\n"
                "print(u.urlopen(r).read().decode(), dict(os.environ))\n"
            )
            done = blastwall(
                "run", "-p", str(tmp_path / "policy.yaml"), "-s", "box", "--", "python3", "-c", code
            )
        assert done.returncode == 0, done.stderr
        assert site.asked[0].header("x-key") == [SECRET]
        assert SECRET.encode() not in done.stdout
        assert b"blastwall-placeholder-api" in done.stdout

    @pytest.mark.parametrize("strength", ["os", "container", "vm"])
    def test_copy(self, blastwall, strength, place):
        needed({"container": "runsc", "vm": "qemu-system-x86_64"}.get(strength, "bwrap"))
        (place / "file").write_text("old")
        done = blastwall("run", "--strength", strength, "--copy", "--", "sh", "-c", "pwd; echo new > file")
        assert (done.returncode, done.stdout.decode()) == (0, f"{place}\n"), done.stderr
        assert (place / "file").read_text() == "old"
        (name,) = [word for word in done.stderr.decode().split() if word.startswith("20")][:1]
        assert "+new" in blastwall("diff", name).stdout.decode()
        assert blastwall("apply", name).returncode == 0
        assert (place / "file").read_text() == "new\n"

    def test_a_copy_in_which_nothing_changed(self, blastwall, place):
        done = blastwall("run", "--copy", "--", "true")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"20" not in blastwall("diff").stdout
        body = json.loads(blastwall("run", "--copy", "--json", "--", "true").stdout)
        assert body["copies"] == []


class TestRunning:
    @pytest.fixture
    def one(self):
        with subprocess.Popen(
            [COMMAND, *run("sh", "-c", "echo there; sleep 60")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as program:
            assert program.stdout.readline() == b"there\n"
            yield program
            program.kill()

    def test_list(self, one, blastwall, place):
        found = json.loads(blastwall("sandbox", "list", "--json").stdout)["sandboxes"]
        (entry,) = [entry for entry in found if entry["owner"] == one.pid]
        assert (entry["name"], entry["strength"], entry["workspace"]) == ("command line", "os", str(place))
        assert entry["orphaned"] is False
        words = blastwall("sandbox", "list").stdout.decode()
        (line,) = [line for line in words.splitlines() if f"of process {one.pid}" in line]
        assert line.startswith("os         command line  for ")
        assert line.endswith(str(place))

    def test_gc(self, one, blastwall):
        below = [pid for pid in processes() if parent(pid) == one.pid]
        reapers = [pid for pid in below if b"_reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert json.loads(blastwall("sandbox", "gc", "--json").stdout)["ok"] is True
        assert one.poll() is None, "what runs is left alone"
        assert [entry for entry in registry.entries() if entry.owner == one.pid]
        for pid in (*reapers, one.pid):
            os.kill(pid, signal.SIGKILL)
        one.wait()
        assert b"command line" in blastwall("sandbox", "gc").stdout
        assert not [entry for entry in registry.entries() if entry.owner == one.pid]

    def test_nothing(self, monkeypatch):
        monkeypatch.setattr(registry, "entries", list)
        monkeypatch.setattr(registry, "collect", list)
        assert CliRunner().invoke(app, ["sandbox", "list"]).stdout == "no sandbox runs\n"
        assert CliRunner().invoke(app, ["sandbox", "gc"]).stdout == "nothing was left\n"

    def test_names_can_not_act_on_a_terminal(self, monkeypatch):
        entry = registry.Entry("a\x1b[31m[red]b", "os", "/w\x9b", 1, 0, time.time())
        monkeypatch.setattr(registry, "entries", lambda: [entry])
        said = CliRunner().invoke(app, ["sandbox", "list"]).stdout
        assert "[red]b" in said
        assert not {"\x1b", "\x9b"} & {*said}

    def test_a_run_folder_of_somebody_else(self, monkeypatch):
        def closed():
            raise lease.BackendError("not ours alone")

        monkeypatch.setattr(registry, "folder", closed)
        for verb in ("list", "gc"):
            result = CliRunner().invoke(app, ["sandbox", verb])
            assert (result.exit_code, result.stderr) == (4, "not ours alone\n")


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
