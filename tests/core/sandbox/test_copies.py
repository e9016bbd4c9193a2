"""Copies of a workspace: made, changed by somebody hostile, compared three ways, applied or discarded."""

import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blastwall import sandbox
from blastwall.errors import BackendError
from blastwall.sandbox import changes, copies, filling, merge, trees
from blastwall.sandbox.changes import diff, shown, text
from blastwall.sandbox.copies import Copies, temporary
from blastwall.sandbox.merge import apply

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


@pytest.fixture
def store(tmp_path):
    return Copies(tmp_path / "copies")


@pytest.fixture
def project(workspace):
    """A small workspace, and everything about it that should never change by itself."""
    (workspace / "src").mkdir()
    (workspace / "src" / "main.py").write_text("print(1)\n")
    (workspace / "notes.txt").write_text("one\ntwo\nthree\n")
    (workspace / "tool").write_text("#!/bin/sh\n")
    (workspace / "tool").chmod(0o755)
    (workspace / "link").symlink_to("notes.txt")
    return workspace


def tree(folder):
    """Everything in a folder: kind, mode and content of each path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = os.readlink(path)
        else:
            content = path.read_bytes() if stat.S_ISREG(mode) else stat.S_IMODE(mode)
        found[str(path.relative_to(folder))] = (stat.S_IFMT(mode), content, stat.S_ISREG(mode) and mode)
    return found


def by_path(copy):
    return {change.path: change for change in diff(copy)}


class TestMake:
    def test_a_copy_is_the_same(self, store, project):
        copy = store.make(project)
        assert tree(copy.folder) == tree(project)
        assert diff(copy) == ()
        assert store.ids() == [copy.id]
        assert store.find(copy.id) == copy

    def test_times_are_kept_for_build_tools(self, store, project):
        os.utime(project / "notes.txt", (1e9, 1e9))
        assert (store.make(project).folder / "notes.txt").stat().st_mtime == 1e9

    def test_nobody_else_gets_in(self, store, project):
        copy = store.make(project)
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(copy.folder.parent.stat().st_mode) == 0o700

    @root_only
    def test_roots_copy_belongs_to_the_workspaces_owner(self, store, project):
        os.chown(project, 1234, 1234)
        copy = store.make(project)
        assert {path.lstat().st_uid for path in (copy.folder, *copy.folder.rglob("*"))} == {1234}
        assert copy.folder.parent.stat().st_uid == 0

    @root_only
    def test_or_to_nobody(self, store, project):
        os.chown(project, 0, 0)
        (project / "notes.txt").chmod(0o600)
        copy = store.make(project)
        assert {path.lstat().st_uid for path in (copy.folder, *copy.folder.rglob("*"))} == {65534}
        assert (copy.folder / "notes.txt").read_text() == "one\ntwo\nthree\n"

    @root_only
    def test_what_the_owner_cannot_read_stays_out(self, store, project):
        """Root reads it, and would give it to whoever runs inside."""
        os.chown(project, 1234, 1234)
        (project / "notes.txt").chmod(0o640)
        (project / "src").chmod(0o700)
        os.chown(project / "tool", 1234, 1234)
        (project / "tool").chmod(0o500)
        copy = store.make(project)
        why = "is closed to the owner of the workspace"
        assert copy.left_out == (("notes.txt", why), ("src", why))
        assert (copy.folder / "tool").exists()

    @not_root
    def test_what_cannot_be_read_stays_out(self, store, project):
        (project / "notes.txt").chmod(0)
        (project / "src").chmod(0)
        try:
            copy = store.make(project)
        finally:
            (project / "src").chmod(0o755)
        assert copy.left_out == (("notes.txt", "can't be read"), ("src", "can't be read"))

    def test_credentials_stay_out(self, store, project):
        for name in (".env", "src/.env.production", ".Netrc", "src/id_rsa", ".env.example", "env.py"):
            (project / name).write_text("KEY=canary\n")
        (project / ".aws").mkdir()
        (project / ".aws" / "credentials").write_text("canary")
        copy = store.make(project)
        assert [path for path, _ in copy.left_out] == [
            ".Netrc",
            ".aws",
            ".env",
            "src/.env.production",
            "src/id_rsa",
        ]
        assert (copy.folder / ".env.example").exists()
        assert (copy.folder / "env.py").exists()
        assert not (copy.folder / ".aws").exists()

    def test_what_is_no_file_stays_out(self, store, project):
        os.mkfifo(project / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(project / "socket"))
            copy = store.make(project)
        assert copy.left_out == (("pipe", "is a named pipe"), ("socket", "is a socket"))

    def test_symlinks_are_copied_not_followed(self, store, project, tmp_path):
        (tmp_path / "outside").write_text("secret")
        (project / "out").symlink_to(tmp_path / "outside")
        (project / "up").symlink_to("..")
        copy = store.make(project)
        assert os.readlink(copy.folder / "out") == str(tmp_path / "outside")
        assert (copy.folder / "up").is_symlink()

    def test_hard_links_become_files_and_no_bit_makes_a_file_run_as_its_owner(self, store, project):
        os.link(project / "tool", project / "same")
        (project / "tool").chmod(0o6755)
        copy = store.make(project)
        assert (copy.folder / "tool").stat().st_nlink == 1
        assert stat.S_IMODE((copy.folder / "tool").stat().st_mode) == 0o755
        (copy.folder / "tool").write_text("changed")
        assert (project / "same").read_text() == "#!/bin/sh\n"

    def test_names_that_are_no_text(self, store, project):
        name = os.fsdecode(b"caf\xe9\n\x1b[31m")
        (project / name).write_text("x")
        copy = store.make(project)
        assert name in store.find(copy.id).baseline
        (copy.folder / name).write_text("y")
        assert apply(store.find(copy.id)).done == (name,)
        assert shown(name) == r"caf\udce9\n\x1b[31m"

    def test_folders_too_deep_stay_out(self, store, project, monkeypatch):
        monkeypatch.setattr(filling, "MOST_DEPTH", 3)
        (project / "a" / "b" / "c").mkdir(parents=True)
        assert store.make(project).left_out == (("a/b/c", "is deeper than 3 folders"),)

    def test_too_many_files(self, store, project, monkeypatch):
        monkeypatch.setattr(filling, "MOST_ENTRIES", 2)
        with pytest.raises(BackendError, match="more than 2 files: use a smaller folder"):
            store.make(project)
        assert os.listdir(store.path) == ["lock"]

    @pytest.mark.parametrize("path", ["/usr", "/"])
    def test_no_workspace_no_copy(self, store, path):
        with pytest.raises(BackendError, match="can't be a workspace"):
            store.make(Path(path))

    def test_not_into_itself(self, project):
        with pytest.raises(BackendError, match="lie in each other"):
            Copies(project / "copies").make(project)
        with pytest.raises(BackendError, match="lie in each other"):
            Copies(project.parent).make(project)

    def test_a_full_disk_leaves_nothing(self, store, project, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(filling, "pour", full)
        with pytest.raises(BackendError, match="can't be copied to .*: No space left"):
            store.make(project)
        assert os.listdir(store.path) == ["lock"]

    def test_ids_that_collide(self, store, project, monkeypatch):
        tokens = iter([*("ab", "00"), *("cd", "00", "01")])
        monkeypatch.setattr(copies.secrets, "token_hex", lambda _: next(tokens))

        class Stopped(copies.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2026, 11, 25, tzinfo=tz)

        monkeypatch.setattr(copies, "datetime", Stopped)
        assert [store.make(project).id, store.make(project).id] == [
            "20261125-000000-00",
            "20261125-000000-01",
        ]

    def test_what_was_interrupted_is_no_copy_and_goes(self, store, project):
        with store._place() as place:
            (place / "workspace").mkdir()
            assert store.ids() == []
            store.make(project)
            assert place.exists()  # it is still being made
        left = store.path / ".new-of-a-process-that-was-killed"
        (left / "workspace" / "a").mkdir(parents=True)
        store.make(project)
        assert not left.exists()
        assert len(store.ids()) == 2

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"baseline": 3}', '{"baseline": {"a": ["door"]}}'])
    def test_a_manifest_that_is_none(self, store, project, content):
        copy = store.make(project)
        (copy.folder.parent / "manifest.json").write_text(content)
        with pytest.raises(BackendError, match="manifest.json can't be read"):
            store.find(copy.id)

    @pytest.mark.parametrize("name", ["missing", "..", ".", "", "../copies", "/etc"])
    def test_no_such_copy(self, store, project, name):
        store.make(project)
        for verb in (store.find, store.discard):
            with pytest.raises(BackendError, match="there is no copy"):
                verb(name)


class TestDiff:
    def test_every_kind_of_change(self, store, project):
        copy = store.make(project)
        (copy.folder / "new").mkdir()
        (copy.folder / "new" / "file").write_text("new\n")
        (copy.folder / "notes.txt").write_text("one\n2\nthree\n")
        (copy.folder / "tool").chmod(0o700)
        (copy.folder / "src" / "main.py").unlink()
        (copy.folder / "link").unlink()
        (copy.folder / "link").write_text("no link any more")
        found = {path: change.what for path, change in by_path(copy).items()}
        assert found == {
            "link": "replaced",
            "new": "added",
            "new/file": "added",
            "notes.txt": "modified",
            "src/main.py": "removed",
            "tool": "mode",
        }
        lines = text(copy, by_path(copy)["notes.txt"])
        assert lines == ["@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"]
        assert text(copy, by_path(copy)["new/file"]) == ["@@ -0,0 +1 @@", "+new"]
        assert text(copy, by_path(copy)["src/main.py"]) == ["@@ -1 +0,0 @@", "-print(1)"]
        assert text(copy, by_path(copy)["new"]) == []

    def test_a_change_of_the_same_size_and_time(self, store, project):
        copy = store.make(project)
        target = copy.folder / "notes.txt"
        before = target.stat()
        target.write_text("one\nTWO\nthree\n")
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert by_path(copy)["notes.txt"].what == "modified"

    def test_what_the_workspace_has_already(self, store, project):
        copy = store.make(project)
        for place in (copy.folder, project):
            (place / "notes.txt").write_text("changed on both sides alike")
            (place / "new").write_text("new")
            (place / "tool").unlink()
        assert diff(copy) == ()

    def test_a_conflict(self, store, project):
        copy = store.make(project)
        for place, words in ((copy.folder, "theirs\n"), (project, "mine\n")):
            (place / "notes.txt").write_text(words)
            (place / "new").write_text(words)
        (copy.folder / "src" / "main.py").unlink()
        (project / "src" / "main.py").write_text("mine\n")
        assert {path: change.conflict for path, change in by_path(copy).items()} == {
            "notes.txt": True,
            "new": True,
            "src/main.py": True,
        }
        assert text(copy, by_path(copy)["notes.txt"]) == ["@@ -1 +1 @@", "-mine", "+theirs"]

    def test_nothing_hostile_is_printed(self, store, project):
        """Terminal escapes can rewrite what a reviewer sees; so can text that runs from right to left."""
        copy = store.make(project)
        hostile = "\x1b[2K\x1b]52;c;aGk=\x07 \x9b1A \u202eevil\u2066 \u200b\U000e0041 \r\u2028 tab\tx\n"
        (copy.folder / "notes.txt").write_text(hostile)
        (copy.folder / "a\u202e\x1b[1Ab\\n\n").write_text("")
        for line in text(copy, by_path(copy)["notes.txt"]):
            assert all(c.isprintable() or c == "\t" for c in line)
        assert shown("a\u202e\x1b[1Ab\\n\n") == r"a\u202e\x1b[1Ab\\n\n"

    def test_what_cannot_be_shown_is_said(self, store, project, monkeypatch):
        monkeypatch.setattr(changes, "MOST_BYTES", 100)
        copy = store.make(project)
        (copy.folder / "large").write_text("x" * 101)
        (copy.folder / "binary").write_bytes(b"\0\1")
        (copy.folder / "latin").write_bytes(b"caf\xe9")
        found = by_path(copy)
        assert text(copy, found["large"]) == ["(too large to show, or closed)"]
        assert text(copy, found["binary"]) == text(copy, found["latin"]) == ["(no text)"]

    def test_long_lines_and_many_lines_are_cut(self, store, project):
        copy = store.make(project)
        (copy.folder / "wide").write_text("x" * 600)
        (copy.folder / "long").write_text("x\n" * 2000)
        found = by_path(copy)
        assert text(copy, found["wide"])[1].endswith(" (101 more characters)")
        assert text(copy, found["wide"])[-1] == "+\\ No newline at end of file"
        lines = text(copy, found["long"])
        assert (len(lines), lines[-1]) == (401, "(1601 more lines)")

    def test_a_file_made_to_be_slow_to_compare(self, store, project):
        rounds, odd = 200, 101
        (project / "slow").write_text("".join(f"{n % odd}\n" for n in range(odd * rounds)))
        copy = store.make(project)
        (copy.folder / "slow").write_text(
            "".join(f"{n % odd}\n" + (f"new {n}\n" if n % 3 == 1 else "") for n in range(odd * rounds))
        )
        began = time.monotonic()
        lines = text(copy, by_path(copy)["slow"])
        assert time.monotonic() - began < 5
        assert lines[:4] == ["@@ -1,20200 +1,26933 @@", " 0", " 1", "-2"]

    def test_one_hunk_agrees_with_difflib(self):
        old = [str(n) for n in range(50)]
        new = [*old[:20], "new", *old[23:]]
        assert changes._one_hunk(old, new) == changes._unified(old, new)
        assert changes._one_hunk(old, old) == changes._unified(old, old) == []
        assert changes._one_hunk(old, old[:10])[0] == "@@ -8,43 +8,3 @@"

    def test_special_files_are_never_applied_and_never_waited_for(self, store, project):
        copy = store.make(project)
        os.mkfifo(copy.folder / "pipe")
        (copy.folder / "notes.txt").unlink()
        os.mkfifo(copy.folder / "notes.txt")
        assert {path: change.refused for path, change in by_path(copy).items()} == {
            "pipe": "a named pipe",
            "notes.txt": "a named pipe",
        }
        assert apply(copy, ["pipe", "notes.txt"]).left == (
            ("notes.txt", "it is a named pipe"),
            ("pipe", "it is a named pipe"),
        )
        assert (project / "notes.txt").is_file()

    def test_folders_too_deep_are_not_looked_into(self, store, project):
        copy = store.make(project)
        deep(copy.folder, 300)
        last = diff(copy)[-1]
        assert (last.path.count("/") + 1, last.refused) == (100, "deeper than 100 folders")

    def test_more_files_than_anybody_reads(self, store, project, monkeypatch):
        copy = store.make(project)
        monkeypatch.setattr(trees, "MOST_ENTRIES", 3)
        with pytest.raises(BackendError, match="more than 3 files"):
            diff(copy)

    def test_a_sparse_file_is_not_read(self, store, project):
        copy = store.make(project)
        with open(copy.folder / "huge", "wb") as file:
            file.truncate(1 << 42)
        began = time.monotonic()
        assert by_path(copy)["huge"].after.size == 1 << 42
        assert time.monotonic() - began < 5

    @not_root
    def test_what_was_closed_on_purpose(self, store, project):
        copy = store.make(project)
        (copy.folder / "notes.txt").chmod(0)
        (copy.folder / "src").chmod(0)
        (copy.folder / "new").write_text("x")
        (copy.folder / "new").chmod(0)
        found = by_path(copy)
        assert found["notes.txt"].refused == "a file that can't be read"
        assert found["src"].refused == "a folder that can't be read"
        assert text(copy, found["new"]) == ["(too large to show, or closed)"]
        assert apply(copy, ["new"]).left == (("new", "it can't be applied: Permission denied"),)
        store.discard(copy.id)

    def test_a_workspace_that_is_gone(self, store, project):
        copy = store.make(project)
        project.rename(project.with_name("moved"))
        with pytest.raises(BackendError, match="can't be opened"):
            diff(copy)

    def test_a_workspace_that_became_a_symlink(self, store, project):
        copy = store.make(project)
        project.rename(project.with_name("moved"))
        project.symlink_to("moved")
        with pytest.raises(BackendError, match="can't be opened"):
            diff(copy)


def deep(folder, levels):
    """Make folders in folders, past what a path can name."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


