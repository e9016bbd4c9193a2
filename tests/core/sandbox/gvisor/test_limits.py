"""What a container may use up: gVisor counts some of it, the host the rest."""

import signal
from dataclasses import replace

from blastwall import sandbox
from blastwall.sandbox import cgroups
from blastwall.values import Profile, Strength

PROFILE = Profile("limits", strength=Strength.CONTAINER, timeout_s=30)
PYTHON = "/usr/bin/python3"


def test_processes():
    code = (
        "import os, signal\n"
        "born = 0\n"
        "try:\n"
        "    while born < 60:\n"
        "        if os.fork() == 0: signal.pause()\n"
        "        born += 1\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
        "print(born, flush=True)\n"
    )
    assert sandbox.run([PYTHON, "-c", code], replace(PROFILE, processes=20)).stdout == b"11\n19\n"


def test_files(workspace, profile):
    code = (
        "import os\n"
        "try:\n"
        "    while True: last = os.open('/dev/null', os.O_RDONLY)\n"
        "except OSError as error: print(error.errno, last)\n"
        "for number in range(3, last + 1): os.close(number)\n"
        "for path in ('big', '/tmp/big', '/dev/shm/big', '/run/big', os.environ['HOME'] + '/big'):\n"
        "    try:\n"
        "        with open(path, 'wb', buffering=0) as file:\n"
        "            while True: file.write(bytes(1 << 18))\n"
        "    except OSError as error: print(error.errno, os.stat(path).st_size >> 20)\n"
    )
    limited = replace(profile, open_files=32, file_mb=3, scratch_mb=2)
    done = sandbox.run([PYTHON, "-c", code], limited)
    assert done.stdout.split(b"\n") == [b"24 31", b"27 3", *[b"28 2"] * 4, b""]


def test_memory():
    code = "data = bytearray(SIZE << 20); print(len(data))"
    small = replace(PROFILE, memory_mb=256)
    assert sandbox.run([PYTHON, "-c", code.replace("SIZE", "60")], small).returncode == 0
    done = sandbox.run([PYTHON, "-c", code.replace("SIZE", "600")], small)
    assert done.stdout == b""
    assert done.returncode in (1, 137)


def test_address_space_counts_where_nothing_else_does(monkeypatch):
    monkeypatch.setattr(cgroups, "hierarchy", lambda: cgroups.Hierarchy(0))
    done = sandbox.run(
        [PYTHON, "-c", "data = bytearray(600 << 20); print(1)"], replace(PROFILE, memory_mb=256)
    )
    assert b"MemoryError" in done.stderr


def test_processor_time():
    """Of a child too, which gVisor does not count."""
    spin = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    for command in ([PYTHON, "-c", spin], ["sh", "-c", '"$@"; echo $?', "sh", PYTHON, "-c", spin]):
        done = sandbox.run(command, replace(PROFILE, cpu_s=1, timeout_s=15))
        assert (done.stdout, done.returncode, done.timed_out) == (b"", 137, False)


def test_no_core_file(workspace, profile):
    done = sandbox.run([PYTHON, "-c", "import os; os.abort()"], profile)
    assert done.returncode == 128 + signal.SIGABRT
    assert list(workspace.iterdir()) == []
