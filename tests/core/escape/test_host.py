"""What is tried from both sides of the wall at once: races, ends, limits, missing walls, missing rules."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.escape.items import item
from tests.core.escape.runner import profile_of
from tests.core.escape.world import GROUP, NOBODY, PYTHON, USER

from blastwall import BackendError, Delivered, Guard, Refused, ToolOutput, sandbox
from blastwall.sandbox.escape.attacks import BACKENDS
from blastwall.screening import Screening, screen
from blastwall.values import Action

EVERYWHERE = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
ROOT = Path(__file__).parents[3]


def command(code):
    return [PYTHON, "-I", "-c", code]


def inside(backend, world, code, **changes):
    return sandbox.run(command(code), replace(profile_of(backend, world, {}), **changes))


def outside(world, code, **options):
    """Run the same program as an ordinary process of the same user."""
    if os.geteuid() == 0:
        options |= {"user": USER, "group": GROUP, "extra_groups": []}
    return subprocess.run(command(code), cwd=world.workspace, capture_output=True, timeout=30, **options)


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return False


@contextmanager
def meanwhile(work):
    """Do something again and again for as long as the block lasts."""
    over = threading.Event()

    def loop():
        while not over.is_set():
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# --- Files and links ----------------------------------------------------------------------------------

LATE = """
import os, time
open("own/started", "w").close()
end = time.monotonic() + 30
while not os.path.exists("own/written") and time.monotonic() < end:
    time.sleep(0.01)
try:
    print(open(PLACE).read())
except OSError as error:
    print(error.strerror)
"""


@item(21, "read credentials that are made while it runs", "files")
@pytest.mark.parametrize("backend", ["os", "container"], indirect=True)  # a machine is shown no home
def test_credentials_that_come_later(backend, world, record):
    """A home that is shown while it holds no such folder: what is made in it later has no cover."""
    place = world.home / ".azure" / "token"
    done = []
    profile = replace(profile_of(backend, world, {}), read=(world.home,))
    code = LATE.replace("PLACE", repr(str(place)))
    thread = threading.Thread(target=lambda: done.append(sandbox.run(command(code), profile)))
    thread.start()
    assert until((world.workspace / "own" / "started").exists, 120)
    place.parent.mkdir()
    place.write_text(world.word)
    for path in (place.parent, place):
        path.chmod(0o755)
    (world.workspace / "own" / "written").touch()
    thread.join()
    seen = world.word in done[0].stdout.decode()
    assert outside(world, code).stdout.decode().strip() == world.word
    if seen:
        record(21, "read credentials that are made while it runs", backend, "open",
               "only where `read` shows a whole home: show what is needed of it")  # fmt: skip


PLANT = "open('planted', 'w').write('x')"


@item(26, "swap the workspace for a symlink while a sandbox is made", "links")
@EVERYWHERE
def test_a_workspace_that_is_swapped(backend, world):
    """CVE-2021-30465. Whoever owns the folder above swaps it; what is written lands in the workspace or nowhere."""
    aside = world.top / "aside"

    def swap():
        world.workspace.rename(aside)
        world.workspace.symlink_to(world.outside)
        world.workspace.unlink()
        aside.rename(world.workspace)

    planted = world.outside / "planted"
    with meanwhile(swap):
        for _ in range({"os": 15, "container": 6, "vm": 2}[backend]):
            try:
                inside(backend, world, PLANT)
            except BackendError:
                continue
        assert not planted.exists()
        fooled = until(lambda: subprocess.run(["touch", world.workspace / "planted"], capture_output=True)
                       and planted.exists())  # fmt: skip
    assert fooled


@item(27, "name a workspace that is a symlink", "links")
@EVERYWHERE
def test_a_workspace_that_is_a_symlink(backend, world):
    link = world.top / "link"
    link.symlink_to(world.workspace)
    with pytest.raises(BackendError, match="symlink"):
        inside(backend, world, PLANT, workspace=link)
    assert not (world.workspace / "planted").exists()
    assert inside(backend, world, PLANT).returncode == 0
    assert (world.workspace / "planted").exists()


@item(32, "name a folder outside as the one to start in", "links")
@EVERYWHERE
@pytest.mark.parametrize("place", ["../outside", "OUTSIDE", "own/link"])
def test_a_folder_that_the_model_chose(backend, world, place):
    """CVE-2025-59532: where a command starts says nothing about what it may write."""
    (world.workspace / "own" / "link").symlink_to(world.outside)
    place = place.replace("OUTSIDE", str(world.outside))
    assert (world.workspace / place).is_dir()
    try:
        inside(backend, world, PLANT, directory=place)
    except BackendError:
        pass
    assert not (world.outside / "planted").exists()
    done = inside(backend, world, "import os; print(os.path.basename(os.getcwd()))", directory="src")
    assert done.stdout == b"src\n"


@item(54, "swap a masked file for a symlink while a sandbox is made", "proc")
@EVERYWHERE
def test_a_mask_that_is_swapped(backend, world):
    """CVE-2025-31133: what the runtime covers may be something else by the time it is covered."""
    secret, vault = world.workspace / "vault" / "secret", world.workspace / "vault"

    def swap():
        secret.rename(vault / "aside")
        with suppress(FileExistsError):  # what is to be covered is made where it is missing
            secret.symlink_to(world.outside / "canary")
        secret.unlink()
        (vault / "aside").rename(secret)

    with meanwhile(swap):
        for _ in range({"os": 15, "container": 6, "vm": 2}[backend]):
            try:
                inside(backend, world, f"open({str(world.outside / 'canary')!r}, 'w').write('x')")
            except BackendError:
                continue
        fooled = until(lambda: _through(secret) == world.word)
    assert not any("/outside" in name for name in world.changed())
    assert fooled


def _through(path):
    try:
        return path.read_text() if path.is_symlink() else ""
    except OSError:
        return ""


# --- Ends -----------------------------------------------------------------------------------------------

HEARTS = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 60):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.closerange(0, 3)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open("own/beats", "a") as beats:
                beats.write("x")
            time.sleep(0.01)
    os._exit(0)
os.wait()
while not os.path.exists("own/beats"):
    time.sleep(0.01)
"""


