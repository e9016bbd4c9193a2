"""Which sandboxes run now, whoever started them, and what dead programs left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.egress.sites import needed

from blastwall.errors import BackendError
from blastwall.sandbox import _reaper, lease, registry
from blastwall.sandbox.boxes import Boxes
from blastwall.sandbox.launch import launch
from blastwall.values import Lifetime, Strength


def mine():
    return [entry for entry in registry.entries() if entry.owner == os.getpid()]


def test_what_runs_is_listed_and_then_no_more(profile):
    before, began = mine(), time.time()
    with launch(["sleep", "20"], profile), launch(["sleep", "20"], replace(profile, name="other")):
        first, second = [entry for entry in mine() if entry not in before]
        assert (first.name, second.name) == ("test", "other"), "the oldest first"
        assert (first.strength, first.workspace) == ("os", str(profile.workspace))
        assert began - 1 < first.since <= second.since
        assert Path(f"/proc/{first.pid}").exists()
        assert registry.alive(first)
    assert mine() == before


@pytest.mark.parametrize(
    ("strength", "program"), [(Strength.CONTAINER, "runsc"), (Strength.VM, "qemu-system-x86_64")]
)
def test_one_that_lives_as_long_as_a_session(profile, strength, program):
    needed(program)
    box = replace(profile, strength=strength, lifetime=Lifetime.SESSION, memory_mb=128)
    with Boxes() as boxes:
        boxes.run(["true"], box)
        (entry,) = mine()
        assert (entry.name, entry.strength, entry.workspace) == ("test", strength.value, str(box.workspace))
    assert mine() == []


DIES = """
import os, sys, time
from pathlib import Path
from blastwall.sandbox.launch import launch
from blastwall.values import Profile
with launch(["sleep", "90"], Profile("dies", workspace=Path(sys.argv[1]))) as running:
    print("there", flush=True)
    time.sleep(60)
"""


def test_what_a_dead_program_left(workspace):
    """Both are killed, the program and who waits for its death: the next one who looks cleans up."""
    with subprocess.Popen([sys.executable, "-c", DIES, str(workspace)], stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"there\n"
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[-2:-1] == [str(program.pid).encode()] and b"_reaper.py" in b" ".join(words):
                os.kill(int(entry.name), signal.SIGKILL)
        program.kill()
    (entry,) = [entry for entry in registry.entries() if entry.owner == program.pid]
    assert not registry.alive(entry)
    assert list(workspace.iterdir()), "what stands in for missing paths"
    deadline, removed = time.monotonic() + 10, []
    while "dies" not in removed:
        removed += registry.collect()
        assert time.monotonic() < deadline
    assert [entry for entry in registry.entries() if entry.owner == program.pid] == []
    assert list(workspace.iterdir()) == []
    assert _reaper.started(entry.pid) == "" or "\nState:\tZ" in Path(f"/proc/{entry.pid}/status").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_note_that_says_nothing(text):
    owners = lease.folder() / "owners"
    owners.mkdir(mode=0o700, exist_ok=True)
    place = owners / "0-test"
    place.mkdir()
    try:
        (place / "0-0.json").write_text(text)
        assert [entry for entry in registry.entries() if entry.owner == 0] == []
    finally:
        shutil.rmtree(place)


def test_a_note_of_another_version():
    """It lacks something, or has something more: it is shown as far as it goes, or not at all."""
    owners = lease.folder() / "owners"
    owners.mkdir(mode=0o700, exist_ok=True)
    place = owners / "0-test"
    place.mkdir()
    told = {"name": "n", "strength": "os", "workspace": "", "owner": 0, "since": 1.0, "more": 1}
    try:
        (place / "0-0.json").write_text(json.dumps(told))
        (place / "0-1.json").write_text(json.dumps({"name": "n", "owner": 0}))
        (entry,) = [entry for entry in registry.entries() if entry.owner == 0]
        assert (entry.name, entry.pid) == ("n", 0)
    finally:
        shutil.rmtree(place)


def test_a_run_folder_that_is_somebody_elses(monkeypatch):
    def closed():
        raise BackendError("not ours alone")

    monkeypatch.setattr(registry, "folder", closed)
    with pytest.raises(BackendError):
        registry.entries()
    with pytest.raises(BackendError):
        registry.collect()


def test_nothing_was_ever_started(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "folder", lambda: tmp_path / "none")
    assert registry.entries() == []
    assert registry.collect() == []
    assert _reaper.listed(str(tmp_path / "none")) == []