class TestApply:
    def test_everything(self, store, project):
        copy = store.make(project)
        (copy.folder / "a" / "b").mkdir(parents=True)
        (copy.folder / "a" / "b" / "file").write_text("new")
        (copy.folder / "a" / "b").chmod(0o500)
        (copy.folder / "notes.txt").unlink()
        (copy.folder / "tool").chmod(0o700)
        (copy.folder / "link").unlink()
        (copy.folder / "link").symlink_to("tool")
        (copy.folder / "src" / "main.py").unlink()
        (copy.folder / "src").rmdir()
        (copy.folder / "src").write_text("a file now")
        done = apply(copy)
        assert done.done == ("a", "a/b", "a/b/file", "link", "notes.txt", "src", "src/main.py", "tool")
        assert done.left == ()
        assert tree(project) == tree(copy.folder)
        assert apply(copy) == merge.Applied((), ())
        (project / "a" / "b").chmod(0o700)

    def test_a_file_becomes_a_folder_and_back(self, store, project):
        copy = store.make(project)
        (copy.folder / "notes.txt").unlink()
        (copy.folder / "notes.txt").mkdir()
        (copy.folder / "notes.txt" / "x").write_text("x")
        (copy.folder / "src" / "main.py").unlink()
        (copy.folder / "src").rmdir()
        (copy.folder / "src").symlink_to("notes.txt")
        assert apply(copy).left == ()
        assert tree(project) == tree(copy.folder)

    def test_only_what_is_named(self, store, project):
        copy = store.make(project)
        (copy.folder / "a" / "b").mkdir(parents=True)
        (copy.folder / "a" / "b" / "file").write_text("new")
        (copy.folder / "a" / "other").write_text("new")
        (copy.folder / "notes.txt").write_text("changed")
        assert apply(copy, ["a/b/"]).done == ("a", "a/b", "a/b/file")
        assert not (project / "a" / "other").exists()
        assert (project / "notes.txt").read_text() == "one\ntwo\nthree\n"
        with pytest.raises(BackendError, match="nothing has changed at 'a/b'"):
            apply(copy, ["notes.txt", "a/b"])
        with pytest.raises(BackendError, match="nothing has changed at '../x'"):
            apply(copy, ["../x"])
        assert (project / "notes.txt").read_text() == "one\ntwo\nthree\n"

    GUARDED = (
        ".git/hooks/pre-commit",
        ".git/config",
        ".vscode/tasks.json",
        ".bashrc",
        "a/.envrc",
        ".mcp.json",
        "own",
    )

    def test_what_runs_things_is_applied_only_when_it_is_named(self, store, project):
        copy = store.make(project, protect=["own"])
        for name in self.GUARDED:
            (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (copy.folder / name).write_text("touch canary\n")
        (copy.folder / "notes.txt").write_text("changed")
        done = apply(copy)
        assert done.done == ("a", "notes.txt")
        assert {path for path, _ in done.left} == {*self.GUARDED, ".git", ".git/hooks", ".vscode"}
        assert not (project / ".git").exists()
        assert apply(copy, [".vscode"]).done == (".vscode",)
        assert apply(copy, [".git/hooks/pre-commit"]).done == (".git", ".git/hooks", ".git/hooks/pre-commit")
        assert not (project / ".git" / "config").exists()

    def test_a_git_folder_that_became_something_else(self, store, project):
        (project / ".git" / "hooks").mkdir(parents=True)
        (project / ".git" / "config").write_text("mine")
        (project / ".git" / "HEAD").write_text("ref")
        copy = store.make(project)
        trees.remove(os.open(copy.folder, os.O_RDONLY), ".git")
        (copy.folder / ".git").write_text("gitdir: evil")
        assert apply(copy).done == (".git/HEAD",)  # its removal is no danger
        assert (project / ".git" / "config").read_text() == "mine"

    @pytest.mark.parametrize(
        "target", ["/etc/passwd", "../outside", "src/../../outside", "src/up/x", "out", "loop", "./..//", "/"]
    )
    def test_symlinks_that_lead_out(self, store, project, target):
        (project / "out").symlink_to("/etc")
        (project / "src" / "up").symlink_to("../..")
        copy = store.make(project)
        (copy.folder / "loop").symlink_to("loop")
        (copy.folder / "bad").symlink_to(target)
        done = apply(copy)
        assert dict(done.left)["bad"] == "it is a symlink that leads out of the workspace"
        assert not os.path.lexists(project / "bad")
        assert apply(copy, ["bad"]).done == ("bad",)
        assert os.readlink(project / "bad") == target

    @pytest.mark.parametrize("target", ["notes.txt", "src/../tool", "missing", "link", "src/here/main.py"])
    def test_symlinks_that_stay(self, store, project, target):
        copy = store.make(project)
        (copy.folder / "src" / "here").symlink_to(".")
        (copy.folder / "good").symlink_to(target)
        assert apply(copy).left == ()
        assert os.readlink(project / "good") == target

    def test_a_symlink_where_a_folder_was_leads_nowhere(self, store, project, tmp_path):
        """Somebody swaps a folder of the workspace, after the copy was made, for a symlink that leads out."""
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "main.py").write_text("canary")
        copy = store.make(project)
        (copy.folder / "src" / "main.py").write_text("evil")
        (copy.folder / "src" / "new.py").write_text("evil")
        trees.remove(os.open(project, os.O_RDONLY), "src")
        (project / "src").symlink_to(outside)
        done = apply(copy)
        assert done.done == ()
        assert dict(done.left).keys() == {"src/main.py", "src/new.py"}
        assert tree(outside) == {"main.py": tree(outside)["main.py"]}
        assert (outside / "main.py").read_text() == "canary"

    def test_a_symlink_in_the_copy_is_never_read_through(self, store, project, tmp_path):
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "main.py").write_text("canary")
        copy = store.make(project)
        trees.remove(os.open(copy.folder, os.O_RDONLY), "src")
        (copy.folder / "src").symlink_to(secret)
        (copy.folder / "notes.txt").unlink()
        (copy.folder / "notes.txt").symlink_to(secret / "main.py")
        found = by_path(copy)
        assert all("canary" not in line for change in found.values() for line in text(copy, change))
        assert found["src/main.py"].what == "removed"
        apply(copy)
        assert not any(b"canary" == path.read_bytes() for path in project.rglob("*") if path.is_file())

    def test_a_file_swapped_for_a_symlink_between_the_look_and_the_reading(
        self, store, project, tmp_path, monkeypatch
    ):
        (tmp_path / "secret").write_text("canary")
        copy = store.make(project)
        (copy.folder / "notes.txt").write_text("changed")
        compared = diff(copy)
        monkeypatch.setattr(merge, "diff", lambda _: compared)
        (copy.folder / "notes.txt").unlink()
        (copy.folder / "notes.txt").symlink_to(tmp_path / "secret")
        ((_, why),) = apply(copy).left
        assert "can't be applied" in why
        assert (project / "notes.txt").read_text() == "one\ntwo\nthree\n"
        assert not list(project.glob(".blastwall*"))

    def test_a_conflict_is_left_unless_it_is_named_and_forced(self, store, project):
        copy = store.make(project)
        (copy.folder / "notes.txt").write_text("theirs")
        (project / "notes.txt").write_text("mine")
        why = (("notes.txt", "it has changed in the workspace, too"),)
        assert apply(copy).left == apply(copy, ["notes.txt"]).left == why
        with pytest.raises(BackendError, match="name each path"):
            apply(copy, force=True)
        assert (project / "notes.txt").read_text() == "mine"
        assert apply(copy, ["notes.txt"], force=True).done == ("notes.txt",)
        assert (project / "notes.txt").read_text() == "theirs"

    def test_a_change_at_the_last_moment(self, store, project, monkeypatch):
        copy = store.make(project)
        (copy.folder / "notes.txt").write_text("theirs")
        compared = diff(copy)
        monkeypatch.setattr(merge, "diff", lambda _: compared)
        (project / "notes.txt").write_text("mine")
        assert apply(copy).left == (("notes.txt", "it has just changed in the workspace"),)
        assert (project / "notes.txt").read_text() == "mine"

    def test_a_folder_that_is_not_empty_any_more_stays(self, store, project):
        copy = store.make(project)
        trees.remove(os.open(copy.folder, os.O_RDONLY), "src")
        (project / "src" / "mine.py").write_text("mine")
        done = apply(copy)
        assert done.done == ("src/main.py",)
        assert done.left == (("src", "it can't be applied: Directory not empty"),)
        assert (project / "src" / "mine.py").read_text() == "mine"

    def test_bits_that_run_a_file_as_its_owner_are_dropped(self, store, project):
        copy = store.make(project)
        (copy.folder / "root").write_text("x")
        (copy.folder / "root").chmod(0o6755)
        apply(copy)
        assert stat.S_IMODE((project / "root").stat().st_mode) == 0o755

    @root_only
    def test_roots_files_belong_to_who_had_them(self, store, project):
        os.chown(project / "notes.txt", 4321, 4321)
        copy = store.make(project)
        for name in ("notes.txt", "new", "folder/below"):
            (copy.folder / name).parent.mkdir(exist_ok=True)
            (copy.folder / name).write_text("changed")
        apply(copy)
        owners = {
            name: (project / name).stat().st_uid for name in ("notes.txt", "new", "folder", "folder/below")
        }
        assert owners == {"notes.txt": 4321, "new": 65534, "folder": 65534, "folder/below": 65534}

    def test_interrupted_it_goes_on(self, store, project, monkeypatch):
        copy = store.make(project)
        for name in ("a", "b", "c"):
            (copy.folder / name).write_text(name)
        rename, calls = os.rename, []

        def killed(*args, **options):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            rename(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(merge.os, "rename", killed)
            with pytest.raises(KeyboardInterrupt):
                apply(copy)
        assert len(list(project.glob(".blastwall-*"))) == 1  # a process that is killed can't clean up
        assert apply(copy).done == ("b", "c")
        assert tree(project) == tree(copy.folder)

    def test_nothing_is_applied_or_discarded_while_something_runs(self, store, project):
        copy = store.make(project)
        (copy.folder / "new").write_text("half")
        with copy.running() as folder, copy.running():
            assert folder == copy.folder
            for verb in (lambda: apply(copy), lambda: store.discard(copy.id)):
                with pytest.raises(BackendError, match="still runs"):
                    verb()
            assert diff(copy)[0].path == "new"
        with copy.alone(), pytest.raises(BackendError, match="being applied"), copy.running():
            pass
        assert apply(copy).done == ("new",)

    def test_the_lock_of_a_process_that_was_killed_is_gone(self, store, project):
        copy = store.make(project)
        ready = multiprocessing.get_context("fork").Event()

        def hold():
            with copy.running():
                ready.set()
                time.sleep(60)

        process = multiprocessing.get_context("fork").Process(target=hold)
        process.start()
        ready.wait(10)
        with pytest.raises(BackendError, match="still runs"):
            apply(copy)
        process.kill()
        process.join()
        process.close()
        assert apply(copy).left == ()


class TestDiscard:
    def test_the_workspace_stays_as_it_is(self, store, project):
        before = tree(project)
        copy = store.make(project)
        (copy.folder / "notes.txt").write_text("changed")
        (copy.folder / "out").symlink_to(project)
        store.discard(copy.id)
        assert tree(project) == before
        assert store.ids() == []
        assert os.listdir(store.path) == ["lock"]
        with pytest.raises(BackendError):
            copy.alone().__enter__()

    def test_however_deep_and_closed_it_is(self, store, project):
        copy = store.make(project)
        deep(copy.folder, 2000)
        for name in ("closed", "closed/within"):
            (copy.folder / name).mkdir()
        (copy.folder / "closed" / "within" / "file").write_text("")
        (copy.folder / "closed" / "within").chmod(0)
        (copy.folder / "closed").chmod(0)
        store.discard(copy.id)
        assert os.listdir(store.path) == ["lock"]

    def test_a_temporary_copy(self, project):
        before = tree(project)
        places = []

        def fail():
            with temporary(project) as copy:
                (copy.folder / "notes.txt").write_text("changed")
                places.append(copy.folder)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        (place,) = places
        assert not place.exists()
        assert not place.parent.parent.exists()
        assert tree(project) == before


class TestTrees:
    def test_no_part_of_the_way_is_a_symlink(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        with trees.opened(str(tmp_path)) as top:
            assert trees.look(top, "a/b").kind is trees.Kind.FOLDER
            assert trees.look(top, "link/b") is None
            assert trees.look(top, "a/c") is None
        with pytest.raises(BackendError, match="can't be opened"), trees.opened(str(tmp_path / "link" / "b")):
            pass

    def test_only_files_are_read(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with trees.opened(str(tmp_path)) as top, pytest.raises(OSError, match="not a file"):
            trees.file(top, "pipe").__enter__()

    @pytest.mark.parametrize("broken", ["ioctl", "both", "after some"])
    def test_content_is_copied_one_way_or_another(self, tmp_path, monkeypatch, broken):
        data = os.urandom(3 << 20)
        (tmp_path / "old").write_bytes(data)
        real = os.copy_file_range

        def some(source, target, count):
            if broken == "both" or os.lseek(source, 0, os.SEEK_CUR):
                raise OSError(18, "Invalid cross-device link")
            return real(source, target, 1000)

        if broken != "ioctl":
            monkeypatch.setattr(os, "copy_file_range", some)
        with open(tmp_path / "old", "rb") as old, open(tmp_path / "new", "wb") as new:
            trees.pour(old.fileno(), new.fileno())
        assert (tmp_path / "new").read_bytes() == data

    def test_a_failing_disk_is_told(self, tmp_path, monkeypatch):
        def broken(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "copy_file_range", broken)
        (tmp_path / "old").write_bytes(b"x")
        with (
            open(tmp_path / "old", "rb") as old,
            open(tmp_path / "new", "wb") as new,
            pytest.raises(OSError, match="Input"),
        ):
            trees.pour(old.fileno(), new.fileno())


# --- For any tree and any edits -------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "Ä", "with space", ".git", ".bashrc", ".env", "hooks", "x\ny"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
THINGS = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=8), st.sampled_from([0o644, 0o755, 0o600])),
    st.tuples(st.just("link"), st.sampled_from(["a", "../b", "..", "/etc", "a/b", "../../../x"]), st.just(0)),
    st.tuples(st.just("folder"), st.just(b""), st.sampled_from([0o755, 0o700])),
    st.tuples(st.just("nothing"), st.just(b""), st.just(0)),
)
TREES = st.dictionaries(PATHS, THINGS, max_size=8)


