"""What holds for containers and machines: what a kernel of their own must not know, keep or break."""

import os
import subprocess

import pytest
from tests.core.escape.items import item
from tests.core.escape.runner import profile_of
from tests.core.escape.world import PYTHON

from blastwall import sandbox
from blastwall.errors import BackendError
from blastwall.sandbox.escape.attacks import BACKENDS

EVERYWHERE = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
VM = pytest.mark.parametrize("backend", ["vm"], indirect=True)
CONTAINER = pytest.mark.parametrize("backend", ["container"], indirect=True)


def inside(backend, world, code, *words, **changes):
    return sandbox.run([PYTHON, "-I", "-c", code, *words], profile_of(backend, world, changes))


SEARCH = """
import os, sys
word, seen = sys.argv[1].encode(), 0
for top in sys.argv[2:] or [t for t in os.listdir('/') if t not in ('usr', 'lib', 'lib32', 'lib64', 'libx32', 'bin', 'sbin', 'proc', 'sys')]:
    for folder, _, names in os.walk(os.path.join('/', top)):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 1 << 20:
                    seen += 1
                    if word in open(path, 'rb').read():
                        print(path)
            except OSError:
                pass
assert seen
"""


@item(135, "search every file that can be seen for the host's secrets", "machine")
@EVERYWHERE
@pytest.mark.quick
def test_the_hosts_secrets_are_nowhere(backend, world):
    """But for the one file that is shown on purpose, where a backend shows any."""
    found = inside(backend, world, SEARCH, world.word)
    assert found.returncode == 0, found.stderr
    shown = [] if backend == "vm" else [str(world.readable / "notes")]
    assert found.stdout.decode().split() == shown
    plain = subprocess.run(
        [PYTHON, "-I", "-c", SEARCH, world.word, str(world.top)], capture_output=True, text=True
    )
    assert str(world.home / ".aws" / "credentials") in plain.stdout


@item(134, "find an interface or a folder of the host beside the workspace", "machine")
@VM
@pytest.mark.quick
def test_a_machine_has_no_interface_and_one_folder(backend, world):
    code = (
        "import os\n"
        "print(sorted(l.split(':')[0].strip() for l in open('/proc/net/dev').readlines()[2:]))\n"
        "print(sorted(l.split()[1] for l in open('/proc/mounts') if l.split()[2] in ('9p', 'virtiofs')))\n"
    )
    done = inside(backend, world, code).stdout.decode().splitlines()
    assert done[0] in ("[]", "['lo']")
    assert done[1] == str([str(world.workspace)])


@item(137, "flood the line between machine and host", "machine")
@VM
def test_a_flood_of_the_line(backend, world):
    """Over every port that can be opened; and afterwards a new machine serves as ever."""
    code = (
        "import glob, os, time\n"
        "end = time.monotonic() + 2\n"
        "ports = []\n"
        "for path in glob.glob('/dev/vport*') + glob.glob('/dev/hvc*') + ['/dev/console']:\n"
        "    try:\n"
        "        ports.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))\n"
        "    except OSError:\n"
        "        pass\n"
        "while time.monotonic() < end:\n"
        "    for port in [1, 2, *ports]:\n"
        "        try:\n"
        "            os.write(port, os.urandom(65536))\n"
        "        except OSError:\n"
        "            pass\n"
        "os._exit(5)\n"
    )
    done = inside(backend, world, code, output_kb=64)
    assert (done.returncode, len(done.stdout), done.truncated) == (5, 64 << 10, True)
    assert inside(backend, world, "print('fine')").stdout == b"fine\n"


CRASH = """
import os, sys
assert os.uname().release != sys.argv[1] and not os.path.exists(sys.argv[2]), "this is the host"
open('own/there', 'w').close()
for path, text in (('/proc/sys/kernel/sysrq', '1'), ('/proc/sysrq-trigger', 'c')):
    try:
        open(path, 'w').write(text)
    except OSError as error:
        print(error.strerror, flush=True)
os.kill(os.getpid(), 9)
"""


@item(139, "bring the machine's kernel down", "machine")
@VM
@pytest.mark.quick
def test_a_machine_that_dies(backend, world):
    """Whether it may or not, the host gets an end within its time."""
    try:
        done = inside(
            backend, world, CRASH, os.uname().release, str(world.outside / "canary"), timeout_s=60.0
        )
    except BackendError:
        pass  # it fell: the answer that says so
    else:
        assert done.returncode != 0
    assert (world.workspace / "own" / "there").exists()
    assert inside(backend, world, "print('fine')").stdout == b"fine\n"


@item(141, "learn of the host's kernel and processes from inside a container", "machine")
@CONTAINER
def test_a_container_has_another_kernel(backend, world):
    code = (
        "import os, sys\n"
        "print(os.uname().release == sys.argv[1], sys.argv[1] in open('/proc/version').read())\n"
        "print(max(int(n) for n in os.listdir('/proc') if n.isdigit()) < 50, os.path.exists('/proc/kallsyms'))\n"
    )
    done = inside(backend, world, code, os.uname().release)
    assert done.stdout.decode().split() == ["False", "False", "True", "False"]
    plain = subprocess.run([PYTHON, "-I", "-c", code, os.uname().release], capture_output=True, text=True)
    assert plain.stdout.split()[:3] == ["True", "True", "False"]


@item(142, "foresee the random numbers of another machine", "machine")
@EVERYWHERE
def test_no_two_have_the_same_randomness(backend, world):
    code = (
        "import os, random, uuid\n"
        "boot = open('/proc/sys/kernel/random/boot_id').read() if os.path.exists('/proc/sys/kernel/random/boot_id') else ''\n"
        "print(os.urandom(16).hex(), random.SystemRandom().random(), uuid.uuid4(), boot)\n"
    )
    one, other = (inside(backend, world, code).stdout.split() for _ in range(2))
    assert len(one) >= 3
    own = 4 if backend == "vm" else 3  # only a machine boots anew
    assert not set(one[:own]) & set(other[:own])
