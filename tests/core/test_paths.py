"""Where a path argument really leads, and where that can't be said."""

import os
from pathlib import Path

import pytest

from blastwall.paths import resolve


@pytest.fixture
def project(tmp_path):
    """A project with a folder, a file and links of every kind; a secret stands outside."""
    root = tmp_path.resolve() / "project"
    (root / "out" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root.parent / "secret").write_text("canary")
    (root.parent / "project-evil").mkdir()
    (root / "to-file").symlink_to("a.txt")
    (root / "to-secret").symlink_to("../secret")
    (root / "to-root").symlink_to("/")
    (root / "dangling").symlink_to(root.parent / "not-there-yet")
    (root / "chain").symlink_to("to-secret")
    (root / "loop").symlink_to("loop")
    (root / "to-deep").symlink_to("out/deep")
    return root


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("a.txt", "a.txt"),
        ("./a.txt", "a.txt"),
        ("out//deep/", "out/deep"),
        ("", ""),
        (".", ""),
        ("out/../a.txt", "a.txt"),
        ("../project/a.txt", "a.txt"),
        ("new/folder/file", "new/folder/file"),
        ("new/../a.txt", "a.txt"),
        ("a.txt/below", "a.txt/below"),
        ("to-file", "a.txt"),
        ("to-deep/x", "out/deep/x"),
        ("..", ".."),
        ("../secret", "../secret"),
        ("../project-evil", "../project-evil"),
        ("out/../../secret", "../secret"),
        ("to-secret", "../secret"),
        ("chain", "../secret"),
        ("dangling", "../not-there-yet"),
        ("new-line\nin-it", "new-line\nin-it"),
        ("\\..\\..\\secret", "\\..\\..\\secret"),
        ("%2e%2e/secret", "%2e%2e/secret"),
    ],
)
def test_a_path_leads_where_the_kernel_would_go(project, path, leads_to):
    expected = os.path.normpath(project / leads_to)
    assert resolve(path, project) == expected
    assert resolve(f"{project}/{path}", Path("/")) == expected


def test_an_absolute_path_does_not_start_at_the_folder(project):
    assert resolve("/etc", project) == "/etc"
    assert resolve("//etc", project) == "/etc"
    assert resolve("to-root/etc", project) == "/etc"
    assert resolve("/../../etc", project) == "/etc"


def test_without_a_folder_a_path_starts_in_the_current_one(project, monkeypatch):
    monkeypatch.chdir(project)
    assert resolve("a.txt", None) == str(project / "a.txt")


@pytest.mark.parametrize(
    "path",
    [
        "~",
        "~/x",
        "~root/.ssh",
        "$HOME/x",
        "a/${HOME}/x",
        "file:a.txt",
        "FILE:a.txt",
        "file:///etc/passwd",
        "http://example.com/a.txt",
        "a\0.txt",
        " /etc/passwd",
        "/etc/passwd ",
        "a.txt\n",
        "\u3000/etc/passwd",
        "loop",
        "loop/x",
        "a" * 300,
        "a/" * 2500 + "x",
        "lone\ud800",
        "/proc/self/cwd/a.txt",
        "/proc/thread-self/root/etc",
        "/dev/fd/0",
        "/dev/stdin",
    ],
)
def test_where_nobody_can_say_where_it_leads_there_is_no_answer(project, path):
    assert resolve(path, project) is None


def test_going_back_behind_a_link_has_two_readings_and_no_answer(project):
    """The kernel goes to out/a.txt; a tool that normalises by name goes to a.txt, or out of the project."""
    assert os.path.realpath(project / "to-deep/../a.txt") == str(project / "out/a.txt")
    assert os.path.normpath(project / "to-deep/../a.txt") == str(project / "a.txt")
    assert resolve("to-deep/../a.txt", project) is None
    assert resolve("to-deep/../../../secret", project) is None


def test_a_link_behind_more_folders_than_a_path_may_name_is_not_taken_for_a_file(project):
    """os.path.realpath takes it for one: CVE-2025-4517 in tarfile was this."""
    here, names = os.open(project, os.O_RDONLY), []
    for i in range(20):
        name = "d" * 250
        os.mkdir(name, dir_fd=here)
        os.symlink(name, f"s{i}", dir_fd=here)
        names.append(f"s{i}")
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.symlink("/", "out", dir_fd=here)
    os.close(here)
    path = "/".join([*names, "out", "etc"])
    assert os.path.exists(project / path), "the kernel follows it"
    assert os.path.realpath(project / path).startswith(str(project)), "realpath does not"
    assert resolve(path, project) is None


def test_a_folder_that_can_not_be_looked_into_gives_no_answer(project, monkeypatch):
    """root may look into every folder, so the kernel's answer is made by hand."""
    readlink = os.readlink

    def closed(path, **options):
        if os.path.basename(path) == "deep":
            raise PermissionError(13, "Permission denied", path)
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", closed)
    assert resolve("out/deep/x", project) is None
    assert resolve("out/x", project) == str(project / "out/x")


def test_a_current_folder_that_is_gone_gives_no_answer(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert resolve("a.txt", None) is None