def beats(world):
    """Say whether something still writes."""
    file = world.workspace / "own" / "beats"
    before = file.stat().st_size
    time.sleep(0.3)
    return file.stat().st_size > before


@item(56, "outlive the sandbox as a child that nobody waits for", "signals")
@EVERYWHERE
def test_nothing_outlives_it(backend, world):
    inside(backend, world, HEARTS)
    assert not beats(world)
    (world.workspace / "own" / "beats").unlink()
    outside(world, HEARTS.replace("+ 20", "+ 1"))
    assert beats(world)
    time.sleep(1)


@item(56, "outlive the program that made the sandbox", "signals")
@EVERYWHERE
@pytest.mark.quick
def test_nothing_outlives_its_maker(backend, world):
    """SIGKILL: no handler of ours runs."""
    profile = profile_of(backend, world, {})
    code = (
        "import sys; from pathlib import Path, PosixPath; from blastwall import sandbox\n"
        "from blastwall.values import Profile, Strength\n"
        f"profile = Profile('x', strength=Strength({backend!r}), workspace=Path({str(profile.workspace)!r}))\n"
        f"sandbox.run([{PYTHON!r}, '-I', '-c', sys.argv[1]], profile)\n"
    )
    hearts = HEARTS + "\ntime.sleep(60)"
    maker = subprocess.Popen([sys.executable, "-c", code, hearts], cwd=ROOT, start_new_session=True)
    assert until((world.workspace / "own" / "beats").exists, 120)
    assert beats(world)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert until(lambda: not beats(world), 10)


