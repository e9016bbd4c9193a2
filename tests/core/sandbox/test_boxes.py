"""The sandboxes of a session: what its calls share, what they don't, and that nothing is left of them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.egress.sites import SECRET, allow, needed, running

from blastwall.errors import BackendError
from blastwall.sandbox import cgroups, lease
from blastwall.sandbox.boxes import Boxes
from blastwall.sandbox.changes import diff
from blastwall.sandbox.copies import Copies, of_user
from blastwall.sandbox.merge import apply
from blastwall.values import Credential, Destination, Lifetime, Profile, Source, Strength

OS, CONTAINER, VM = Strength
CALL, SESSION = Lifetime
PROGRAMS = {OS: "bwrap", CONTAINER: "runsc", VM: "qemu-system-x86_64"}
CREDENTIAL = Credential("api", Source.ENV, ("BOXES_TEST_SECRET",), ("api.test",), "API_TOKEN")
ASK = """
import os, sys, urllib.request as u
print(os.environ.get("API_TOKEN"))
for url in sys.argv[1:]:
    try:
        asked = u.Request(url, headers={"Authorization": "Bearer " + os.environ.get("API_TOKEN", "")})
        print(u.urlopen(asked, timeout=20).read().decode())
    except OSError as error:
        print("REFUSED", error)
