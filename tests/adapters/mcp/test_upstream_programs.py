"""A server in a sandbox that shows nearly nothing finds its own program there, and little else."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from tests.adapters.mcp.pools import said, talkative
from tests.adapters.mcp.rig import NEEDS_SANDBOX, UPSTREAMS, policy

from blastwall.errors import SandboxUnavailable
from blastwall.guard import Guard
from blastwall.sandbox import bubblewrap
from blastwall.values import Profile, Server
from blastwall_mcp.upstreams.pool import Pool
from blastwall_mcp.upstreams.programs import files


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def made(path: Path, text: str = "", executable: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if executable else 0o644)
    return path


def test_the_systems_programs_need_nothing(home):
    assert files(("sh", "-c", "true"), home, "/usr/bin:/bin") == ()
    assert files(("no-such-program",), home, "/usr/bin") == ()
    assert files(("/no/such/program",), home, "/usr/bin") == ()


def test_this_python_and_its_environment():
    found = files((sys.executable, str(UPSTREAMS / "talkative.py")), None, "")
    assert {Path(sys.prefix), UPSTREAMS} <= set(found)
    assert any(Path(sys.base_prefix).is_relative_to(one) for one in found) or sys.base_prefix.startswith(
        "/usr"
    )


def test_a_script_of_an_environment_leads_to_all_of_it(home):
    base = made(home / "python" / "bin" / "python3").parent.parent
    made(home / "venv" / "pyvenv.cfg", f"home = {base}/bin\nversion = 3\n")
    python = made(home / "venv" / "bin" / "python")
    server = made(home / "venv" / "bin" / "some-server", f"#!{python}\n")
    assert set(files(("some-server",), None, str(server.parent))) == {server, home / "venv", base, python}


def test_a_program_of_npm_leads_to_its_modules(home):
    real = made(home / "app" / "node_modules" / "it" / "dist" / "index.js", "#!/usr/bin/env -S node\n")
    link = home / "app" / "node_modules" / ".bin" / "it"
    link.parent.mkdir()
    link.symlink_to(real)
    node = made(home / "node" / "bin" / "node", "\x7fELF")
    found = set(files((str(link),), None, str(node.parent)))
    assert found == {link, real, home / "app" / "node_modules", node}


def test_a_script_beside_others_shows_its_folder_but_no_home(home):
    script = made(home / "servers" / "it.py", executable=False)
    assert set(files(("/bin/sh", "it.py", "missing.py", "data.txt"), script.parent, "")) == {
        script,
        script.parent,
    }
    bare = made(home / "it.py")
    assert files(("/bin/sh", str(bare)), None, "") == (bare,)
    for above in ("/", home.parent):
        deep = made(Path(above) / "x.py") if above != "/" else bare
        assert Path(above) not in files(("/bin/sh", str(deep)), None, "")


def test_programs_that_lead_in_a_circle_are_not_followed_for_ever(home):
    one, two = home / "a" / "one", home / "b" / "two"
    made(one, f"#!{two}\n")
    made(two, f"#!{one}\n")
    assert set(files((str(one),), None, "")) == {one, two}


@NEEDS_SANDBOX
async def test_a_server_runs_in_a_sandbox_that_knows_nothing_of_it(tmp_path, home):
    server = talkative(Path("/tmp"), "modern", profile=Profile("box"), program_readable=True)
    guard = Guard.from_file(str(policy(tmp_path, {"it": {"rules": []}})))
    with guard.session() as session:
        async with anyio.create_task_group() as tasks:
            servers = Pool({"it": server}, session.boxes.launch, tasks)
            assert await said(servers.upstream("it"), "pid") != os.getpid()
            await servers.aclose()
            tasks.cancel_scope.cancel()


async def test_where_there_is_no_sandbox_it_is_said_what_else_can_be_done(monkeypatch, tmp_path):
    monkeypatch.setattr(bubblewrap.os, "access", lambda *_: False)
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(bubblewrap, "tools", bubblewrap.tools.__wrapped__)

    @contextmanager
    def launch(argv, profile):
        yield bubblewrap.tools()

    async with anyio.create_task_group() as tasks:
        server = Server(command=("true",), profile=Profile("server"))
        with pytest.raises(SandboxUnavailable) as caught:
            await Pool({"it": server}, launch, tasks).upstream("it").ensure()
    said = str(caught.value)
    assert said.startswith("the server of connector it can't be confined: no sandbox: bubblewrap is missing")
    for way in ("apt-get install bubblewrap", "name a profile", "`sandbox: none`"):
        assert way in said
