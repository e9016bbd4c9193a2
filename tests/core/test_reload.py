"""Reload: all of a change or none of it, and never a policy that nobody wrote to its end."""

import json
import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blastwall import Guard, RefusedError, policyfile
from blastwall.audit import verify
from blastwall.errors import AuditError, PolicyError
from blastwall.policyfile import AGAIN_S, COARSE_S, LOOK_S, Watched, load

ONE = "version: 1\nconnectors: {one: {}}\n"
TWO = "version: 1\nconnectors: {two: {}}\n"
BROKEN = "version: 1\nconnectors: {one: {rulse: []}}\n"
RUNNING = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  one: {server: {command: serve, sandbox: box}}
  two: {server: {command: serve, sandbox: none}}
sandboxes: {box: {timeout_s: 10}}
"""


class Clock:
    """Time that passes when a test says so: for the watcher, and for the marks of files."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self):
        return 1000.0 + self.passed

    def time(self):
        return time.time() + self.passed


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(policyfile, "time", clock)
    return clock


@pytest.fixture
def file(tmp_path):
    file = tmp_path.resolve() / "blastwall.yaml"
    file.write_text(ONE)
    return file


@pytest.fixture(autouse=True)
def organisation(tmp_path, monkeypatch):
    """Where the organisation's file would be, whatever this machine has."""
    path = tmp_path.resolve() / "etc" / "blastwall.yaml"
    monkeypatch.setattr(policyfile, "ORGANISATION", path)
    return path


class Told:
    """A watched policy, and what it told."""

    def __init__(self, clock, path, *narrowing) -> None:
        self.clock = clock
        self.watched = Watched(path, *narrowing)
        self.changes: list[Any] = []
        self.problems: list[str] = []
        self.watched.on_change = lambda *change: self.changes.append(change)
        self.watched.on_problem = lambda error: self.problems.append(str(error))

    def later(self, seconds=60.0):
        """Let time pass, then give the policy in force."""
        self.clock.passed += seconds
        return self.watched.current()

    def names(self, seconds=60.0):
        policy = self.later(seconds)
        return set(getattr(policy, "primary", policy).connectors)


@pytest.fixture
def told(clock, file):
    return Told(clock, file)


def swap(file: Path, text: str) -> None:
    """Replace a file as an editor should."""
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


# --- a change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [Path.write_text, swap])
def test_a_change_comes_into_force_and_is_told_with_both_digests(told, file, write):
    before = told.watched.current()
    write(file, TWO)
    assert told.names() == {"two"}
    assert told.changes == [(before.digest, load(file).digest, ())]
    assert told.problems == []


def test_what_did_not_change_stays_the_very_policy(told, file):
    before = told.watched.current()
    os.utime(file)
    file.chmod(0o600)
    swap(file, ONE)
    assert told.later() is before
    assert told.changes == []


def test_who_took_a_policy_keeps_it(told, file):
    """A running call is judged to its end by the policy that it began with."""
    before = told.watched.current()
    swap(file, TWO)
    told.later()
    assert set(before.connectors) == {"one"}


def test_the_files_are_looked_at_now_and_then_only(told, file, monkeypatch):
    told.later()
    looks = []
    monkeypatch.setattr(policyfile, "_marks", lambda files: looks.append(files) or ())
    for _ in range(1000):
        told.later(LOOK_S / 999)
    assert len(looks) == 1


def test_a_change_that_keeps_size_and_times_is_seen_by_its_inode(told, file):
    """An editor that renames, and a copy that takes the old times along."""
    told.later()
    before = file.stat()
    new = file.with_name("new")
    new.write_text(TWO)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)
    assert file.stat().st_size == before.st_size
    assert told.names() == {"two"}


def test_a_write_in_the_same_tick_as_the_last_one_is_found(told, file, monkeypatch):
    """The marks of a file that was just written may not tell a second write from the first."""
    mark = policyfile._mark(file)
    monkeypatch.setattr(policyfile, "_mark", lambda path: mark)
    file.write_text(TWO)
    assert told.names(LOOK_S) == {"two"}


def test_a_file_that_is_old_enough_is_not_read_again(told, file, monkeypatch):
    told.names(COARSE_S + 1)
    mark = policyfile._mark(file)
    monkeypatch.setattr(policyfile, "_mark", lambda path: mark)
    monkeypatch.setattr(policyfile, "_content", lambda *_: pytest.fail("it was read"))
    assert told.names() == told.names() == {"one"}