"""
KINDS = [
    pytest.param({"strength": OS}, id="os"),
    pytest.param({"strength": CONTAINER}, id="container"),
    pytest.param({"strength": CONTAINER, "lifetime": SESSION}, id="container-session"),
    pytest.param({"strength": VM, "lifetime": SESSION}, id="vm-session"),
]


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("BOXES_TEST_SECRET", SECRET)


@pytest.fixture
def kind(profile):
    """Gives a profile of this kind, where there is one."""

    def make(**changes):
        needed(PROGRAMS[changes.get("strength", OS)])
        return replace(profile, **{"timeout_s": 60, "memory_mb": 256, "scratch_mb": 16, **changes})

    return make


@pytest.fixture
def boxes():
    with Boxes({"api": CREDENTIAL}) as made:
        yield made


@pytest.fixture
def site():
    with running() as found:
        yield found


def shell(boxes, profile, text, **options):
    done = boxes.run(["sh", "-c", text], profile, **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def held():
    """Say what this process has that a sandbox could have left."""
    return {
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in _open()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "children": _children(),
        "entries": sorted(path.name for path in lease.folder().glob(f"owners/{os.getpid()}-*/*.json")),
        "groups": sorted(
            str(path)
            for top in cgroups.hierarchy().folders
            for path in Path(top).glob(f"blastwall-{os.getpid()}-*")
        ),
    }


def _open():
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


def _children():
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
        except OSError:
            continue
    return sorted(found)


@contextmanager
def leaving_nothing():
    """Check that what is made in the block is gone at its end."""
    with Boxes() as first:  # the reaper, and what is loaded once
        first.run(["true"], Profile("first"))
    before = held()
    yield
    deadline = time.monotonic() + 5
    while (after := held()) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert after == before


class TestEveryKind:
    @pytest.mark.parametrize("changes", KINDS)
    def test_a_command_a_function_a_network_and_a_copy(self, kind, workspace, site, changes, request):
        """One sandbox for all of it, because a machine takes seconds to boot."""
        (workspace / "old.txt").write_text("old")
        profile = kind(**changes, copy=True, network=(allow("api.test", site),), credentials=("api",))
        urls = [f"http://{host}:{site.port}/{request.node.callspec.id}" for host in ("api.test", "evil.test")]
        seen = []
        with leaving_nothing():
            with Boxes({"api": CREDENTIAL}, seen.append) as boxes:
                # The command: it sees the copy under the workspace's own path.
                code, out, err = shell(boxes, profile, "pwd; cat old.txt; echo new > old.txt; cat -")
                assert (code, out, err) == (0, f"{workspace}\nold", ""), "the input is empty"
                assert shell(boxes, profile, "cat old.txt")[1] == "new\n"
                assert (workspace / "old.txt").read_text() == "old"
                # The network: the placeholder inside, the secret outside.
                done = boxes.run(["python3", "-c", ASK, *urls], profile)
                placeholder, answer, refused = done.stdout.decode().splitlines()
                assert placeholder.startswith("blastwall-placeholder-api-")
                assert refused.startswith("REFUSED")
                assert site.asked[0].header("authorization") == [f"Bearer {SECRET}"]
                assert SECRET not in answer
                assert placeholder in answer, "an echo gives the placeholder back"
                # The function.
                assert boxes.call(_spelled, {"words": ["a", "b"]}, profile) == "a, b"
                (copy,) = boxes.copies
            assert [(d.allowed, d.host) for d in seen if d.method != "CLOSE"] == [
                (True, "api.test"),
                (False, "evil.test"),
            ]
        assert [change.path for change in diff(of_user().find(copy.id))] == ["old.txt"]
        assert apply(copy).done == ("old.txt",)
        assert (workspace / "old.txt").read_text() == "new\n"

    @pytest.mark.parametrize("changes", KINDS[1:])
    def test_what_a_call_leaves_in_tmp(self, boxes, kind, changes):
        profile = kind(**changes, workspace=None)
        shell(boxes, profile, "echo mine > /tmp/left")
        stays = changes.get("lifetime") is SESSION
        assert shell(boxes, profile, "cat /tmp/left")[1] == ("mine\n" if stays else "")


def _spelled(words: list[str]) -> str:
    return ", ".join(words)


class TestSharing:
    def test_each_profile_has_a_gate_of_its_own(self, boxes, kind, site):
        one = kind(network=(allow("api.test", site),), credentials=("api",))
        other = replace(one, name="other")
        ask = ["python3", "-c", ASK]
        first, again, second = (boxes.run(ask, profile).stdout for profile in (one, one, other))
        assert first == again != second
        assert {key[0] for key in boxes._slots} == {"gate"}
        assert len(boxes._slots) == 2

    def test_nothing_is_made_for_who_needs_nothing(self, boxes, kind):
        shell(boxes, kind(), "true")
        assert boxes._slots == {}

    def test_one_copy_for_all_profiles_of_a_workspace(self, boxes, kind):
        one, other = kind(copy=True), kind(copy=True, name="other", timeout_s=20)
        shell(boxes, one, "echo 1 > file")
        assert shell(boxes, other, "cat file")[1] == "1\n"
        assert len(boxes.copies) == 1

    def test_a_copy_in_which_nothing_changed_vanishes(self, kind, workspace):
        (workspace / "file").write_text("x")
        with Boxes() as boxes:
            shell(boxes, kind(copy=True), "cat file")
            assert len(of_user().ids()) == 1
        assert of_user().ids() == []
        assert boxes.copies == []

    def test_a_copy_is_held_while_the_session_lasts(self, kind):
        with Boxes() as boxes:
            shell(boxes, kind(copy=True), "echo 1 > file")
            with pytest.raises(BackendError, match="something still runs in the copy"):
                of_user().discard(boxes.copies[0].id)
        of_user().discard(boxes.copies[0].id)

    def test_ready_workers(self, boxes, kind):
        profile = kind(warm=1)
        assert boxes.call(_spelled, {"words": ["a"]}, profile) == "a"
        assert [key[0] for key in boxes._slots] == ["pool"]
        assert asyncio.run(boxes.acall(_spelled, {"words": ["b"]}, profile)) == "b"

    def test_ready_workers_behind_a_gate(self, boxes, kind, site):
        profile = kind(warm=1, network=(allow("api.test", site),), credentials=("api",))

        def ask(url):
            import os
            import urllib.request

            headers = {"Authorization": os.environ["API_TOKEN"]}
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status

        for number in range(2):
            assert boxes.call(ask, {"url": f"http://api.test:{site.port}/{number}"}, profile) == 200
        assert [asked.header("authorization") for asked in site.asked] == [[SECRET]] * 2

    def test_what_is_made_for_one_does_not_hold_up_another(self, boxes, kind, monkeypatch):
        """Somebody's machine takes long to boot; meanwhile everybody else goes on."""
        booting, go = threading.Event(), threading.Event()

        def slow(self, profile, gate):
            def make():
                booting.set()
                go.wait(20)
                raise BackendError("no machine")

            return self._once("machine", profile, make)

        monkeypatch.setattr(Boxes, "_machine", slow)
        machine = kind(lifetime=SESSION, strength=VM)
        failed = []

        def wait():
            try:
                shell(boxes, machine, "true")
            except BackendError as error:
                failed.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        assert booting.wait(10)
        assert shell(boxes, kind(copy=True), "echo there")[1] == "there\n"
        go.set()
        thread.join()
        assert failed == ["no machine"]

    def test_what_could_not_be_made_is_tried_again(self, boxes):
        def broken():
            raise BackendError("not now")

        with pytest.raises(BackendError, match="not now"):
            boxes._once("thing", Profile("p"), broken)
        assert boxes._once("thing", Profile("p"), lambda: 1) == 1


