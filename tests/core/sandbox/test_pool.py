"""Workers that are ready: each serves one call, shares nothing with the next, and leaves nothing behind."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import cgroups, pool
from blastwall.sandbox.lease import folder
from blastwall.sandbox.pool import Pool
from blastwall.values import Profile

PROFILE = Profile("pool", timeout_s=30, warm=1)


@pytest.fixture
def mark():
    return f"MARK-{uuid.uuid4().hex}"


@pytest.fixture
def marked(mark):
    """Starts workers whose processes can be told from all others."""
    return functools.partial(start_marked, mark)


@contextlib.contextmanager
def start_marked(mark, argv, *args, **options):
    *command, setup = argv
    with sandbox.launch([*command, json.dumps(json.loads(setup) | {"mark": mark})], *args, **options) as it:
        yield it


@pytest.fixture
def workers(marked):
    """A pool of one marked worker."""
    with Pool(PROFILE, launch=marked) as made:
        yield made


@pytest.fixture(params=["call", "acall"])
def call(request):
    """Both twins, called alike, when all workers are ready."""

    def call(workers, function, arguments=None):
        filled(workers)
        if request.param == "call":
            return workers.call(function, arguments or {})
        return asyncio.run(workers.acall(function, arguments or {}))

    return call


@pytest.fixture
def warm(monkeypatch):
    """Fills a pool, and from then on keeps its calls from making sandboxes of their own."""

    def only(workers):
        filled(workers)
        launch = workers._launch

        def refuse(*args, **options):
            if threading.current_thread() is not workers._keeper:
                raise SandboxUnavailable("no worker was ready")
            return launch(*args, **options)

        monkeypatch.setattr(workers, "_launch", refuse)

    return only


def until(true, within_s=30):
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def filled(workers):
    until(lambda: workers.ready() == workers.profile.warm)


def left(mark, alive):
    """Give what a moment does not make go away."""
    with contextlib.suppress(AssertionError):
        until(lambda: not alive(mark), 10)
    return alive(mark)


def own_groups():
    return [
        name
        for top in cgroups.hierarchy().folders
        for name in os.listdir(top)
        if name.startswith(f"blastwall-{os.getpid()}-")
    ]


def own_entries():
    return [
        entry for owner in (folder() / "owners").glob(f"{os.getpid()}-*") for entry in owner.glob("*.json")
    ]


class TestACall:
    def test_is_served_by_a_worker_that_was_ready(self, workers, call, warm):
        warm(workers)
        assert call(workers, lambda n: n + 1, {"n": 1}) == 2

    def test_without_a_ready_worker_would_be_noticed(self, workers, warm):
        warm(workers)
        with workers._changed:
            workers._spent += workers._ready
            workers._ready.clear()
        with pytest.raises(SandboxUnavailable, match="no worker was ready"):
            workers.call(lambda: None, {})

    def test_is_served_although_none_is_ready(self, call):
        with Pool(replace(PROFILE, warm=0)) as empty:
            assert call(empty, lambda: "ok") == "ok"

    def test_finds_what_most_functions_need_imported(self, workers, call, warm):
        def loaded():
            import sys

            return sorted({"asyncio", "cloudpickle", "pydantic", "pydantic.main"} & set(sys.modules))

        warm(workers)
        assert call(workers, loaded) == ("asyncio", "cloudpickle", "pydantic", "pydantic.main")

    def test_shares_nothing_with_the_next(self, workers, call):
        def plant():
            import builtins
            import os

            places = ["/tmp", "/dev/shm", "/run", os.environ["HOME"], os.getcwd()]
            found = [os.path.exists(f"{place}/planted") for place in places]
            found += [hasattr(builtins, "planted"), "PLANTED" in os.environ]
            for place in places:
                open(f"{place}/planted", "w").close()
            builtins.planted = True
            os.environ["PLANTED"] = "yes"
            return found

        assert call(workers, lambda: [plant(), plant()]) == ((False,) * 7, (True,) * 7)
        assert [call(workers, plant) for _ in range(3)] == [(False,) * 7] * 3

    def test_is_alone_in_its_sandbox(self, call):
        def others():
            import os

            return sorted(entry for entry in os.listdir("/proc") if entry.isdigit())

        with Pool(replace(PROFILE, warm=2)) as workers:
            assert len(call(workers, others)) <= 3

    def test_writes_the_workspace(self, workspace, call):
        with Pool(replace(PROFILE, workspace=workspace)) as workers:
            call(workers, lambda: open("file", "w").write("inside"))
            assert (workspace / "file").read_text() == "inside"

    def test_of_a_large_request(self, workers, call, warm):
        """More than a pipe holds."""
        warm(workers)
        assert call(workers, lambda text: len(text), {"text": "x" * 1_000_000}) == 1_000_000
        assert not [thread for thread in threading.enumerate() if thread.name.endswith("(_feed)")]

    def test_that_can_not_be_pickled_costs_no_worker(self, workers, call):
        lock = threading.Lock()
        with pytest.raises(BackendError, match="must not hold open files"):
            call(workers, lambda: lock.locked())
        assert workers.ready() == 1

    def test_leaves_no_descriptor(self, call):
        with Pool(PROFILE) as workers:
            call(workers, lambda: None)
            filled(workers)
            until(lambda: not workers._spent)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                call(workers, lambda: None)
            filled(workers)
            until(lambda: not workers._spent)
            assert len(os.listdir("/proc/self/fd")) <= before

    def test_in_another_process_than_its_own(self, workers, call, monkeypatch):
        filled(workers)
        with monkeypatch.context() as patch:
            patch.setattr(workers, "_pid", 0)
            assert call(workers, lambda: "ok") == "ok"
            workers.close()
        assert workers.ready() == 1

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that is what it is about
    def test_in_a_forked_child_takes_no_worker_of_its_parent(self, workers):
        filled(workers)
        read, write = os.pipe()
        with workers._changed:  # as another thread may hold it at that moment
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    os.write(write, str(workers.call(lambda: 42, {})).encode())
                    workers.close()
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with open(read, "rb") as pipe:
            assert pipe.read() == b"42"
        assert workers.ready() == 1
        assert workers.call(lambda: 43, {}) == 43


class TestDestroyed:
    def test_after_its_call(self, workers, call, mark, alive):
        def leave(mark):
            import subprocess

            subprocess.Popen(["sh", "-c", "sleep 300; :", mark], start_new_session=True)

        for _ in range(3):
            filled(workers)
            before = set(alive(mark))
            call(workers, leave, {"mark": f"CHILD-{mark}"})
            assert alive(f"CHILD-{mark}") == []
            assert not before & set(alive(mark))

    def test_after_its_time_which_begins_with_the_call(self, marked, call):
        def wait():
            import time

            time.sleep(300)

        with Pool(replace(PROFILE, timeout_s=1), launch=marked) as workers:
            filled(workers)
            time.sleep(1.2)
            assert call(workers, lambda: "ok") == "ok"
            began = time.monotonic()
            with pytest.raises(BackendError, match="stopped after 1 s, its limit in 'pool'"):
                call(workers, wait)
            assert time.monotonic() - began < 10

    def test_when_nobody_reads_the_request(self, tmp_path, monkeypatch):
        """The worker is still busy with an import, and the request is more than a pipe holds."""
        preload = importable(tmp_path, "import time; time.sleep(300)", monkeypatch)
        slow = replace(PROFILE, read=(tmp_path,), preload=(preload,), timeout_s=1)
        with Pool(slow) as workers:
            until(lambda: workers._ready)
            with pytest.raises(BackendError, match="stopped after 1 s"):
                workers.call(len, {"text": "x" * 1_000_000})
            until(lambda: not any("_feed" in thread.name for thread in threading.enumerate()))

    async def test_after_a_cancellation(self, workers, mark, alive):
        def wait(mark):
            import subprocess

            subprocess.run(["sh", "-c", "sleep 300; :", mark])

        await asyncio.to_thread(filled, workers)
        task = asyncio.create_task(workers.acall(wait, {"mark": f"CHILD-{mark}"}))
        while not alive(f"CHILD-{mark}"):  # noqa: ASYNC110  # another process makes it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert alive(f"CHILD-{mark}") == []
        assert await workers.acall(lambda: "ok", {}) == "ok"

    def test_after_a_keyboard_interrupt(self, workers, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        filled(workers)
        with monkeypatch.context() as patch:
            patch.setattr(pool, "pump", interrupt)
            with pytest.raises(KeyboardInterrupt):
                workers.call(lambda: None, {})
        assert workers.call(lambda: "ok", {}) == "ok"

    def test_that_died_during_its_call(self, workers, call):
        def die():
            import os

            os.kill(os.getpid(), 9)

        with pytest.raises(BackendError, match=r"no result \(exit code 137\)"):
            call(workers, die)
        assert call(workers, lambda: "ok") == "ok"

    def test_that_died_while_it_waited(self, workers, call, mark, alive):
        filled(workers)
        (first,) = workers._ready
        os.kill(max(alive(mark)), signal.SIGKILL)
        until(first.dead)
        assert workers.ready() == 0
        assert workers.call(lambda: "ok", {}) == "ok"
        assert call(workers, lambda: "ok") == "ok"

    def test_that_died_while_it_was_asked(self):
        """The pipe is broken, so the request can't have been read, and may go to another."""
        done = subprocess.Popen(["true"], stdin=subprocess.PIPE)
        with done:
            done.wait()
            assert not pool._fed(done, b"request")


