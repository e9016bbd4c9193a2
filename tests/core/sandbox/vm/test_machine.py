"""What a command in a machine can do and how it ends: through pipes, as anywhere else."""

import os
import select
import struct
import threading
import time
from dataclasses import replace

import pytest
from tests.core.sandbox.vm.conftest import python, run

from blastwall.errors import BackendError
from blastwall.sandbox import vm


def test_a_command_runs_as_an_ordinary_user_of_its_own_kernel(machine, place):
    done = run(machine, "sh", "-c", "id -u; id -un; pwd; uname -n")
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    assert done.out.decode().split("\n") == [str(user), "sandbox", str(place), "sandbox", ""]
    assert (done.code, done.err) == (0, b"")
    assert run(machine, "uname", "-v").out.decode().strip() != os.uname().version


def test_input_and_both_outputs(machine):
    done = run(machine, "sh", "-c", "cat; echo problem >&2", stdin=b"one\ntwo\n")
    assert (done.out, done.err, done.code) == (b"one\ntwo\n", b"problem\n", 0)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 3", 3), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9), ("true", 0), ("exit 255", 255)],
)
def test_how_it_ended(machine, script, code):
    assert run(machine, "sh", "-c", script).code == code


def test_a_program_that_is_not_there(machine):
    done = run(machine, "no-such-program")
    assert (done.code, done.err) == (127, b"no-such-program: No such file or directory\n")


def test_a_program_that_is_none(machine, place):
    (place / "text").write_text("no program")
    assert run(machine, f"{place}/text").code == 126


def test_words_and_environment_arrive_as_they_are(machine):
    words = ["ä", "two words", "", "$HOME", "'", "\udcff"]
    done = run(
        machine,
        "sh",
        "-c",
        'for word; do printf "%s\\n" "$word"; done; echo "$MARK"',
        "-",
        *words,
        env={"MARK": "m"},
    )
    assert done.out == b"".join(os.fsencode(word) + b"\n" for word in [*words, "m"])


def test_the_environment_is_the_profiles(machine):
    done = run(machine, "env")
    names = {line.split(b"=")[0].decode() for line in done.out.splitlines()}
    assert names == {"PATH", "HOME", "LANG", "TMPDIR"}


def test_where_it_starts(machine):
    assert run(machine, "pwd", cwd="/tmp").out == b"/tmp\n"
    assert run(machine, "pwd", cwd="/nowhere").code == 127


def test_no_words_and_nul(machine):
    for argv, options in (((), {}), (("a\0b",), {}), (("true",), {"env": {"A": "\0"}})):
        with pytest.raises(BackendError, match="without NUL"):
            machine.start(argv, **options)


def test_much_output_and_much_input(machine):
    """More than every window and pipe on the way."""
    data = os.urandom(3 << 20)
    done = run(machine, "cat", stdin=data)
    assert done.out == data


def test_input_as_it_comes(machine):
    with machine.start(["cat"]) as command:
        for piece in (b"one", b"two"):
            command.stdin.write(piece)
            command.stdin.flush()
            assert os.read(command.stdout.fileno(), 10) == piece
        command.stdin.close()
        assert command.wait() == 0


def test_input_that_nobody_reads(machine):
    assert run(machine, "true", stdin=bytes(3 << 20)).code == 0


def test_output_that_nobody_reads_holds_up_nobody_else(machine):
    with machine.start(["sh", "-c", "yes"], stdin=b"") as silent:
        assert run(machine, "echo", "hello").out == b"hello\n"
        silent.kill()
        assert silent.wait() == -9


def test_output_whose_reader_went_away(machine):
    with machine.start(["sh", "-c", "head -c 1000000 /dev/zero; echo end >&2"], stdin=b"") as command:
        command.stdout.close()
        assert command.stderr.read() == b"end\n"
        assert command.wait() == 0


def test_the_end_can_be_waited_for(machine):
    with machine.start(["cat"]) as command:
        assert select.select([command], [], [], 0.2)[0] == []
        command.stdin.close()
        assert select.select([command], [], [], 20)[0] == [command]
        assert select.select([command], [], [], 0)[0] == [command]  # and it stays so
        command.kill()  # harmless by now
        assert command.wait() == 0


def test_several_at_once(machine):
    commands = [machine.start(["sh", "-c", f"cat; exit {number}"]) for number in range(8)]
    for command in commands:
        command.stdin.close()
    assert [command.wait() for command in commands] == list(range(8))
    for command in commands:
        command.close()


def test_a_killed_command_takes_along_what_it_started(machine):
    script = "(trap '' TERM; setsid sleep 300) & echo $!; sleep 300"
    with machine.start(["sh", "-c", script], stdin=b"") as command:
        assert command.stdout.readline().strip().isdigit()
        command.kill()
        assert command.wait() == -9
    assert b"sleep 300" not in run(machine, "ps", "-o", "args").out


def test_what_it_started_ends_with_it(machine):
    """As in the other sandboxes: a child in the background does not keep the pipes open."""
    done = run(machine, "sh", "-c", "setsid sleep 300 & echo started")
    assert (done.out, done.code) == (b"started\n", 0)
    assert b"sleep 300" not in run(machine, "ps", "-o", "args").out