def put(top, wanted):
    """Make or change a tree; what doesn't fit is left out."""
    for path, (kind, content, mode) in wanted.items():
        place = top / path
        try:
            clear(place)
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue
        if os.path.realpath(place.parent) != str(place.parent):
            continue
        if kind == "file":
            place.write_bytes(content)
        elif kind == "link":
            place.symlink_to(content)
        elif kind == "folder":
            place.mkdir()
        if kind in ("file", "folder"):
            place.chmod(mode)


def clear(place):
    if os.path.realpath(place.parent) != str(place.parent):
        raise NotADirectoryError
    if place.is_dir() and not place.is_symlink():
        subprocess.run(["rm", "-rf", "--", str(place)], check=True)
    elif os.path.lexists(place):
        place.unlink()


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=TREES, edits=TREES)
def test_applying_gives_the_edits_and_discarding_gives_nothing(tmp_path_factory, start, edits):
    """Or says, path by path, what it left: it is guarded, or in the way of what is."""
    top = tmp_path_factory.mktemp("property")
    workspace, store = top / "workspace", Copies(top / "copies")
    workspace.mkdir()
    put(workspace, start)
    before = tree(workspace)
    copy = store.make(workspace)
    put(copy.folder, edits)
    wanted = tree(copy.folder)
    outside = {path for path, _ in copy.left_out}
    compared = by_path(copy)
    assert tree(workspace) == before

    done = apply(copy)
    after, left = tree(workspace), dict(done.left)
    assert left.keys() | set(done.done) == compared.keys()
    for path in before.keys() | wanted.keys() | after.keys():
        if any(path == out or path.startswith(f"{out}/") for out in outside):
            assert after.get(path) == before.get(path)
        elif path in left:
            assert after.get(path) == before.get(path), path
        else:
            assert after.get(path) == wanted.get(path), path
    for path in left:
        change = compared[path]
        in_the_way = change.before is not None and any(other.startswith(f"{path}/") for other in after)
        above = any(path.startswith(f"{other}/") for other in left)
        taken = change.conflict  # of something that was left out of the copy
        assert change.guarded or in_the_way or above or taken, (path, left[path])

    named = apply(copy, list(left)) if left else None
    assert named is None or all(path in outside or compared[path].conflict or why for path, why in named.left)
    settled = tree(workspace)
    store.discard(copy.id)
    assert tree(workspace) == settled
    assert store.ids() == []