class TestGates:
    def test_a_credential_that_nobody_defined(self, kind):
        profile = kind(network=(Destination("api.test"),), credentials=("nobody",))
        with Boxes() as boxes, pytest.raises(BackendError, match="'nobody', which nobody defined: add it"):
            boxes.run(["true"], profile)

    def test_a_credential_that_is_not_there(self, boxes, kind, monkeypatch):
        monkeypatch.delenv("BOXES_TEST_SECRET")
        profile = kind(network=(Destination("api.test"),), credentials=("api",))
        with pytest.raises(BackendError, match="BOXES_TEST_SECRET"):
            boxes.run(["touch", "ran"], profile)
        assert not (profile.workspace / "ran").exists()

    @pytest.mark.parametrize("changes", KINDS[:3])
    def test_a_dead_gate_means_that_nothing_leaves(self, boxes, kind, site, changes):
        profile = kind(**changes, network=(allow("api.test", site),))
        wait = f"echo there; read line; exec python3 -c '{ASK}' http://api.test:{site.port}/"
        with boxes.launch(["sh", "-c", wait], profile) as started:
            assert started.stdout.readline() == b"there\n"
            gate = boxes._gate(profile)
            gate._line._process.kill()
            gate._line._process.wait()
            started.stdin.write(b"\n")
            started.stdin.flush()
            assert b"REFUSED" in started.stdout.read(), started.stderr.read()
        if changes.get("lifetime") is SESSION:
            assert "REFUSED" in shell(boxes, profile, wait, stdin=b"\n")[1]
        else:
            with pytest.raises(BackendError, match=r"process is gone: nothing can leave; start a new"):
                boxes.run(["true"], profile)
        assert site.connections == 0

    def test_what_is_not_recorded_does_not_leave(self, kind, site):
        def record(decision):
            raise OSError("the disk is full")

        with Boxes({}, record) as boxes:
            done = boxes.run(
                ["python3", "-c", ASK, f"http://api.test:{site.port}/"],
                kind(network=(allow("api.test", site),)),
            )
        assert b"REFUSED" in done.stdout
        assert site.connections == 0


def _sleeping() -> None:
    import time

    with open("begun", "w"):
        pass
    time.sleep(50)


_SLEEP = ("sh", "-c", "touch begun; sleep 50")
WAYS = {
    "run": lambda boxes, profile: boxes.run(_SLEEP, profile),
    "arun": lambda boxes, profile: asyncio.run(boxes.arun(_SLEEP, profile)),
    "call": lambda boxes, profile: boxes.call(_sleeping, {}, profile),
    "acall": lambda boxes, profile: asyncio.run(boxes.acall(_sleeping, {}, profile)),
}


