"""Policy files on disk."""

from pathlib import Path

import pytest

from blastwall import policyfile
from blastwall.errors import PolicyError
from blastwall.paths import state_directory
from blastwall.policy import Policy
from blastwall.policy.layers import Layered
from blastwall.policy.source import MAX_BYTES
from blastwall.policyfile import load

SMALLEST = "version: 1\nconnectors: {files: {}}\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path.resolve() / "blastwall.yaml"


@pytest.fixture(autouse=True)
def organisation(tmp_path, monkeypatch):
    """Where the organisation's file would be, whatever this machine has."""
    path = tmp_path.resolve() / "etc" / "blastwall.yaml"
    monkeypatch.setattr(policyfile, "ORGANISATION", path)
    return path


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


# --- layers -------------------------------------------------------------------------------------------


@pytest.fixture
def layer(tmp_path):
    file = tmp_path.resolve() / "layer.yaml"
    file.write_text(SMALLEST)
    return file


def test_a_policy_alone_has_no_layers(file):
    file.write_text(SMALLEST)
    assert isinstance(load(file), Policy)


def test_further_files_are_layers_that_narrow_in_their_order(file, layer, organisation):
    organisation.parent.mkdir()
    for path in (file, organisation):
        path.write_text(SMALLEST)
    policy = load(file, layer)
    assert isinstance(policy, Layered)
    assert policy.primary.file == str(file)
    assert [narrowing.file for narrowing in policy.narrowing] == [str(layer), str(organisation)]


def test_a_layer_s_relative_paths_start_from_its_own_folder(file, tmp_path):
    file.write_text(SMALLEST)
    layer = tmp_path.resolve() / "task" / "layer.yaml"
    layer.parent.mkdir()
    layer.write_text("version: 1\nconnectors: {files: {directory: x}}")
    (narrowing,) = load(file, layer).narrowing
    assert narrowing.directory("files") == layer.parent / "x"


@pytest.mark.parametrize("same", ["blastwall.yaml", "./blastwall.yaml", "link.yaml"])
def test_a_file_that_is_given_twice_counts_once(file, monkeypatch, same):
    """Else each call would be charged twice."""
    file.write_text(SMALLEST)
    (file.parent / "link.yaml").symlink_to(file)
    monkeypatch.chdir(file.parent)
    assert isinstance(load(file, same), Policy)


def test_the_organisation_s_file_does_not_narrow_itself(organisation):
    organisation.parent.mkdir()
    organisation.write_text(SMALLEST)
    assert isinstance(load(organisation), Policy)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: path.write_text("version: 2\nconnectors: {}\n"), ":1:10: version: must be 1, not 2"),
        (lambda path: path.mkdir(), ": can't be read: Is a directory"),
        (lambda path: path.symlink_to(path.with_name("gone")), ": can't be read: No such file or directory"),
    ],
)
def test_nothing_loads_while_the_organisation_s_file_is_broken(file, organisation, make, error):
    file.write_text(SMALLEST)
    organisation.parent.mkdir()
    make(organisation)
    with pytest.raises(PolicyError) as caught:
        load(file)
    assert f"{organisation}{error}" in str(caught.value)


def test_an_organisation_s_file_that_can_not_be_looked_at_is_one(file, organisation, monkeypatch):
    file.write_text(SMALLEST)
    organisation.parent.symlink_to(organisation.parent)  # root may look into closed folders
    with pytest.raises(PolicyError) as caught:
        load(file)
    assert str(caught.value) == f"{organisation}: can't be read: Too many levels of symbolic links"


def test_a_file_on_the_way_to_the_organisation_s_file_means_that_there_is_none(file, organisation):
    file.write_text(SMALLEST)
    organisation.parent.write_text("")
    assert isinstance(load(file), Policy)


def test_the_mistakes_of_all_layers_are_told_at_once(file, layer):
    file.write_text("version: 2\nconnectors: {files: {}}\n")
    with pytest.raises(PolicyError) as caught:
        load(file, layer, layer.with_name("gone.yaml"))
    assert [problem.file for problem in caught.value.problems] == [str(layer.with_name("gone.yaml"))]
    layer.with_name("gone.yaml").write_text("version: 3\nconnectors: {files: {}}\n")
    with pytest.raises(PolicyError) as caught:
        load(file, layer, layer.with_name("gone.yaml"))
    assert [problem.file for problem in caught.value.problems] == [
        str(file),
        str(layer.with_name("gone.yaml")),
    ]