# --- With a real sandbox --------------------------------------------------------------------------------


class TestInASandbox:
    def test_an_agents_work_is_reviewed_then_applied(self, store, project, profile, tmp_path):
        copy = store.make(project)
        before = tree(project)
        command = (
            "echo changed > notes.txt; mkdir new; echo x > new/file; rm tool; ln -s /etc/passwd out; pwd"
        )
        with copy.running() as folder:
            done = sandbox.run(["sh", "-c", command], replace(profile, workspace=folder))
        assert (done.returncode, done.stdout.decode().strip()) == (0, str(copy.folder))
        assert tree(project) == before
        applied = apply(copy)
        assert set(applied.done) >= {"new", "new/file", "notes.txt", "tool"}
        assert (project / "notes.txt").read_text() == "changed\n"
        assert not (project / "tool").exists()
        assert not os.path.lexists(project / "out")

    def test_nothing_else_of_the_copies_is_seen_inside(self, store, project, profile):
        other = store.make(project)
        copy = store.make(project)
        command = "ls ..; cat ../manifest.json; ls ../../*; echo x > ../lock; true"
        with copy.running() as folder:
            done = sandbox.run(["sh", "-c", command], replace(profile, workspace=folder))
        assert done.stdout.decode().split() == ["workspace"] or b"manifest.json" not in done.stdout
        assert other.id.encode() not in done.stdout
        assert b"baseline" not in done.stdout

    def test_run_and_throw_away(self, project, profile):
        before = tree(project)
        with temporary(project) as copy:
            done = sandbox.run(
                ["sh", "-c", "cat notes.txt; rm -r src"], replace(profile, workspace=copy.folder)
            )
            assert [change.path for change in diff(copy)] == ["src", "src/main.py"]
        assert done.stdout == b"one\ntwo\nthree\n"
        assert tree(project) == before


def test_importing_it_does_not_make_anything(tmp_path):
    code = "import pathlib, sys; from blastwall.sandbox.copies import Copies; print(Copies(pathlib.Path(sys.argv[1])).ids())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert not (tmp_path / "x").exists()