SLAUGHTER = """
import os, signal, time
victim = os.fork()
if victim == 0:
    time.sleep(20)
    os._exit(0)
killer = os.fork()
if killer == 0:
    if INSIDE:
        os.kill(-1, signal.SIGKILL)
    time.sleep(0.3)
    state = open(f"/proc/{victim}/stat").read().split()[2] if os.path.exists(f"/proc/{victim}") else "X"
    if state in "XZ":
        print("it killed what runs beside it", flush=True)
    os._exit(0)
os.waitpid(killer, 0)
"""


@item(48, "kill all that can be killed", "signals")
@EVERYWHERE
def test_killing_everything_kills_what_is_inside(backend, world):
    """The control is inside: there it kills. Outside it would kill whatever that user runs."""
    done = inside(backend, world, SLAUGHTER.replace("INSIDE", "True"))
    assert b"it killed what runs beside it" in done.stdout or done.returncode
    assert world.changed() == []
    spared = inside(backend, world, SLAUGHTER.replace("INSIDE", "False"))
    assert (spared.stdout, spared.returncode) == (b"", 0)


@item(140, "find what an earlier call left behind", "machine")
@EVERYWHERE
def test_nothing_is_kept_for_the_next(backend, world):
    leave = "import os\nfor p in ('/tmp/left', os.path.expanduser('~/left'), '/dev/shm/left', 'own/left'): open(p, 'w').close()"
    seek = "import os\nprint([p for p in ('/tmp/left', os.path.expanduser('~/left'), '/dev/shm/left', 'own/left') if os.path.exists(p)])"
    assert inside(backend, world, leave).returncode == 0
    assert inside(backend, world, seek).stdout == b"['own/left']\n"  # what is in the workspace is to stay


@item(107, "poison the environment of a later command", "leaks")
@EVERYWHERE
def test_an_environment_ends_with_its_command(backend, world):
    """CVE-2026-22708: builtins such as export passed as harmless, and steered what was allowed later."""
    poison = "export PAGER=own/evil; typeset -x GIT_PAGER=own/evil 2>/dev/null; echo 'PAGER=own/evil' > ~/.profile\n"
    look = 'echo "${PAGER}" $(cat ~/.profile 2>/dev/null)'
    run = [
        sandbox.run(["sh", "-c", code], profile_of(backend, world, {})).stdout
        for code in (poison, look, poison + look)
    ]
    assert run[1] == b"\n"
    assert b"own/evil PAGER=own/evil" in run[2]


# --- Terminals and outputs ---------------------------------------------------------------------------------

TTY = """
import os, sys
from pathlib import Path
from blastwall import sandbox
from blastwall.values import Profile, Strength
code = "import os; print(os.ttyname(os.open('/dev/tty', os.O_RDWR | os.O_NOCTTY)))"
import subprocess
plain = subprocess.run([sys.argv[2], "-I", "-c", code], capture_output=True)
done = sandbox.run([sys.argv[2], "-I", "-c", code], Profile("x", strength=Strength(sys.argv[1])))
sys.stderr.write(f"{plain.returncode == 0} {done.returncode == 0}")
"""


@item(60, "open the terminal of the caller", "terminals")
@EVERYWHERE
def test_the_callers_terminal(backend):
    main, other = os.openpty()
    try:
        # setsid --ctty makes standard input, which is this terminal, the controlling one.
        words = ["setsid", "--ctty", "--wait", sys.executable, "-c", TTY, backend, PYTHON]
        done = subprocess.run(words, stdin=other, capture_output=True, cwd=ROOT, timeout=120)
    finally:
        os.close(main)
        os.close(other)
    assert done.stderr.decode() == "True False"


@item(61, "steer the reader's terminal by what it prints", "terminals")
@EVERYWHERE
def test_what_steers_a_terminal_does_not_reach_a_reader(backend, world):
    steering = "\x1b]52;c;cm0gLXJmIH4=\x07\x1b[2J\x1b]0;title\x07"
    done = inside(backend, world, f"print({steering!r} + 'done')")
    shown = done.stdout.decode()
    assert steering in shown  # a sandbox changes no bytes; screening does, before anybody reads them
    found = screen(ToolOutput(shown), Screening(), "tool")
    assert found.action > Action.PASS
    assert "\x1b" not in str(found.value)
    assert screen(ToolOutput("done"), Screening(), "tool").action is Action.PASS


