"""Reading what nobody has trusted yet: one regular file, bounded, once, and no step outside its project."""

import hashlib
import os

import pytest

from blastwall.trust import reading
from blastwall.trust.projects import ProjectFile, candidates, project_of, root_of
from blastwall.trust.reading import MAX_BYTES, NotReadable, Where, read_untrusted


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path.resolve() / "home"
    (home / "code" / "deep").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def project(home):
    return home / "code"


def test_what_is_read_is_what_is_hashed_and_where_it_stood(project):
    file = project / "deep" / "x.json"
    file.write_text("{}")
    found = read_untrusted(file, project)
    status = file.parent.stat()
    assert found.content == b"{}"
    assert found.digest == hashlib.sha256(b"{}").hexdigest()
    assert found.where == Where(str(file), status.st_dev, status.st_ino)


def test_the_root_may_be_reached_by_a_link(project, tmp_path):
    """The user stands there: only what the project leads on to is in doubt."""
    (project / "x").write_text("x")
    (tmp_path / "link").symlink_to(project)
    assert read_untrusted(tmp_path / "link" / "x", tmp_path / "link").where.path == str(project / "x")


def test_a_linked_folder_inside_the_project_is_followed_and_named_by_its_true_place(project):
    (project / "deep" / "x").write_text("x")
    (project / "link").symlink_to("deep")
    assert read_untrusted(project / "link" / "x", project).where.path == str(project / "deep" / "x")


@pytest.mark.parametrize(
    "target", ["deep", "./deep/", "../code/deep", "deep/../deep", "{project}/deep", "other"]
)
def test_links_are_followed_as_long_as_they_stay_inside(project, target):
    (project / "deep" / "x").write_text("x")
    (project / "other").symlink_to("deep")
    (project / "link").symlink_to(target.format(project=project))
    inside = target != "../code/deep"
    if inside:
        assert read_untrusted(project / "link" / "x", project).where.path == str(project / "deep" / "x")
    else:  # it comes back, and yet the way leads outside
        with pytest.raises(NotReadable, match="outside of the project"):
            read_untrusted(project / "link" / "x", project)


def test_what_a_link_leads_to_outside_is_not_even_looked_at(project, tmp_path, monkeypatch):
    """A look can make the system mount something, from wherever it says (automounts)."""
    looked = []

    def looking(name):
        real = getattr(os, name)
        monkeypatch.setattr(
            reading.os, name, lambda path, *a, **k: looked.append(str(path)) or real(path, *a, **k)
        )

    (tmp_path / "outside").mkdir()
    for number, target in enumerate([tmp_path / "outside", "../../outside", "deep/../../outside"]):
        (project / f"link{number}").symlink_to(target)
    for name in ("stat", "lstat", "readlink", "open"):
        looking(name)
    for number in range(3):
        with pytest.raises(NotReadable, match="outside of the project"):
            read_untrusted(project / f"link{number}" / "x", project)
    assert not [path for path in looked if "outside" in path]


@pytest.mark.parametrize(("links", "fine"), [(40, True), (41, False)])
def test_a_long_chain_of_links_is_given_up(project, links, fine):
    for number in range(links):
        (project / f"l{number}").symlink_to(f"l{number + 1}")
    (project / f"l{links}").mkdir()
    (project / f"l{links}" / "x").write_text("x")
    if fine:
        assert read_untrusted(project / "l0" / "x", project).content == b"x"
    else:
        with pytest.raises(NotReadable, match="too many symlinks"):
            read_untrusted(project / "l0" / "x", project)


def test_another_spelling_of_the_project_is_the_project(project, tmp_path):
    (project / "x").write_text("x")
    (tmp_path / "link").symlink_to(project)
    assert read_untrusted(tmp_path / "link" / "x", project).content == b"x"
    assert read_untrusted(project / "x", tmp_path / "link").content == b"x"
    (tmp_path / "other").mkdir()
    with pytest.raises(NotReadable, match="outside of the project"):
        read_untrusted(tmp_path / "other" / "x", project)


def test_a_folder_that_can_not_be_looked_into_says_why(project, monkeypatch):
    def closed(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading.os, "readlink", closed)
    with pytest.raises(NotReadable, match="Permission denied"):
        read_untrusted(project / "deep" / "x", project)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("missing", "can't be read: No such file or directory"),
        ("missing/x", "can't be read: No such file or directory"),
        ("deep", "is no regular file"),
        ("../x", "lies outside of the project"),
        ("deep/../../x", "lies outside of the project"),
        ("nul\0", "a path holds no NUL"),
        ("deep/nul\0/x", "a path holds no NUL"),
    ],
)
def test_what_can_not_be_read_says_why(project, path, error):
    (project.parent / "x").write_text("x")
    with pytest.raises(NotReadable, match=error):
        read_untrusted(project / path, project)


