"""Which platform works here is found out by trying, under a timeout, and remembered for this boot only."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.gvisor import outer, platforms


@pytest.fixture(autouse=True)
def remembered(tmp_path, monkeypatch):
    """Nothing is remembered, neither here nor in a file."""
    monkeypatch.setattr(platforms, "folder", lambda: tmp_path)
    platforms._chosen.cache_clear()
    yield tmp_path / "gvisor.json"
    platforms._chosen.cache_clear()


@pytest.fixture
def tried(monkeypatch):
    """Says of every platform what `answers` holds for it."""
    answers, asked = {}, []

    def problem_of(platform):
        asked.append(platform)
        return answers.get(platform, "no")

    monkeypatch.setattr(platforms, "problem_of", problem_of)
    return answers, asked


def test_one_works_here(remembered):
    assert platforms.chosen() in platforms.PLATFORMS
    assert json.loads(remembered.read_text())["platform"] == platforms.chosen()


def test_one_that_does_not_exist_says_so():
    assert "unknown platform" in platforms.problem_of("nonsense")


def test_one_that_hangs_is_given_up(monkeypatch, processes):
    below, gone = processes
    monkeypatch.setattr(platforms, "PATIENCE_S", 0.5)
    monkeypatch.setattr(outer, "runsc_words", lambda: ["/bin/sh", "-c", "sleep 60"])
    assert platforms.problem_of("ptrace") == "it hung for 0.5 s"
    assert gone([found for found in below(os.getpid()) if found.name == "sleep"]) == []


def test_the_first_that_works_is_taken_and_remembered(remembered, tried):
    answers, asked = tried
    answers["ptrace"] = None
    assert platforms.chosen() == platforms.chosen() == "ptrace"
    platforms._chosen.cache_clear()
    assert platforms.chosen() == "ptrace"
    assert asked == ["systrap", "ptrace"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"machine": [], "platform": "ptrace"}', '{"machine": MACHINE, "platform": "evil"}'],
)
def test_a_memory_of_something_else_is_not_believed(remembered, tried, text):
    answers, asked = tried
    answers["ptrace"] = None
    remembered.write_text(text.replace("MACHINE", json.dumps(platforms._machine(outer.runsc()))))
    assert platforms.chosen() == "ptrace"
    assert asked == ["systrap", "ptrace"]


def test_none_works(remembered, tried):
    with pytest.raises(
        SandboxUnavailable, match=r"can't run here \(systrap: no, ptrace: no, kvm: no\); it needs"
    ):
        platforms.chosen()
    assert not remembered.exists()


ORDINARY = """
import sys
from dataclasses import replace
from pathlib import Path
from blastwall import sandbox
from blastwall.sandbox.gvisor.session import Container
from blastwall.values import Profile, Strength
profile = Profile("ordinary", strength=Strength.CONTAINER, workspace=Path(sys.argv[1]), timeout_s=30)
command = ["sh", "-c", "id -u; echo x > $0; echo evil > .bashrc"]
print(sandbox.run([*command, "call"], profile).stdout)
with Container(profile) as box:
    start = lambda argv, profile, *, stdin, read: box.start(argv, stdin=stdin, read=read)
    print(sandbox.run([*command, "session"], profile, launch=start).stdout)
"""


def test_an_ordinary_user_can_have_one(tmp_path_factory):
    """Without root, and without a range of subordinate users."""
    if os.geteuid() != 0:
        pytest.skip("everything here runs as an ordinary user")
    python = next((path for path in (sys.executable, "/usr/bin/python3") if usable(path)), None)
    if python is None:
        pytest.skip("no Python here that an ordinary user may run and that has our dependencies")
    folder = Path("/tmp") / tmp_path_factory.mktemp("ordinary").name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for path in (folder, folder / "run", folder / "workspace"):
            path.mkdir(mode=0o700)
            os.chown(path, 1234, 1234)
        env = {"PYTHONPATH": paths(), "XDG_RUNTIME_DIR": str(folder / "run"), "HOME": str(folder)}
        done = subprocess.run([*AS, python, "-c", ORDINARY, str(folder / "workspace")], env=env, cwd="/",
                              capture_output=True, timeout=60)  # fmt: skip
        assert done.stdout == b"b'1234\\n'\n" * 2, done.stderr
        made = {path.name: path.stat().st_uid for path in (folder / "workspace").iterdir()}
        assert made == {"call": 1234, "session": 1234}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


AS = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"]


def paths():
    import pydantic

    import blastwall

    return os.pathsep.join(str(Path(module.__file__).parents[1]) for module in (blastwall, pydantic))


def usable(python):
    try:
        # It starts another of its kind: setpriv's own first one may do more than the user.
        code = "import blastwall.sandbox.gvisor, subprocess, sys; subprocess.run([sys.executable, '-V'], check=True)"
        line = [*AS, python, "-c", code]
        return subprocess.run(line, env={"PYTHONPATH": paths()}, cwd="/", capture_output=True).returncode == 0
    except OSError:
        return False