class TestTheEnd:
    def test_after_it_nothing_is_made(self, kind):
        boxes = Boxes()
        boxes.close()
        boxes.close()
        for profile in (
            kind(),
            kind(warm=1),
            kind(copy=True),
            kind(network=(Destination("a.test"),)),
            replace(kind(), strength=CONTAINER, lifetime=SESSION),
            replace(kind(), strength=VM),
        ):
            with pytest.raises(BackendError, match="the session is over"):
                boxes.run(["touch", "ran"], profile)
            with pytest.raises(BackendError, match="the session is over"):
                boxes.call(_spelled, {"words": []}, profile)
            with pytest.raises(BackendError, match="the session is over"):
                asyncio.run(boxes.arun(["touch", "ran"], profile))
            with pytest.raises(BackendError, match="the session is over"):
                asyncio.run(boxes.acall(_spelled, {"words": []}, profile))
        assert list(profile.workspace.iterdir()) == []
        assert of_user().ids() == []

    @pytest.mark.parametrize("way", [*WAYS])
    @pytest.mark.parametrize("changes", [*KINDS[:3], pytest.param({"strength": OS, "warm": 1}, id="warm")])
    def test_what_runs_ends_with_an_error(self, kind, way, changes):
        profile, boxes, ended = kind(**changes), Boxes(), []

        def work():
            try:
                ended.append(WAYS[way](boxes, profile))
            except BackendError as error:
                ended.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        deadline = time.monotonic() + 20
        while not (profile.workspace / "begun").exists():
            assert time.monotonic() < deadline
            assert not ended, ended
            time.sleep(0.01)
        began = time.monotonic()
        boxes.close()
        thread.join(20)
        assert time.monotonic() - began < 10
        (said,) = ended
        assert "the session is over" in said or "the pool of sandbox workers was closed" in said

    def test_who_was_just_starting(self, kind):
        """Twenty threads start things while it closes: each ends, with a result or with an error."""
        boxes, ended = Boxes(), []

        def work():
            for _ in range(50):
                try:
                    boxes.run(["sleep", "0.01"], kind())
                except BackendError as error:
                    ended.append(str(error))
                    return

        with leaving_nothing():
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            boxes.close()
            for thread in threads:
                thread.join(20)
        assert len(ended) == len(threads)
        assert all("the session is over" in text for text in ended)

    def test_from_many_threads(self, kind):
        boxes = Boxes()
        boxes.call(_spelled, {"words": []}, kind(warm=1))
        threads = [threading.Thread(target=boxes.close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()

    def test_a_result_that_was_there_already_stays_one(self, kind):
        boxes = Boxes()
        with boxes.launch(["echo", "done"], kind()) as started:
            out = started.stdout.read()
            assert started.wait() == 0
            boxes.close()
        assert out == b"done\n"

    def test_an_error_of_the_caller_s_is_its_own(self, kind):
        def use(boxes):
            with boxes.launch(["sleep", "50"], kind()):
                boxes.close()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            use(Boxes())


class TestAwaited:
    async def _ticks(self, doing):
        """Give the result, and the longest time that the event loop stood still meanwhile."""
        longest, done = 0.0, asyncio.ensure_future(doing)
        while not done.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before - 0.01)
        return await done, longest

    def test_the_event_loop_goes_on_while_something_is_made(self, boxes, kind, monkeypatch):
        make = Copies.make

        def slow(*given, **options):
            time.sleep(0.6)
            return make(*given, **options)

        monkeypatch.setattr(Copies, "make", slow)
        for doing in (
            boxes.arun(["echo", "a"], kind(copy=True)),
            boxes.acall(_spelled, {"words": ["a"]}, kind(copy=True, protect=("x",))),
        ):
            done, longest = asyncio.run(self._ticks(doing))
            assert longest < 0.5
            assert getattr(done, "stdout", done) in (b"a\n", "a")

    @pytest.mark.parametrize("warm", [0, 1])
    def test_a_machine_for_one_call(self, kind, warm):
        """It boots in a thread; the event loop goes on, and afterwards it is gone."""
        profile = kind(strength=VM, memory_mb=128, warm=warm)
        with leaving_nothing(), Boxes() as boxes:
            done, longest = asyncio.run(self._ticks(boxes.arun(["pwd"], profile)))
            assert done.stdout.decode() == f"{profile.workspace}\n"
            assert longest < 1.5

    @pytest.mark.parametrize("changes", KINDS[1:])
    def test_cancelled(self, kind, changes):
        """Whatever it is doing, it ends, and nothing of it is left."""
        profile = kind(**changes)

        async def main(boxes, after):
            task = asyncio.ensure_future(boxes.arun(["sh", "-c", "touch begun; sleep 50"], profile))
            await asyncio.sleep(after)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with leaving_nothing(), Boxes() as boxes:
            for after in (0, 0.05, 0.3, 1):
                asyncio.run(main(boxes, after))


PROGRAM = """
import os, sys, threading
from pathlib import Path
from blastwall.errors import BackendError
from blastwall.sandbox.boxes import Boxes
from blastwall.values import *
how, workspace, strength = sys.argv[1:]
profile = Profile("left", workspace=Path(workspace), copy=True, strength=Strength(strength), memory_mb=256,
                  lifetime=Lifetime.SESSION, network=(Destination("a.test"),), warm=1)
boxes = Boxes()
def mark(): return 1
if strength == "os":
    assert boxes.call(mark, {}, profile) == 1
def work():
    try:
        boxes.run(["sh", "-c", "echo 1 > file; sleep 41"], profile)
    except BackendError as error:
        assert "the session is over" in str(error)
threading.Thread(target=work, daemon=True).start()
while not any(Path(copy.folder, "file").exists() for copy in boxes.copies): pass
print("there", flush=True)
sys.stdin.readline()
if how == "end": sys.exit()
if how == "die": os.kill(os.getpid(), 9)
if how == "raise": raise KeyboardInterrupt
"""


class TestWithoutAnEnd:
    @pytest.mark.parametrize("strength", ["os", "container"])
    @pytest.mark.parametrize("how", ["end", "die", "raise"])
    def test_nobody_closed_it(self, workspace, how, strength, alive):
        needed(PROGRAMS[Strength(strength)])
        argv = [sys.executable, "-c", PROGRAM, how, str(workspace), strength]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program:
            assert program.stdout.readline() == b"there\n", program.stderr.read()
            below = _below(program.pid)
            assert len(below) >= 4
            _, errors = program.communicate(b"\n", timeout=20)
        if how == "end":
            assert (program.returncode, errors) == (0, b"")
        deadline = time.monotonic() + 10
        while left := [pid for pid, started in below.items() if _started(pid) == started]:
            assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
            time.sleep(0.02)
        while left := list(lease.folder().glob(f"owners/{program.pid}-*")):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)
        assert list(workspace.iterdir()) == []
        assert len(of_user().ids()) == 1, "what was changed stays, to be reviewed"