def test_relative_names_stay_the_files_that_they_were(clock, file, monkeypatch, tmp_path):
    monkeypatch.chdir(file.parent)
    told = Told(clock, "blastwall.yaml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    swap(file, TWO)
    assert told.names() == {"two"}
    swap(file, BROKEN)
    told.later()
    assert told.problems[0].startswith("blastwall.yaml:2:")


def test_a_link_that_is_swapped_is_followed(clock, tmp_path, file):
    """As Kubernetes swaps a ConfigMap."""
    other = tmp_path / "other.yaml"
    other.write_text(TWO)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    told = Told(clock, link)
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").replace(link)
    assert told.names() == {"two"}


# --- half a file --------------------------------------------------------------------------------------


def test_a_file_that_is_being_written_is_left_alone_until_it_is_still(told, file):
    told.later()
    swap(file, TWO)
    os.utime(file, ns=(0, int((told.clock.time() + 1) * 1e9)))
    assert told.names(LOOK_S) == {"one"}, "it changed a moment ago"
    assert told.names(LOOK_S / 2) == {"one"}, "nobody looks yet"
    assert told.names(LOOK_S) == {"two"}, "it was the same twice"


def test_a_file_that_changes_at_every_look_is_not_loaded(told, file):
    told.later()
    for i in range(5):
        file.write_text(TWO + "#" * i)
        os.utime(file, ns=(0, int((told.clock.time() + 1) * 1e9)))
        assert told.names(LOOK_S) == {"one"}
    assert told.names(LOOK_S) == {"two"}


def test_no_cut_file_is_in_force_while_its_writer_still_writes(clock, file):
    file.write_text(RUNNING)
    told = Told(clock, file)
    told.later()
    for cut in range(len(RUNNING)):
        file.write_text(RUNNING[:cut])
        os.utime(file, ns=(0, int((told.clock.time() + LOOK_S) * 1e9)))
        assert told.names(LOOK_S) == {"one", "two"}
    assert told.problems == told.changes == []


@pytest.mark.parametrize("text", ["", " ", "\n", "---\n", "version: 1\n", "version: 1\nconnectors:"])
def test_an_emptied_file_is_broken_and_not_an_empty_policy(told, file, text):
    file.write_text(text)
    assert told.names() == {"one"}
    assert len(told.problems) == 1


def test_a_file_that_changes_while_it_is_read_is_read_again(file, monkeypatch):
    real = policyfile._mark
    later = iter([(1,), (2,), (2,), (3,)])
    monkeypatch.setattr(policyfile, "_mark", lambda path: next(later, None) or real(path))
    assert set(load(file).connectors) == {"one"}


def test_a_file_that_never_holds_still_is_not_loaded(file, monkeypatch):
    numbers = iter(range(1000))
    monkeypatch.setattr(policyfile, "_mark", lambda path: (next(numbers),))
    with pytest.raises(PolicyError) as caught:
        load(file)
    assert str(caught.value) == (
        f"{file}: changes while it is read: write a new file, and rename it over this one"
    )


@pytest.mark.parametrize("kind", [load, lambda path: Watched(path).current()])
def test_a_pipe_is_read_once(tmp_path, kind):
    """As the shell's `<(...)` gives one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(ONE,), daemon=True)
    writer.start()
    assert set(kind(pipe).connectors) == {"one"}
    writer.join()


def test_a_pipe_keeps_what_it_said_while_other_layers_change(clock, file, tmp_path):
    """Nobody writes into it any more: reading it again would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(ONE,), daemon=True)
    writer.start()
    told = Told(clock, pipe, file)
    writer.join()
    before = told.later()
    swap(file, ONE + "#")
    after = told.later()
    assert after.primary == before.primary
    assert after.narrowing != before.narrowing


# --- a broken file ------------------------------------------------------------------------------------


def test_the_last_good_policy_stays_and_the_log_says_so_once(told, file, caplog):
    before = told.watched.current()
    swap(file, BROKEN)
    assert told.later() is before
    assert told.later(AGAIN_S) is told.later(AGAIN_S) is before
    (problem,) = told.problems
    assert problem.startswith(f"{file}:2:20: connectors.one.rulse: unknown key 'rulse'")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("blastwall.policy", logging.ERROR)
    assert record.message == (
        f"the policy changed and can't be loaded, so {before.digest} stays in force:\n{problem}"
    )
    assert told.changes == []


