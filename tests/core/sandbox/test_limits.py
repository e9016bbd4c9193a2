"""What a sandbox may use up: every limit is met on purpose, beside a control that stays below it."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from blastwall import sandbox
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"
PROFILE = Profile("limits", timeout_s=20, memory_mb=256, scratch_mb=16)


def run(code, profile=PROFILE):
    return sandbox.run([PYTHON, "-c", code], profile)


FORKS = """
import os, signal
born = 0
try:
    while born < 100:
        if os.fork() == 0:
            signal.pause()
        born += 1
except OSError as error:
    print(error.errno)
print(born, flush=True)
if born == 100:
    signal.sigtimedwait([], WAIT)
"""


def test_processes():
    """A fork bomb fizzles out. The init of the sandbox counts, and the program itself."""
    assert run(FORKS, replace(PROFILE, processes=20)).stdout.split() == [b"11", b"18"]
    assert run(FORKS.replace("WAIT", "0"), replace(PROFILE, processes=200)).stdout.split() == [b"100"]


def test_threads_count_as_processes():
    code = (
        "import threading\n"
        "wait = threading.Event(); born = 0\n"
        "try:\n"
        "    while born < 50:\n"
        "        threading.Thread(target=wait.wait, daemon=True).start(); born += 1\n"
        "except RuntimeError:\n"
        "    pass\n"
        "print(born, flush=True)\n"
    )
    assert int(run(code, replace(PROFILE, processes=20)).stdout) < 20
    assert int(run(code, replace(PROFILE, memory_mb=1024)).stdout) == 50  # a stack is 8 MiB


def test_other_processes_of_the_user_do_not_count():
    """The number is counted per sandbox: a busy machine does not starve it."""
    with sandbox.prepare(["/usr/bin/python3", "-c", FORKS.replace("WAIT", "60")], PROFILE) as first:
        other = subprocess.Popen(
            first.argv, env={}, pass_fds=first.pass_fds, stdout=subprocess.PIPE, start_new_session=True
        )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"100\n"  # from here on they are there
        assert run(FORKS, replace(PROFILE, processes=10)).stdout.split() == [b"11", b"8"]
    finally:
        sandbox.kill(other.pid)
        other.communicate()


def test_memory():
    code = "data = bytearray(SIZE << 20); print(len(data))"
    assert run(code.replace("SIZE", "100")).returncode == 0
    done = run(code.replace("SIZE", "300"))
    assert b"MemoryError" in done.stderr
    assert done.stdout == b""


def test_a_stack_does_not_get_around_the_memory_limit():
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_STACK)[1])"
    assert int(run(code).stdout) == 256 << 20


@pytest.mark.skipif(shutil.which("node", path="/usr/bin") is None, reason="node is not installed")
def test_a_runtime_that_reserves_much_and_uses_little():
    done = sandbox.run(["node", "-e", "console.log(1 + 1)"], replace(PROFILE, memory_mb=1024))
    assert done.stdout == b"2\n", done.stderr


def test_open_files():
    code = (
        "import os\n"
        "try:\n"
        "    while True: last = os.open('/dev/null', os.O_RDONLY)\n"
        "except OSError as error:\n"
        "    print(error.errno, last)\n"
    )
    assert run(code, replace(PROFILE, open_files=32)).stdout.split() == [b"24", b"31"]


def test_the_size_of_a_file(workspace):
    code = (
        "import signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open('big', 'wb', buffering=0) as file:\n"
        "    try:\n"
        "        while True: file.write(bytes(1 << 18))\n"
        "    except OSError as error:\n"
        "        print(error.errno)\n"
    )
    done = run(code, replace(PROFILE, workspace=workspace, file_mb=1))
    assert done.stdout == b"27\n"
    assert (workspace / "big").stat().st_size == 1 << 20


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/run", "$HOME", "."])
def test_every_private_folder_is_bounded(folder):
    command = f"head -c 20M /dev/zero > {folder}/big; stat -c %s {folder}/big"
    done = sandbox.run(["sh", "-c", command], PROFILE)
    assert done.stdout == b"%d\n" % (16 << 20)
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("folder", ["/", "/usr", "/etc", "/dev", "/bin", "/home", "/var"])
def test_nothing_else_can_be_written(folder):
    assert sandbox.run(["mkdir", "-p", f"{folder}/blastwall-test"], PROFILE).returncode != 0


def test_processor_time():
    """A child that outlives its parent's clock is bounded too, by RLIMIT_CPU."""
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CPU))"
    assert run(code).stdout == b"(21, 21)\n"


def test_no_core_file(workspace):
    code = "import os, resource; print(resource.getrlimit(resource.RLIMIT_CORE), flush=True); os.abort()"
    done = run(code, replace(PROFILE, workspace=workspace))
    assert (done.stdout, done.returncode) == (b"(0, 0)\n", 128 + 6)
    assert list(workspace.iterdir()) == []


def test_a_flood_of_output_costs_nothing():
    """It is drained to its end, so that the program does not hang, and only the beginning is kept."""
    done = sandbox.run(["sh", "-c", "head -c 50M /dev/zero; echo end >&2"], replace(PROFILE, output_kb=8))
    assert done.stdout == bytes(8 << 10)
    assert (done.stderr, done.truncated, done.returncode) == (b"end\n", True, 0)


def test_exactly_full_is_not_truncated():
    done = sandbox.run(["head", "-c", "8192", "/dev/zero"], replace(PROFILE, output_kb=8))
    assert (len(done.stdout), done.truncated) == (8192, False)


def test_limits_hold_for_whoever_asks_for_more():
    done = sandbox.run(["sh", "-c", "ulimit -n 9999 || ulimit -Hn"], replace(PROFILE, open_files=32))
    assert done.stdout == b"32\n"
    assert os.sysconf("SC_OPEN_MAX") > 32