def _started(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _below(top):
    """Give all processes below one, and when they started."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(entry))
    found, ahead = {}, [top]
    while ahead:
        for pid in children.get(ahead.pop(), []):
            found[pid] = _started(pid)
            ahead.append(pid)
    return found


class TestForked:
    @pytest.mark.parametrize("changes", [KINDS[0], KINDS[2]])
    def test_a_child_has_its_own_and_leaves_its_parent_s_alone(self, boxes, kind, site, changes):
        profile = kind(**changes, network=(allow("api.test", site),), credentials=("api",), workspace=None)
        argv = ["python3", "-c", ASK, f"http://api.test:{site.port}/"]
        mine = boxes.run(argv, profile).stdout.split(b"\n")[0]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                done = boxes.run(argv, profile)
                os.write(write, done.stdout.split(b"\n")[0] + b" " + str(done.returncode).encode())
                boxes.close()
                code = 0
            finally:
                lease._end()
                os._exit(code)
        os.close(write)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with os.fdopen(read, "rb") as pipe:
            placeholder, code = pipe.read().split()
        assert code == b"0"
        assert placeholder.startswith(b"blastwall-placeholder")
        assert placeholder != mine
        again = boxes.run(argv, profile)
        assert again.stdout.split(b"\n")[0] == mine
        assert b"REFUSED" not in again.stdout
        assert len(site.asked) == 3

    def test_a_lock_that_another_thread_held(self, boxes, kind):
        with boxes._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                try:
                    os._exit(boxes.run(["true"], kind()).returncode)
                finally:
                    os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