def test_each_broken_content_is_told(told, file):
    for text in (BROKEN, "version: 2\n", BROKEN):
        swap(file, text)
        assert told.names() == {"one"}
    first, second, third = told.problems
    assert first == third != second


def test_what_broke_is_told_again_after_it_was_whole(told, file):
    for text in (BROKEN, ONE, BROKEN, TWO, BROKEN):
        swap(file, text)
        told.later()
    assert len(told.problems) == 3
    assert len(told.changes) == 1


def test_every_problem_of_every_layer_is_told_at_once(clock, file, tmp_path):
    layer = tmp_path / "layer.yaml"
    layer.write_text(ONE)
    told = Told(clock, file, layer)
    file.write_text("version: 2\nconnectors: {a: {b: 1}}\n")
    layer.write_text(BROKEN)
    told.later()
    assert [line.split(":")[0] for line in told.problems[0].splitlines()] == [str(file)] * 2 + [str(layer)]


def test_a_file_that_is_gone_leaves_the_policy_in_force(told, file):
    file.unlink()
    assert told.names() == {"one"}
    assert told.problems == [f"{file}: can't be read: No such file or directory"]
    file.write_text(TWO)
    assert told.names() == {"two"}


def test_what_could_not_be_loaded_is_tried_again_though_its_file_stays(told, file, monkeypatch):
    """Its reason may be outside of it: no descriptor left, a link on the way to a folder that it names."""
    swap(file, TWO)
    with monkeypatch.context() as patch:
        patch.setattr(policyfile, "_content", lambda *_: 1 / 0)
        assert told.names() == {"one"}
    assert told.problems == [f"{file}: can't be loaded (ZeroDivisionError: division by zero)"]
    assert told.names(AGAIN_S / 2) == {"one"}
    assert told.names(AGAIN_S / 2) == {"two"}


def test_a_policy_whose_change_can_not_be_recorded_does_not_come_into_force(told, file, caplog):
    def full(*change):
        raise AuditError("the disk is full")

    told.watched.on_change = full
    swap(file, TWO)
    assert told.names() == {"one"}
    assert "can't be loaded (AuditError: the disk is full)" in caplog.text
    told.watched.on_change = lambda *change: None
    assert told.names(AGAIN_S) == {"two"}


def test_a_problem_that_can_not_be_recorded_is_still_in_the_log(told, file, caplog):
    def full(error):
        raise AuditError("the disk is full")

    told.watched.on_problem = full
    swap(file, BROKEN)
    assert told.names() == {"one"}
    assert "unknown key 'rulse'" in caplog.text
    assert "this could not be recorded" in caplog.text


def test_a_broken_file_at_the_start_loads_nothing(file):
    file.write_text(BROKEN)
    with pytest.raises(PolicyError, match="unknown key 'rulse'"):
        Watched(file)


def test_nobody_need_listen(clock, file, caplog):
    watched = Watched(file)
    for text in (TWO, BROKEN):
        swap(file, text)
        clock.passed += 60
        assert set(watched.current().connectors) == {"two"}
    assert "unknown key 'rulse'" in caplog.text


def test_a_look_waits_for_nobody(told, file):
    """Another thread's look, and a record that asks which policy is in force while it is written."""
    before = told.watched.current()
    seen = []
    told.watched.on_change = lambda *change: seen.append(told.later())
    swap(file, TWO)
    assert told.names() == {"two"}
    assert seen == [before]


