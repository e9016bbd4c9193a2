"""`blastwall diff`, `apply` and `discard` as their user meets them."""

import contextlib
import json
import os
import shutil
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from blastwall import sandbox
from blastwall.cli import copies
from blastwall.cli.output import SCHEMA
from blastwall.sandbox.copies import of_user
from blastwall.values import Profile

app = typer.Typer()
for verb in (copies.diff, copies.apply, copies.discard):
    app.command()(verb)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "notes.txt").write_text("one\ntwo\n")
    (folder / ".env").write_text("KEY=canary")
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def profile(workspace):
    return Profile("test", workspace=workspace, protect=("own",))


def blastwall(*words):
    return CliRunner().invoke(app, words)


def told(result):
    body = json.loads(result.stdout)
    assert body.pop("schema") == SCHEMA
    return body


@contextlib.contextmanager
def copied(profile):
    """Run something in a copy of the profile's workspace."""
    copy = of_user().make(profile.workspace, protect=profile.protect)
    with copy.running() as folder:
        yield copy, replace(profile, workspace=folder)


def edited(profile):
    """Change a copy as an agent might."""
    with copied(profile) as (copy, inside):
        (inside.workspace / "notes.txt").write_text("one\n\x1b[2J2 :bug: [red]\n")
        (inside.workspace / "new.sh").write_text("true\n")
        (inside.workspace / "new.sh").chmod(0o755)
        (inside.workspace / "own").write_text("x")
        (inside.workspace / "out").symlink_to("/etc\n/passwd")
        (inside.workspace / "folder").mkdir()
        os.mkfifo(inside.workspace / "pipe")
        return copy


def test_nothing_yet(workspace):
    assert blastwall("diff").stdout == "there are no copies: `blastwall run --copy -- COMMAND` makes one\n"
    assert told(blastwall("diff", "--json")) == {"copies": []}


def test_the_way_from_a_copy_to_the_workspace(workspace, profile, capsys):
    copy = edited(profile)
    assert blastwall("diff").stdout == f"{copy.id}  {workspace}\n"
    assert [found["id"] for found in told(blastwall("diff", "--json"))["copies"]] == [copy.id]

    copies.tell(copy)
    said = capsys.readouterr().err
    assert f"blastwall apply {copy.id}" in said
    assert "not in the copy: .env: may hold credentials" in said

    seen = blastwall("diff", copy.id)
    assert seen.exit_code == 0
    assert "\x1b" not in seen.stdout
    for line in (
        "added    folder/",
        "added    new.sh 5 bytes 755",
        "modified notes.txt 22 bytes",
        "added    own 1 bytes  (only when named: it can make your own programs do something)",
        r"added    out -> /etc\n/passwd  (only when named: it is a symlink that leads out of the workspace)",
        "added    pipe  (never applied: it is a named pipe)",
        "--- a/notes.txt\n+++ b/notes.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+\\x1b[2J2 :bug: [red]\n",
        "--- /dev/null\n+++ b/new.sh\n",
    ):
        assert line in seen.stdout

    done = blastwall("apply", copy.id, "--json")
    assert done.exit_code == 1
    assert told(done) == {
        "ok": False,
        "id": copy.id,
        "applied": ["folder", "new.sh", "notes.txt"],
        "left": [
            {"path": "out", "why": "it is a symlink that leads out of the workspace"},
            {"path": "own", "why": "it can make your own programs do something"},
            {"path": "pipe", "why": "it is a named pipe"},
        ],
    }
    assert (workspace / "notes.txt").read_text() == "one\n\x1b[2J2 :bug: [red]\n"

    assert blastwall("apply", copy.id, "own").stdout == "applied  own\n"
    left = blastwall("apply", copy.id)
    assert (left.exit_code, left.stdout) == (1, "")
    assert "left     pipe: it is a named pipe" in left.stderr

    assert blastwall("discard", copy.id).stdout == f"discarded {copy.id}\n"
    gone = blastwall("diff", copy.id)
    assert gone.exit_code == 4
    assert f"there is no copy '{copy.id}'" in gone.stderr
    assert (workspace / ".env").read_text() == "KEY=canary"