def test_a_sibling_with_the_project_s_name_in_front_is_outside(project):
    sibling = project.with_name("code-of-another")
    sibling.mkdir()
    (sibling / "x").write_text("x")
    with pytest.raises(NotReadable, match="outside of the project"):
        read_untrusted(sibling / "x", project)


def test_what_is_as_long_as_may_be_is_read(project):
    (project / "x").write_bytes(b"x" * MAX_BYTES)
    assert len(read_untrusted(project / "x", project).content) == MAX_BYTES
    (project / "x").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(NotReadable, match="larger than"):
        read_untrusted(project / "x", project)


def test_no_descriptor_is_left_open(project):
    (project / "deep" / "x").write_text("x")
    os.mkfifo(project / "deep" / "pipe")
    before = os.listdir("/proc/self/fd")
    for name in ("x", "pipe", "missing"):
        try:
            read_untrusted(project / "deep" / name, project)
        except NotReadable:
            pass
    assert os.listdir("/proc/self/fd") == before


def test_a_device_is_not_even_opened(project, monkeypatch):
    """Opening one may already do something: rewind a tape, hang up a line."""
    opened = []
    real = os.open
    monkeypatch.setattr(reading.os, "open", lambda path, *a, **k: opened.append(path) or real(path, *a, **k))
    with pytest.raises(NotReadable, match="no regular file"):
        read_untrusted("/dev/null", "/dev")
    assert "null" not in opened


# --- which project --------------------------------------------------------------------------------------


def test_a_project_is_the_outermost_repository(home):
    deep = home / "code" / "deep"
    (deep / ".git").write_text("gitdir: ../.git/modules/deep")
    assert root_of(deep) == str(deep)
    (home / "code" / ".git").mkdir()
    assert root_of(deep) == str(home / "code")


def test_a_repository_in_the_home_folder_is_none_that_counts(home):
    (home / ".git").mkdir()
    assert root_of(home / "code") == str(home / "code")
    assert root_of(home) == str(home)


def test_a_folder_that_everybody_can_write_is_not_looked_into(home, tmp_path):
    """Anybody could put a repository, or a policy, into /tmp (compare CVE-2022-24765)."""
    shared = tmp_path / "shared"
    (shared / "mine").mkdir(parents=True)
    (shared / ".git").mkdir()
    assert root_of(shared / "mine") == str(shared.resolve())
    shared.chmod(0o1777)
    assert root_of(shared / "mine") == str(shared.resolve() / "mine")


def test_a_folder_above_that_can_not_be_looked_at_ends_the_search(home, monkeypatch):
    monkeypatch.setattr("blastwall.trust.projects.os.stat", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        root_of(home / "code" / "deep")

    def closed(path):
        raise PermissionError

    monkeypatch.setattr("blastwall.trust.projects.os.stat", closed)
    assert root_of(home / "code" / "deep") == str(home / "code" / "deep")


def names(home, folder):
    return [os.path.relpath(file.path, home) for file in candidates(home / folder)]


def test_policies_stand_between_the_repository_and_here(home):
    (home / "code" / ".git").mkdir()
    assert names(home, "code/deep") == ["code/blastwall.yaml", "code/deep/blastwall.yaml"]
    (home / "code" / ".git").rename(home / "code" / "deep" / ".git")
    assert names(home, "code/deep") == ["code/deep/blastwall.yaml"]


def test_outside_of_a_repository_they_stand_below_the_home_folder(home, tmp_path):
    assert names(home, "code/deep") == ["code/blastwall.yaml", "code/deep/blastwall.yaml"]
    assert names(home, ".") == ["blastwall.yaml"]
    (tmp_path / "srv" / "x").mkdir(parents=True)
    assert names(tmp_path.resolve(), "srv/x") == ["srv/x/blastwall.yaml"]


def test_the_user_s_own_policy_is_none_of_a_project(home):
    (home / ".config" / "blastwall").mkdir(parents=True)
    assert names(home, ".config/blastwall") == [".config/blastwall.yaml".replace(".config/", ".config/")]


def test_the_root_of_the_file_system_may_be_where_one_stands(home):
    assert candidates("/") == (ProjectFile("/blastwall.yaml"),)
    assert root_of("/") == "/"


def test_a_file_below_the_working_directory_must_lie_there_in_truth(home, monkeypatch):
    (home / ".secret").mkdir()
    (home / "code" / "link").symlink_to(home / ".secret")
    monkeypatch.chdir(home / "code")
    assert project_of("link/x") == str(home / "code")
    assert project_of(home / ".secret" / "x") == str(home / ".secret")