# --- what runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("directory: state}", "directory: other}", ["defaults.state", "connectors.one.server"]),
        ("state}", "state, durability: power-loss}", ["defaults.state"]),
        ("serve, sandbox: none", "other, sandbox: none", ["connectors.two.server"]),
        ("two: {server: {command: serve, sandbox: none}}", "two: {}", ["connectors.two.server"]),
        ("two: {server: {command: serve, sandbox: none}}", "three: {}", ["connectors.two.server"]),
        ("two: {", "three: {server: {command: x}}\n  two: {", ["connectors.three.server"]),
        ("timeout_s: 10", "timeout_s: 20", ["connectors.one.server"]),
        ("sandbox: box", "env: {A: b}", ["connectors.one.server"]),
    ],
)
def test_what_runs_stays_as_it_runs_and_that_is_told(clock, file, caplog, old, new, keys):
    file.write_text(RUNNING)
    told = Told(clock, file)
    before = told.watched.current()
    assert old in RUNNING
    swap(file, RUNNING.replace(old, new) + "# and rules that count at once")
    after = told.later()
    assert after.state == before.state
    assert after.servers == {name: s for name, s in before.servers.items() if name in after.connectors}
    ((_, digest, waiting),) = told.changes
    assert digest == after.digest == load(file).digest
    assert [problem.path for problem in waiting] == keys
    for problem in waiting:
        assert str(problem) == (
            f"{file}: {problem.path}: this takes effect after a restart; what runs stays as it is"
        )
        assert str(problem) in caplog.text


def test_rules_get_the_new_sandbox_while_the_server_keeps_the_old_one(clock, file):
    """Else a call that belongs in the new sandbox would be run by the server in the old one."""
    rule = "rules: [{id: r, effect: allow, tools: ['*'], sandbox: box}]"
    text = RUNNING.replace("sandbox: box}}", f"sandbox: box}}, {rule}}}")
    file.write_text(text)
    told = Told(clock, file)
    assert profiles(told.watched.current()) == (10, 10)
    swap(file, text.replace("timeout_s: 10", "timeout_s: 20"))
    assert profiles(told.later()) == (10, 20)


def profiles(policy):
    connector = policy.connectors["one"]
    return connector.server.profile.timeout_s, connector.rules[0].profile.timeout_s


def test_what_waits_is_told_at_every_change_until_it_is_as_it_runs(clock, file):
    file.write_text(RUNNING)
    told = Told(clock, file)
    other = RUNNING.replace("serve, sandbox: none", "other, sandbox: none")
    for text in (other, other + "#", RUNNING):
        swap(file, text)
        assert {name: s.command for name, s in told.later().servers.items()} == {
            "one": ("serve",),
            "two": ("serve",),
        }
    assert [len(waiting) for _, _, waiting in told.changes] == [1, 1, 0]


def test_a_connector_that_went_and_came_back_is_the_one_that_runs(clock, file):
    file.write_text(RUNNING)
    told = Told(clock, file)
    before = told.watched.current()
    for text in (TWO, RUNNING + "#"):
        swap(file, text)
        after = told.later()
    assert after.servers == before.servers
    assert [len(waiting) for _, _, waiting in told.changes] == [3, 0]


def test_no_sandbox_may_touch_a_file_of_the_policy_or_the_state_in_use(clock, file, tmp_path):
    """Else what runs in it could give itself more at the next look."""
    file.write_text(RUNNING)
    layer = tmp_path.resolve() / "layer.yaml"
    layer.write_text(RUNNING.replace("{state: {directory: state}}", "{}"))
    told = Told(clock, file, layer)
    swap(file, RUNNING.replace("directory: state", "directory: other"))
    after = told.later()
    for policy in (after.primary, *after.narrowing):
        assert {file, layer, file.parent / "state"} <= set(policy.profiles["box"].mask)
    assert file.parent / "other" in after.primary.profiles["box"].mask


def test_one_sandbox_in_two_layers_is_the_same(file, tmp_path):
    """Else the layers would disagree on it."""
    file.write_text(RUNNING)
    layer = tmp_path.resolve() / "layer.yaml"
    layer.write_text(RUNNING.replace("{state: {directory: state}}", "{}"))
    policy = load(file, layer)
    (narrowing,) = policy.narrowing
    assert policy.primary.profiles == narrowing.profiles


# --- layers -------------------------------------------------------------------------------------------


def test_a_layer_that_changes_is_loaded_too(clock, file, tmp_path):
    layer = tmp_path / "layer.yaml"
    layer.write_text(ONE)
    told = Told(clock, file, layer)
    before = told.watched.current()
    swap(layer, ONE + "#")
    after = told.later()
    assert after.primary == before.primary
    assert after.narrowing != before.narrowing
    assert [digest for _, digest, _ in told.changes] == [after.digest] != [before.digest]


