"""What a profile shows and covers, decided without starting anything."""

import os
from pathlib import Path

import pytest

from blastwall.errors import BackendError
from blastwall.sandbox.mounts import SECRETS, Kind, Mount, mounts
from blastwall.values import Profile


def found(profile, read=()):
    return {(mount.kind, mount.target) for mount in mounts(profile, read)}


def reads(*paths, mask=()):
    return Profile("test", read=paths, mask=mask)


def test_the_systems_programs_and_nothing_else():
    shown = mounts(Profile("test"), ())
    assert Mount(Kind.READ, "/usr", "/usr") in shown
    for mount in shown:
        assert mount.target.startswith(("/usr", "/bin", "/sbin", "/lib", "/etc/"))
    assert not {mount.target for mount in shown} & {"/etc", "/etc/passwd", "/etc/shadow", "/etc/ssh"}


def test_a_path_is_shown_by_the_name_that_it_was_given(tmp_path):
    """With every symlink on the way, since programs hold their own paths by such names."""
    (tmp_path / "tool-1.2").mkdir()
    (tmp_path / "tool").symlink_to("tool-1.2")
    (tmp_path / "latest").symlink_to(tmp_path / "tool")
    shown = mounts(reads(tmp_path / "latest"), ())
    assert Mount(Kind.SYMLINK, f"{tmp_path}/latest", f"{tmp_path}/tool") in shown
    assert Mount(Kind.SYMLINK, f"{tmp_path}/tool", "tool-1.2") in shown
    assert Mount(Kind.READ, f"{tmp_path}/tool-1.2", f"{tmp_path}/tool-1.2", ours=True) in shown


def test_symlinks_that_lead_nowhere(tmp_path):
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    with pytest.raises(BackendError, match="lead nowhere"):
        mounts(reads(tmp_path / "one"), ())