def test_at_the_end_of_its_block_it_is_dead(machine):
    with machine.start(["sleep", "300"], stdin=b"") as command:
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert command.wait() == -9


def test_a_worker_can_be_started_ahead_and_fed_later(machine):
    with machine.start(
        ["python3", "-I", "-c", "import sys, cloudpickle; print(sys.stdin.read()[::-1])"]
    ) as command:
        command.stdin.write(b"abc")
        command.stdin.close()
        assert command.stdout.read() == b"cba\n"


def test_python_is_ours(machine):
    done = python(machine, "import sys, ssl, sqlite3, ctypes, zlib, lzma; print(sys.version_info[:3])")
    assert (done.out.decode().strip(), done.err) == (str(__import__("sys").version_info[:3]), b"")


def test_files_are_those_of_the_host(machine, place):
    (place / "from-host").write_text("host")
    done = run(
        machine,
        "sh",
        "-c",
        "cat from-host; echo guest > from-guest; mkdir d; ln -s from-host link; chmod 700 d",
    )
    assert (done.out, done.err) == (b"host", b"")
    assert (place / "from-guest").read_text() == "guest\n"
    assert (place / "link").readlink().name == "from-host"
    assert (place / "d").stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert (place / "from-guest").stat().st_uid == 65534


def test_output_that_looks_like_messages_is_output(machine):
    """Attack 138: frames are made by the agent, from pipes."""
    ready, ended = struct.pack(">BII", 65, 0, 0), struct.pack(">BIII", 68, 1, 4, 0)
    forged = ready + ended + ended[:5]
    done = run(machine, "cat", stdin=forged * 100)
    assert (done.out, done.code) == (forged * 100, 0)


def test_the_ports_belong_to_root(machine):
    done = run(machine, "sh", "-c", "for port in /dev/vport*; do echo x > $port; done; ls /dev/vport*")
    assert done.err.count(b"Permission denied") == len(done.out.split()) >= 1


def test_limits(machine, roomy):
    code = "import resource as r; print(*(r.getrlimit(getattr(r, 'RLIMIT_' + n))[1] for n in ('NOFILE', 'FSIZE', 'CORE')))"
    assert python(machine, code).out.split() == [b"256", str(roomy.file_mb << 20).encode(), b"0"]
    done = python(machine, "print(len(bytearray(300 << 20)))")
    assert b"MemoryError" in done.err
    done = run(machine, "sh", "-c", "head -c 30000000 /dev/zero > /tmp/big; stat -c %s /tmp/big; rm /tmp/big")
    assert done.out == b"%d\n" % (16 << 20)


def test_a_fork_bomb_fizzles_out(machine):
    code = (
        "import os, signal\n"
        "born = 0\n"
        "try:\n"
        "    while born < 400:\n"
        "        if os.fork() == 0: signal.pause()\n"
        "        born += 1\n"
        "except OSError as error: print(error.errno)\n"
        "print(born)\n"
    )
    done = python(machine, code)
    number, born = done.out.split()
    assert (number, done.code) == (b"11", 0)
    assert 200 < int(born) < 256
    assert run(machine, "echo", "fine").out == b"fine\n"


def test_new_privileges_are_not_to_be_had(machine):
    done = run(machine, "sh", "-c", "grep -E 'NoNewPrivs|CapEff|CapPrm' /proc/self/status; unshare -U true")
    values = [line.split()[1] for line in done.out.splitlines()]
    assert sorted(values) == [b"0000000000000000", b"0000000000000000", b"1"]
    assert done.code != 0


def test_processes_of_others_are_not_seen(machine):
    """Neither the agent, which is root, nor what waits to become the next command."""
    seen = run(machine, "sh", "-c", "for entry in /proc/[0-9]*; do stat -c %U $entry; done").out
    assert set(seen.split()) == {b"sandbox"}


def test_many_commands_leave_nothing_behind(machine):
    for _ in range(20):
        run(machine, "true")
    time.sleep(0.5)
    groups = run(machine, "sh", "-c", "ls -d /sys/fs/cgroup/commands/*/ | wc -l").out
    assert int(groups) <= 3
    assert threading.active_count() < 10


def test_a_profile_that_reads_more_is_refused(roomy, tmp_path):
    with pytest.raises(BackendError, match="is shown its workspace only"):
        vm.Machine(replace(roomy, read=(tmp_path,)))
    with (
        pytest.raises(BackendError, match="is shown its workspace only"),
        vm.launch(["true"], roomy, read=[tmp_path]),
    ):
        pass


def test_a_closed_machine_takes_no_commands(bare):
    machine = vm.Machine(bare)
    machine.close()
    with pytest.raises(BackendError, match="gone"):
        machine.start(["true"])


def test_without_a_workspace_there_is_a_private_folder(bare):
    with vm.launch(["sh", "-c", "pwd; touch x; ls; mount | grep -c 9p"], bare, stdin=b"") as command:
        assert command.stdout.read() == b"/run/workspace\nx\n0\n"
        assert command.wait() == 1
        command.check(b"")