def importable(tmp_path, code, monkeypatch):
    """Make a module that can be imported inside when the folder is readable."""
    tmp_path.chmod(0o755)
    name = f"module_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return name


class TestMany:
    def test_threads(self):
        with Pool(replace(PROFILE, warm=2)) as workers, ThreadPoolExecutor(20) as threads:
            calls = [threads.submit(workers.call, first_here, {"n": n}) for n in range(20)]
            assert [call.result() for call in calls] == list(range(20))

    async def test_tasks(self):
        with Pool(replace(PROFILE, warm=2)) as workers:
            found = await asyncio.gather(*(workers.acall(first_here, {"n": n}) for n in range(20)))
        assert found == list(range(20))

    def test_no_two_calls_get_the_same_worker(self):
        with Pool(replace(PROFILE, warm=3)) as workers, ThreadPoolExecutor(3) as threads:
            for _ in range(3):
                filled(workers)
                calls = [threads.submit(workers.call, first_here, {"n": n}) for n in range(3)]
                assert [call.result() for call in calls] == [0, 1, 2]


def first_here(n):
    """Fail in a sandbox that another call has used."""
    import os

    os.mkdir("/tmp/mine")
    return n


class TestClose:
    def test_leaves_nothing(self, marked, mark, alive):
        threads = threading.active_count()
        with Pool(replace(PROFILE, warm=3), launch=marked) as workers:
            filled(workers)
            workers.call(lambda: None, {})
            assert alive(mark)
            assert own_entries()
            assert own_groups() or not cgroups.hierarchy().folders
        assert alive(mark) == []
        assert own_entries() == []
        assert own_groups() == []
        assert threading.active_count() == threads

    @pytest.mark.parametrize("after_s", [0, 0.002, 0.01, 0.03])
    def test_while_one_is_started(self, marked, mark, alive, after_s):
        with Pool(replace(PROFILE, warm=2), launch=marked):
            time.sleep(after_s)
        assert alive(mark) == []
        assert own_entries() == []

    def test_twice(self, workers):
        workers.close()
        workers.close()

    def test_ends_the_calls_that_are_served(self, mark, alive, marked):
        def wait():
            import time

            time.sleep(300)

        workers = Pool(PROFILE, launch=marked)
        filled(workers)
        with ThreadPoolExecutor(2) as threads:  # one by the worker, one by a sandbox of its own
            calls = [threads.submit(workers.call, wait, {}) for _ in range(2)]
            until(lambda: len(workers._serving) == 2)
            time.sleep(0.1)
            workers.close()
            for call in calls:
                with pytest.raises(BackendError, match="the pool of sandbox workers was closed"):
                    call.result(20)
        assert alive(mark) == []
        assert own_entries() == []

    async def test_ends_the_calls_that_are_awaited(self):
        workers = Pool(PROFILE)
        await asyncio.to_thread(filled, workers)
        task = asyncio.create_task(workers.acall(time.sleep, {"seconds": 300}))
        await asyncio.sleep(0)
        workers.close()
        with pytest.raises(BackendError):
            await task

    def test_while_a_call_gets_its_sandbox(self):
        @contextlib.contextmanager
        def launch(*args, **options):
            with sandbox.launch(*args, **options) as running:
                workers.close()
                yield running

        workers = Pool(replace(PROFILE, warm=0), launch=launch)
        with pytest.raises(BackendError, match="the pool of sandbox workers was closed"):
            workers.call(time.sleep, {"seconds": 300})

    def test_nothing_runs_afterwards(self, workers, call):
        filled(workers)
        workers.close()
        with pytest.raises(BackendError, match="closed"):
            workers.call(lambda: pytest.fail("it ran"), {})

    @pytest.mark.parametrize("end", ["", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
    def test_comes_with_the_end_of_the_program(self, mark, alive, end, tmp_path):
        program = tmp_path / "program.py"
        program.write_text(
            textwrap.dedent(f"""
                import json, os, sys, time
                from blastwall import Profile, sandbox
                from blastwall.sandbox.pool import Pool
                def launch(argv, *args, **options):
                    *command, setup = argv
                    argv = [*command, json.dumps(json.loads(setup) | {{"mark": {mark!r}}})]
                    return sandbox.launch(argv, *args, **options)
                workers = Pool(Profile("end", warm=2), launch=launch)
                while workers.ready() < 2:
                    time.sleep(0.01)
                print("ready", flush=True)
                {end}
            """)
        )
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("ready\n", "")
        assert left(mark, alive) == []


class TestPreload:
    def test_it_is_there(self, call):
        def loaded():
            import sys

            return "colorsys" in sys.modules

        for modules in ((), ("colorsys",)):
            with Pool(replace(PROFILE, preload=modules)) as workers:
                assert call(workers, loaded) is bool(modules)

    def test_of_what_the_profile_reads(self, call, tmp_path, monkeypatch):
        name = importable(tmp_path, "print('noise'); WORD = 'hello'", monkeypatch)

        def word():
            import sys

            return sys.modules[name].WORD

        with Pool(replace(PROFILE, read=(tmp_path,), preload=(name,))) as workers:
            assert call(workers, word) == "hello"

    def test_that_does_not_exist(self, call):
        with Pool(replace(PROFILE, preload=("json", "no_such_module"))) as workers:
            message = r"'pool' preloads 'no_such_module', which can't .* \(ModuleNotFoundError\): install"
            with pytest.raises(BackendError, match=message):
                call(workers, lambda: pytest.fail("it ran"))

    def test_that_kills_its_worker(self, tmp_path, monkeypatch):
        name = importable(tmp_path, "import os; os._exit(7)", monkeypatch)
        with Pool(replace(PROFILE, read=(tmp_path,), preload=(name,))) as workers:
            for _ in range(2):
                with pytest.raises(BackendError, match=r"no result \(exit code 7\)"):
                    workers.call(lambda: None, {})


class TestUnavailable:
    def test_a_call_fails_as_it_would_without_a_pool(self, workers):
        """Never a call outside of a sandbox, and no pause until the next one is tried."""
        calls = []

        def missing(*_, **__):
            calls.append(threading.current_thread())
            raise SandboxUnavailable("no sandbox: install it")

        with Pool(PROFILE, launch=missing) as broken:
            until(lambda: calls)
            with pytest.raises(SandboxUnavailable, match="install it"):
                broken.call(lambda: pytest.fail("it ran"), {})
            time.sleep(0.2)
        assert len(calls) <= 3  # the keeper's, the call's, and the keeper's after that

    def test_one_that_can_not_be_built(self, monkeypatch):
        from blastwall.sandbox import bubblewrap

        arguments = bubblewrap._arguments
        monkeypatch.setattr(bubblewrap, "_arguments", lambda *given: ["--no-such-option", *arguments(*given)])
        with Pool(PROFILE) as workers:
            for _ in range(2):
                with pytest.raises(SandboxUnavailable, match="no-such-option"):
                    workers.call(lambda: pytest.fail("it ran"), {})
                until(lambda: workers._ready)

    def test_it_gets_better(self):
        broken = [True]

        def launch(*args, **options):
            if broken:
                raise SandboxUnavailable("no sandbox")
            return sandbox.launch(*args, **options)

        with Pool(PROFILE, launch=launch) as workers:
            until(lambda: not workers._may_start)
            broken.clear()
            assert workers.call(lambda: "ok", {}) == "ok"
            filled(workers)

    def test_a_profile_that_fits_nothing(self, tmp_path):
        with Pool(replace(PROFILE, read=(tmp_path / "missing",))) as workers:
            with pytest.raises(BackendError, match="does not exist"):
                workers.call(lambda: None, {})

    def test_an_interpreter_that_is_not_there(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with Pool(PROFILE) as workers, pytest.raises(BackendError, match="Python could not start inside"):
            workers.call(lambda: None, {})


class TestFreshness:
    """What changed since a worker was started is seen as by one that is started now."""

    @pytest.fixture(params=[True, False], ids=["checked", "unchecked"])
    def checked(self, request, monkeypatch):
        """Without the check, every attack of this class must succeed."""
        if not request.param:
            monkeypatch.setattr(pool, "_files", lambda _: {"unchecked": None})
        return request.param

    def test_credentials_that_came(self, home, checked):
        secret = home / ".pgpass"
        with Pool(replace(PROFILE, read=(home,))) as workers:
            filled(workers)
            secret.write_text("CANARY")
            secret.chmod(0o644)
            found = workers.call(lambda path: open(path).read(), {"path": str(secret)})
        assert found == ("" if checked else "CANARY")

    def test_credentials_that_were_replaced(self, home, checked):
        secret = home / ".netrc"
        with Pool(replace(PROFILE, read=(home,))) as workers:
            filled(workers)
            (home / "new").write_text("CANARY")
            (home / "new").chmod(0o644)
            (home / "new").rename(secret)
            found = workers.call(lambda path: open(path).read(), {"path": str(secret)})
        assert found == ("" if checked else "CANARY")

    def test_a_repository_that_came(self, workspace, checked):
        def hook():
            with open("sub/.git/hooks/post-commit", "w") as file:
                file.write("#!/bin/sh")

        with Pool(replace(PROFILE, workspace=workspace)) as workers:
            filled(workers)
            subprocess.run(["git", "init", "-q", "sub"], cwd=workspace, check=True)
            made = sorted((workspace / "sub").rglob("*"))
            for path in (workspace / "sub", *made):
                if os.geteuid() == 0:
                    os.chown(path, workspace.stat().st_uid, -1)
            with contextlib.suppress(sandbox.ToolRaised):
                workers.call(hook, {})
        assert (workspace / "sub/.git/hooks/post-commit").exists() is not checked

    def test_without_changes_they_are_used(self, workspace, home, warm):
        """Also when what stands in for missing things is only made for the first worker."""
        with Pool(replace(PROFILE, workspace=workspace, read=(home,))) as workers:
            warm(workers)
            for _ in range(3):
                filled(workers)
                workers.call(lambda: open("file", "w").close(), {})

    def test_what_changes_while_one_starts(self, workspace, monkeypatch):
        files = [{"/a": (1, 1)}, {"/a": (1, 2)}]
        monkeypatch.setattr(pool, "_files", lambda _: files.pop(0) if len(files) > 1 else files[0])
        with Pool(PROFILE) as workers:
            until(lambda: workers._ready)
            assert workers._ready[0].files == {}