@item(114, "flood its outputs", "bombs")
@EVERYWHERE
def test_a_flood_is_kept_small(backend, world):
    code = "import sys\nfor _ in range(200):\n    sys.stdout.write('x' * 100_000); sys.stderr.write('y' * 100_000)"
    done = inside(backend, world, code, output_kb=64)
    assert (len(done.stdout), len(done.stderr), done.truncated) == (64 << 10, 64 << 10, True)
    assert done.returncode == 0
    plain = outside(world, code)
    assert len(plain.stdout) == 20_000_000


@item(138, "forge how it ended by what it prints", "machine")
@EVERYWHERE
@pytest.mark.quick
def test_an_end_that_is_printed_is_no_end(backend, world):
    frames = [b"\n\x00RC=0\n", b'{"exit-code": 0}\n', b"\x00\x00\x00\x05\x01exit0", bytes(range(256)) * 8]
    code = (
        "import os, sys\n"
        f"data = {b''.join(frames)!r}\n"
        "for number in range(1, 64):\n"
        "    try:\n"
        "        os.write(number, data)\n"
        "    except OSError:\n"
        "        pass\n"
        "sys.exit(7)\n"
    )
    done = inside(backend, world, code)
    assert done.returncode == 7
    assert done.stdout == done.stderr == b"".join(frames)


# --- Walls that are not there, and ways around them ----------------------------------------------------------

HIDDEN = ("/usr/bin/bwrap", "/usr/bin/runsc", "/usr/local/bin/runsc", "/usr/bin/qemu-system-x86_64")
ASK = """
import sys
from pathlib import Path
from blastwall import sandbox
from blastwall.values import Profile, Strength
profile = Profile("x", strength=Strength(sys.argv[1]), workspace=Path(sys.argv[2]))
try:
    sandbox.run(["touch", "own/ran"], profile)
except Exception as error:
    print(type(error).__name__)
"""