def test_nothing_to_apply(workspace, profile):
    with copied(profile) as (copy, _):
        pass
    assert blastwall("apply", copy.id).stdout == "nothing to apply\n"
    assert "nothing differs" in blastwall("diff", copy.id).stdout
    assert told(blastwall("discard", copy.id, "--json")) == {"ok": True, "id": copy.id}


def test_json_of_a_diff(workspace, profile):
    copy = edited(profile)
    body = told(blastwall("diff", copy.id, "--json"))
    assert body["workspace"] == str(workspace)
    assert body["left_out"] == [{"path": ".env", "why": "may hold credentials"}]
    (change,) = (change for change in body["changes"] if change["path"] == "notes.txt")
    assert change == {
        "path": "notes.txt",
        "what": "modified",
        "conflict": False,
        "guarded": "",
        "refused": "",
        "detail": " 22 bytes",
        "diff": ["@@ -1,2 +1,2 @@", " one", "-two", "+\\x1b[2J2 :bug: [red]"],
    }
    assert {
        name: value for name, value in copies.fields(copy).items() if name != "changes"
    }.items() <= body.items()


def test_a_mode_and_a_removal(workspace, profile):
    (workspace / "gone").write_text("")
    with copied(profile) as (copy, inside):
        (inside.workspace / "notes.txt").chmod(0o600)
        (inside.workspace / "gone").unlink()
    seen = blastwall("diff", copy.id).stdout
    assert "mode     notes.txt 8 bytes 644 -> 600" in seen
    assert "removed  gone\n" in seen


def test_paths_are_typed_as_they_are_shown(workspace, profile):
    name = "a\u202eb\\x1b\x1b"
    with copied(profile) as (copy, inside):
        (inside.workspace / name).write_text("x")
        (inside.workspace / "other").write_text("x")
    assert blastwall("apply", copy.id, r"a\u202eb\\x1b\x1b").stdout == "applied  a\\u202eb\\\\x1b\\x1b\n"
    assert (workspace / name).exists()
    assert not (workspace / "other").exists()


def test_a_conflict_takes_force(workspace, profile):
    with copied(profile) as (copy, inside):
        (inside.workspace / "notes.txt").write_text("theirs")
    (workspace / "notes.txt").write_text("mine")
    assert "CONFLICT" in blastwall("diff", copy.id).stdout
    assert blastwall("apply", copy.id).exit_code == 1
    assert blastwall("apply", copy.id, "--force").exit_code == 4
    assert blastwall("apply", copy.id, "notes.txt", "--force").exit_code == 0
    assert (workspace / "notes.txt").read_text() == "theirs"


def test_while_it_runs(workspace, profile):
    with copied(profile) as (copy, _):
        for words in (["apply", copy.id], ["discard", copy.id]):
            result = blastwall(*words)
            assert result.exit_code == 4
            assert "still runs" in result.stderr


def test_a_copy_that_cannot_be_read(workspace, profile):
    copy = edited(profile)
    (copy.folder.parent / "manifest.json").write_text("{")
    for words in ([], [copy.id]):
        result = blastwall("diff", *words)
        assert (result.exit_code, "can't be read" in result.stderr) == (4, True)


@pytest.mark.skipif(shutil.which("bwrap") is None and not os.environ.get("CI"), reason="takes bubblewrap")
def test_with_the_state_where_it_is_by_default(workspace, profile, tmp_path, monkeypatch):
    """The state's own folder is secret to every sandbox; a copy must not be."""
    monkeypatch.delenv("XDG_STATE_HOME")
    with copied(profile) as (copy, inside):
        done = sandbox.run(["sh", "-c", "echo x >> notes.txt && cat notes.txt"], inside)
    assert done.stdout == b"one\ntwo\nx\n"
    assert copy.folder.is_relative_to(tmp_path / ".local" / "state" / "blastwall-copies")
    assert "modified notes.txt" in blastwall("diff", copy.id).stdout
