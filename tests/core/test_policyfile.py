"""Policy files on disk."""

from pathlib import Path

import pytest

from blastwall.errors import PolicyError
from blastwall.paths import state_directory
from blastwall.policy.source import MAX_BYTES
from blastwall.policyfile import load

SMALLEST = "version: 1\nconnectors: {files: {}}\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path.resolve() / "blastwall.yaml"


def test_relative_paths_start_from_the_policy_s_own_folder(file, monkeypatch):
    file.write_text(
        "version: 1\ndefaults: {state: {directory: ./state}}\nconnectors: {files: {directory: x}}"
    )
    monkeypatch.chdir("/")
    policy = load(file)
    assert policy.state.directory == file.parent / "state"
    assert policy.directory("files") == file.parent / "x"


def test_a_link_to_a_policy_is_read_where_the_policy_stands(file, tmp_path):
    file.write_text("version: 1\nconnectors: {files: {directory: x}}")
    link = tmp_path / "elsewhere" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(file)
    assert load(link).directory("files") == file.parent / "x"


def test_the_policy_remembers_its_name_and_its_digest(file):
    file.write_text(SMALLEST)
    policy = load(str(file))
    assert policy.file == str(file)
    file.write_text(SMALLEST + "# changed\n")
    assert load(file).digest != policy.digest


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda file: None, "can't be read: No such file or directory"),
        (lambda file: file.mkdir(), "can't be read: Is a directory"),
        (lambda file: file.symlink_to(file), "can't be read: Too many levels of symbolic links"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(file, make, error):
    make(file)
    with pytest.raises(PolicyError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: {error}"


def test_mistakes_name_the_file_as_it_was_given(file, monkeypatch):
    file.write_text("version: 2\nconnectors: {files: {}}\n")
    monkeypatch.chdir(file.parent)
    with pytest.raises(PolicyError, match=r"^blastwall\.yaml:1:10: version: must be 1, not 2$"):
        load("blastwall.yaml")


def test_a_file_that_is_too_large_is_not_read_whole(file):
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: reading it would take a terabyte of memory
    with pytest.raises(PolicyError, match=f"larger than {MAX_BYTES} bytes"):
        load(file)


@pytest.mark.parametrize(
    ("state_home", "expected"),
    [("/var/state", "/var/state"), ("", "/home/dana/.local/state"), ("relative", "/home/dana/.local/state")],
)
def test_state_goes_where_the_xdg_specification_says(monkeypatch, file, state_home, expected):
    monkeypatch.setenv("HOME", "/home/dana")
    monkeypatch.setenv("XDG_STATE_HOME", state_home)
    assert state_directory() == Path(expected) / "blastwall"
    file.write_text(SMALLEST)
    assert load(file).state.directory == Path(expected) / "blastwall"