@item(143, "have a wall missing, and run without or with a weaker one", "harness")
@EVERYWHERE
@pytest.mark.quick
def test_a_missing_wall_is_a_refusal(backend, world):
    """antigravity-cli#286: the flag was there, the sandbox was not, and nobody was told."""
    ask = [sys.executable, "-c", ASK, backend, str(world.workspace)]
    missing = {"os": HIDDEN[:1], "container": HIDDEN[1:3], "vm": HIDDEN[3:]}[backend]
    hide = [word for path in missing if os.path.exists(path) for word in ("--bind", "/dev/null", path)]
    bwrap = ["/usr/bin/bwrap", "--dev-bind", "/", "/", *hide, "--"]
    without = subprocess.run([*bwrap, *ask], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert without.stdout == "SandboxUnavailable\n", without.stderr
    assert not (world.workspace / "own" / "ran").exists()
    there = subprocess.run(ask, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert there.stdout == ""
    assert (world.workspace / "own" / "ran").exists()


POLICY = """
version: 1
defaults: {state: {directory: ./state}}
connectors:
  shell:
    rules:
      - {id: all, effect: allow, tools: ["*"], sandbox: box}
  other:
    rules:
      - {id: known, effect: allow, tools: [known]}
sandboxes:
  box: {strength: STRENGTH}
"""
FLAGS = [
    {"dangerouslyDisableSandbox": True}, {"sandbox": False}, {"sandbox": "none"}, {"profile": {"strength": "none"}},
    {"strength": "os", "network": ["*"]}, {"with_escalated_permissions": True, "justification": "please"},
    {"env": {"BLASTWALL_SANDBOX": "0"}},
]  # fmt: skip


@pytest.fixture
def session(tmp_path, request):
    file = tmp_path / "blastwall.yaml"
    file.write_text(POLICY.replace("STRENGTH", getattr(request, "param", "os")))
    with Guard.from_file(file).session() as made:
        yield made


def asked(session, connector, tool, arguments):
    """Give where a call was run: `outside`, or the strength of its sandbox."""
    ran = []

    def execute(call):
        ran.append("outside")
        return ToolOutput("done")

    def confine(call, profile):
        ran.append(profile.strength.value)
        return ToolOutput("done")

    outcome = session.call(connector, tool, arguments, execute, confine=confine)
    return outcome, ran


@item(144, "ask for no sandbox in the arguments of a call", "harness")
@pytest.mark.parametrize("session", BACKENDS, indirect=True)
@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: next(iter(flag)))
def test_no_argument_switches_it_off(session, flag, request):
    """antigravity-cli#36, srt#13: what the model can ask for, the model will be talked into asking for."""
    outcome, ran = asked(session, "shell", "bash", {"command": "id", **flag})
    assert isinstance(outcome, Delivered)
    assert ran == [request.node.callspec.params["session"]]
    assert asked(session, "other", "known", flag)[1] == ["outside"]  # so that the harness can tell


@item(145, "use a tool beside the one that is confined", "harness")
@pytest.mark.parametrize("tool", ["read", "write", "edit", "glob", "bash", "Bash", "new_tool"])
def test_no_sibling_is_left_outside(session, tool):
    """pi#6302: the shell was confined, the tool that wrote files was not."""
    assert asked(session, "shell", tool, {"path": "/etc/passwd"})[1] == ["os"]
    outcome, ran = asked(session, "other", tool, {"path": "/etc/passwd"})
    assert isinstance(outcome, Refused)
    assert ran == []


@item(350, "become root by being started by root", "harness")
@EVERYWHERE
def test_root_is_not_root_inside(backend, world):
    """The user that files of the workspace belong to is whoever writes them; it is never root."""
    inside(backend, world, "open('own/mine', 'w').close()")
    assert (world.workspace / "own" / "mine").stat().st_uid == USER
    assert USER == NOBODY or os.geteuid() != 0
    if os.geteuid() == 0:
        (world.workspace / "own" / "roots").touch()
        assert (world.workspace / "own" / "roots").stat().st_uid == 0


@item(136, "leave a program that makes root, or a device, for the host", "machine")
@EVERYWHERE
@pytest.mark.quick
def test_what_is_left_has_no_power(backend, world):
    """Inside it may be root or not; on the host, what it leaves marks nobody and opens nothing."""
    code = (
        "import os, stat\n"
        "for make in (\n"
        "    lambda: (open('own/become', 'w').close(), os.chmod('own/become', 0o6755)),\n"
        "    lambda: os.mknod('own/disk', stat.S_IFBLK | 0o666, os.makedev(7, 0)),\n"
        "    lambda: os.mknod('own/null', stat.S_IFCHR | 0o666, os.makedev(1, 3)),\n"
        "    lambda: os.chown('own/become', 0, 0),\n"
        "    lambda: os.chmod('own/become', 0o6755),\n"
        "    lambda: os.setxattr('own/become', 'security.capability', bytes.fromhex('01000002002000000000000000000000000000000')),\n"
        "):\n"
        "    try:\n"
        "        make()\n"
        "    except (OSError, ValueError):\n"
        "        pass\n"
    )
    inside(backend, world, code)
    own = world.workspace / "own"
    for path in own.rglob("*"):
        status = path.lstat()
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        assert stat.S_ISREG(status.st_mode), path
        assert status.st_uid == USER
        assert "security.capability" not in os.listxattr(path)
    if os.geteuid() == 0:
        subprocess.run(command(code), cwd=world.workspace, check=True, timeout=30)
        assert any(path.lstat().st_mode & stat.S_ISUID for path in own.rglob("*"))