def test_what_lies_below_another_needs_no_mount(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    shown = found(reads(tmp_path / "a" / "b", tmp_path / "a", Path("/usr/share")))
    assert (Kind.READ, f"{tmp_path}/a") in shown
    assert not {(Kind.READ, f"{tmp_path}/a/b"), (Kind.READ, "/usr/share")} & shown


@pytest.mark.parametrize("path", ["/proc", "/proc/1", "/dev", "/run", "/tmp"])
def test_what_every_sandbox_has_for_itself(path):
    with pytest.raises(BackendError, match="its own"):
        mounts(reads(Path(path)), ())


def test_a_missing_path_says_so(tmp_path):
    with pytest.raises(BackendError, match="does not exist"):
        mounts(reads(tmp_path / "missing"), ())


class TestCovered:
    @pytest.fixture
    def secrets(self, home):
        for secret in (".kube/config", ".docker/config.json", ".config/gcloud/token", ".ssh/id_ed25519"):
            (home / secret).parent.mkdir(parents=True, exist_ok=True)
            (home / secret).write_text("")
        return {
            (Kind.EMPTY_FOLDER, str(home / ".aws")),
            (Kind.EMPTY_FILE, str(home / ".netrc")),
            (Kind.EMPTY_FOLDER, str(home / ".kube")),
            (Kind.EMPTY_FILE, str(home / ".docker/config.json")),
            (Kind.EMPTY_FOLDER, str(home / ".config/gcloud")),
            (Kind.EMPTY_FOLDER, str(home / ".ssh")),
        }

    @pytest.mark.parametrize("above", ["", "..", "../../../../../../../.."])
    def test_the_callers_home(self, home, secrets, above):
        assert secrets <= found(reads(home / above))

    def test_any_home_that_a_path_exposes(self, home, secrets, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", "/nonexistent")
        assert secrets <= found(reads(home))
        assert secrets <= found(reads(tmp_path))

    def test_a_secret_that_was_asked_for_by_name(self, home):
        assert (Kind.EMPTY_FOLDER, str(home / ".aws")) in found(reads(home / ".aws"))

    def test_a_file_among_the_secrets(self, home):
        assert (Kind.EMPTY_FOLDER, str(home / ".aws")) in found(reads(home / ".aws" / "credentials"))

    def test_where_a_symlink_leads(self, home, tmp_path):
        (tmp_path / "keys").mkdir()
        (home / ".ssh").symlink_to(tmp_path / "keys")
        assert (Kind.EMPTY_FOLDER, str(tmp_path / "keys")) in found(reads(tmp_path / "keys"))

    def test_a_history_that_is_nothing_already(self, home):
        (home / ".bash_history").symlink_to("/dev/null")
        assert not {target for _, target in found(reads(home))} & {"/dev/null", f"{home}/.bash_history"}

    def test_nothing_where_nothing_is_shown(self, home):
        assert not any(target.startswith(str(home)) for _, target in found(Profile("test")))

    def test_a_mask(self, tmp_path):
        (tmp_path / "keys").mkdir()
        (tmp_path / "key").write_text("")
        shown = found(reads(tmp_path, mask=(tmp_path / "keys", tmp_path / "key", tmp_path / "missing")))
        assert {(Kind.EMPTY_FOLDER, f"{tmp_path}/keys"), (Kind.EMPTY_FILE, f"{tmp_path}/key")} <= shown

    def test_a_mask_over_the_systems_own(self):
        assert (Kind.EMPTY_FOLDER, "/usr/share/doc") in found(reads(mask=(Path("/usr/share/doc"),)))

    def test_a_mask_within_a_mask(self, home):
        """Below a cover there is no place to put another."""
        shown = found(reads(home, mask=(home,)))
        assert (Kind.EMPTY_FOLDER, str(home)) in shown
        assert (Kind.EMPTY_FOLDER, str(home / ".aws")) not in shown

    def test_a_mask_above_what_may_be_read(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        shown = mounts(reads(tmp_path / "a" / "b", mask=(tmp_path / "a",)), ())
        assert shown[-1] == Mount(Kind.EMPTY_FOLDER, f"{tmp_path}/a")

    def test_the_list_is_relative_and_without_repetition(self):
        assert len(SECRETS) == len(set(SECRETS))
        assert not any(secret.startswith("/") or ".." in secret for secret in SECRETS)


class TestWorkspace:
    def refused(self, path, match, **options):
        with pytest.raises(BackendError, match=match):
            mounts(Profile("test", workspace=path, **options), ())

    def test_it_may_be_written(self, workspace):
        assert (Kind.WRITE, str(workspace)) in found(Profile("test", workspace=workspace))

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "missing", "make it first")

    def test_a_file(self, tmp_path):
        (tmp_path / "file").write_text("")
        self.refused(tmp_path / "file", "no folder")

    def test_a_symlink_on_the_way(self, tmp_path, workspace):
        (tmp_path / "link").symlink_to(workspace)
        (workspace / "below").mkdir()
        self.refused(tmp_path / "link", "symlink")
        self.refused(tmp_path / "link" / "below", "symlink")

    @pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/home", "/tmp", "/var", "/proc/1", "/sys/kernel"])
    def test_folders_that_belong_to_everybody(self, path):
        self.refused(Path(path), "can't be a workspace")

    def test_a_home_and_what_holds_it(self, home, tmp_path):
        self.refused(home, "can't be a workspace")
        self.refused(tmp_path, "can't be a workspace")

    def test_among_secrets(self, home):
        (home / ".aws" / "work").mkdir()
        self.refused(home / ".aws" / "work", "holds credentials")
        self.refused(home / ".aws", "holds credentials")

    def test_around_credentials(self, home, workspace, monkeypatch):
        monkeypatch.setattr("blastwall.sandbox.mounts.SYSTEM_SECRETS", [str(workspace / "keys")])
        (workspace / "keys").mkdir()
        self.refused(workspace, "holds credentials")

    def test_around_what_is_masked(self, workspace):
        (workspace / "keys").mkdir()
        shown = mounts(Profile("test", workspace=workspace, mask=(workspace / "keys",)), ())
        assert shown[-1] == Mount(Kind.EMPTY_FOLDER, str(workspace / "keys"))

    def test_in_what_is_masked(self, workspace):
        self.refused(workspace, "lies among them", mask=(workspace.parent,))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_home_that_cannot_be_listed_is_covered_all_the_same(home):
    home.chmod(0o311)
    try:
        assert (Kind.EMPTY_FOLDER, str(home / ".aws")) in found(reads(home))
    finally:
        home.chmod(0o755)