def test_the_organisation_s_layer_comes_into_force_when_it_appears(told, organisation):
    assert not hasattr(told.watched.current(), "narrowing")
    organisation.parent.mkdir()
    organisation.write_text(ONE)
    assert [layer.file for layer in told.later().narrowing] == [str(organisation)]
    organisation.write_text(BROKEN)
    assert len(told.later().narrowing) == 1
    assert told.problems[0].startswith(f"{organisation}:2:")


def test_the_organisation_s_layer_stays_when_it_vanishes(clock, file, organisation):
    """Replacing it by deleting it first must not open a gap."""
    organisation.parent.mkdir()
    organisation.write_text(ONE)
    told = Told(clock, file)
    organisation.unlink()
    assert len(told.later().narrowing) == 1
    assert told.problems == [f"{organisation}: can't be read: No such file or directory"]
    swap(file, TWO)
    assert told.names() == {"one"}, "nothing loads without it"
    organisation.write_text(ONE)
    assert told.names(AGAIN_S) == {"two"}


def test_what_runs_is_read_from_the_primary_alone(clock, file, tmp_path):
    file.write_text(RUNNING)
    layer = tmp_path / "layer.yaml"
    layer.write_text(RUNNING)
    told = Told(clock, file, layer)
    swap(layer, RUNNING.replace("serve}", "other}").replace("directory: state", "directory: other"))
    after = told.later()
    assert told.changes[0][2] == ()
    assert after.state.directory == file.parent / "state"


def test_a_policy_can_be_replaced_field_by_field(file):
    """What the reload relies on."""
    policy = load(file)
    assert replace(policy, state=policy.state, connectors=dict(policy.connectors)) == policy


def test_a_look_is_cheap(told):
    """Counted, not timed: between two looks nothing is asked of the file system."""
    told.later()
    for name in ("os", "stat", "_marks", "_files"):
        setattr(told.watched, name, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policyfile, "os", SimpleNamespace())
        assert told.names(0) == {"one"}


# --- through the guard --------------------------------------------------------------------------------

ALLOWING = """\
version: 1
defaults: {state: {directory: state}}
connectors: {one: {rules: [{id: all, effect: allow, tools: ["*"]}]}}
"""
DENYING = ALLOWING.replace("allow", "deny")


@pytest.fixture
def records(file):
    def records():
        return [json.loads(line) for line in (file.parent / "state" / "audit.jsonl").read_text().splitlines()]

    return records


def test_a_running_call_keeps_the_policy_that_it_began_with(clock, file, records):
    """And every record names the policy that decided."""
    file.write_text(ALLOWING)
    guard = Guard.from_file(file)

    def change():
        swap(file, DENYING)
        clock.passed += 60
        assert guard.policy.digest == load(file).digest
        return "done"

    changing = guard.tool(change, connector="one")
    old = guard.policy.digest
    assert changing() == "done"
    with pytest.raises(RefusedError, match=r"\(rule\)"):
        changing()
    new = guard.policy.digest
    told = [(record["event"], record["policy"]) for record in records()]
    assert told[0] == ("decision", old)
    assert ("policy-loaded", new) in told
    assert [policy for event, policy in told if event == "result"] == [old]
    assert told[-1] == ("decision", new)
    loaded = next(record for record in records() if record["event"] == "policy-loaded")
    assert loaded["details"] == {"from": old, "to": new, "after_restart": []}
    assert verify(file.parent / "state" / "audit.jsonl").ok


def test_a_broken_policy_is_recorded_under_the_one_that_stays(clock, file, records):
    file.write_text(ALLOWING)
    guard = Guard.from_file(file)
    done = guard.tool(lambda: "done", connector="one", name="done")
    good = guard.policy.digest
    swap(file, ALLOWING.replace("version: 1", "version: 2"))
    clock.passed += 60
    assert done() == done() == "done"
    (rejected,) = [record for record in records() if record["event"] == "policy-rejected"]
    assert rejected["policy"] == good
    assert rejected["details"]["problems"][0].endswith("version: must be 1, not 2")


def test_a_change_that_can_not_be_recorded_lets_no_call_run(clock, file):
    file.write_text(ALLOWING)
    guard = Guard.from_file(file)
    ran = []
    done = guard.tool(lambda: ran.append(1), connector="one", name="done")
    (file.parent / "state").write_text("no folder")
    swap(file, ALLOWING + "# changed")
    clock.passed += 60
    with pytest.raises(RefusedError, match="audit-unavailable"):
        done()
    assert ran == []
