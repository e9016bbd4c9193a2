"""What nobody inside may write or make: before, while and after a sandbox uses the workspace."""

import os
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall import sandbox
from blastwall.errors import BackendError
from blastwall.sandbox import _reaper, lease
from blastwall.sandbox.protect import FILES, FOLDERS, GIT, MOST, SECRET, guarded, protected
from blastwall.values import Profile

NOBODY = 65534


def given_away(folder):
    """Make a tree the property of whoever is inside."""
    if os.geteuid() == 0:
        for top, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(os.path.join(top, name), NOBODY, NOBODY, follow_symlinks=False)


def git(folder, *words):
    return subprocess.run(
        ["git", *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
        },
        capture_output=True,
        text=True,
        timeout=20,
    )  # fmt: skip


@pytest.fixture
def repository(workspace):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(workspace, "init", "-q", "-b", "main")
    (workspace / "notes").write_text("one\n")
    git(workspace, "add", "notes")
    assert git(workspace, "commit", "-q", "-m", "first").returncode == 0
    given_away(workspace)
    return workspace


def sh(profile, command):
    return sandbox.run(["sh", "-c", command], profile)


def tree(folder):
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


# --- What exists is read-only, what is missing can't be made -------------------------------------------


@pytest.mark.parametrize("name", [*FILES, "HEAD"])
def test_a_missing_file_cant_be_made(name, workspace, profile):
    done = sh(profile, f"echo evil > {name} || echo evil >> {name} || mkdir {name} || mv /etc/passwd {name};"
                       f"rm -rf {name}; ln -s /etc/passwd {name}; ln -sf /etc/passwd {name};"
                       f"mv -T {name} away; echo evil > new; mv -fT new {name}; cat {name}")  # fmt: skip
    assert done.stdout == b""
    assert {path.name for path in workspace.iterdir()} <= {"new"}


@pytest.mark.parametrize("name", [*FOLDERS, ".git"])
def test_a_missing_folder_cant_be_made(name, workspace, profile):
    done = sh(profile, f"mkdir {name}; echo evil > {name}/settings.json; rm -rf {name}; rmdir {name};"
                       f"mv -T {name} away; mkdir other; touch other/x; mv -fT other {name}; ls -A {name}")  # fmt: skip
    assert done.stdout == b""
    assert {path.name for path in workspace.iterdir()} <= {"other"}


@pytest.mark.parametrize("name", [*FILES, *(f"{folder}/settings" for folder in FOLDERS)])
def test_what_exists_cant_be_changed(name, workspace, profile):
    (workspace / name).parent.mkdir(exist_ok=True)
    (workspace / name).write_text("mine")
    given_away(workspace)
    before, top = tree(workspace), name.split("/")[0]
    done = sh(profile, f"echo evil > {name}; rm -rf {top}; mv -T {top} away; chmod 777 {name} {top};"
                       f"touch {top}/more; ln -f {name} other; echo evil > new; mv -f new {name}; rm new;"
                       f"truncate -s 0 {name}; touch -d yesterday {name}; cat {name}")  # fmt: skip
    assert done.stdout == (b"" if name in SECRET else b"mine")
    assert tree(workspace) == before


def test_the_control_without_protection(workspace, profile, monkeypatch):
    """The same attacks do their work where nothing is protected."""
    monkeypatch.setattr(lease, "guarded", lambda *_: lease.NOTHING)
    assert sh(profile, "echo evil > .mcp.json; mkdir .git && echo evil > .git/config").returncode == 0
    assert (workspace / ".git/config").read_text() == (workspace / ".mcp.json").read_text() == "evil\n"


@pytest.mark.parametrize("name", [".ENV", ".Mcp.Json", ".VSCode/tasks.json", "sub/.Git/hooks/post-checkout"])
def test_another_case_of_a_name(name, workspace, profile):
    """On some file systems it is the same name (CVE-2025-59944)."""
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).write_text("mine")
    given_away(workspace)
    sh(profile, f"echo evil > {name}; rm -rf {name}; mv -T {name.split('/')[0]} away")
    assert (workspace / name).read_text() == "mine"


def test_secrets_read_as_empty_at_any_depth(workspace, profile):
    for name in (".env", "service/deep/.env", "service/.env.local"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("CANARY")
    given_away(workspace)
    done = sh(
        profile, "cat .env service/deep/.env service/.env.local; grep -r CANARY . ; cp .env copy; cat copy"
    )
    assert b"CANARY" not in done.stdout
    assert (workspace / "service/deep/.env").read_text() == "CANARY"


def test_the_folders_above_cant_be_moved_away(workspace, profile):
    hooks = workspace / "a" / "b" / ".git" / "hooks"
    hooks.mkdir(parents=True)
    (hooks.parent / "HEAD").write_text("ref: refs/heads/main\n")
    given_away(workspace)
    sh(profile, "mv a z; mv a/b a/z; mv a/b/.git a/b/.z; rm -rf a; mkdir -p a/b/.git/hooks;"
                "echo evil > a/b/.git/hooks/pre-commit")  # fmt: skip
    assert list(hooks.iterdir()) == []
    assert sh(profile, "mkdir a/ordinary; echo fine > a/b/file; mv a/b/file a/b/moved").returncode == 0


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_a_nested_repository(depth, workspace, profile):
    git_folder = workspace.joinpath(*["d"] * depth, ".git")
    (git_folder / "hooks").mkdir(parents=True)
    (git_folder / "HEAD").write_text("ref: refs/heads/main\n")
    given_away(workspace)
    where = git_folder.relative_to(workspace)
    done = sh(profile, f"cd {where} && for name in config config.worktree commondir hooks/pre-commit; do"
                       " if echo evil > $name; then echo WROTE $name; fi; done; echo ordinary > index")  # fmt: skip
    assert done.stdout == b""
    assert sorted(path.name for path in git_folder.iterdir()) == ["HEAD", "hooks", "index"]


# --- Git ------------------------------------------------------------------------------------------------


def test_ordinary_git_works(repository, profile):
    """Commits, branches and stashes; and the stand-ins never get into one."""
    done = sandbox.run(
        ["sh", "-ec", "git checkout -q -b work; echo two >> notes; git stash -q; git stash pop -q;"
                      "git commit -q -a -m second; git tag t; git checkout -q main; git merge -q work;"
                      "git gc -q; git branch -d work; git log --format=%s"],
        replace(profile, env=(("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com"),
                              ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com"))),
    )  # fmt: skip
    assert done.stdout.endswith(b"second\nfirst\n"), done.stderr
    assert git(repository, "log", "--format=%s").stdout == "second\nfirst\n"
    assert git(repository, "status", "--porcelain").stdout == ""
    assert git(repository, "fsck").returncode == 0


PROGRAM = "[core]\n\tfsmonitor = touch {canary}; false\n"


@pytest.fixture
def poisoned(repository, profile, tmp_path):
    """Runs an attack inside, then git outside, and says whether git ran the attacker's program.

    The program touches a canary. Whether the attack works where nothing is protected is asked on a copy.
    """

    def attack(*commands, outside=("status",)):
        canary, answers = tmp_path / "canary", []
        program = PROGRAM.format(canary=canary)
        (repository / "program").write_text(program)
        given_away(repository)
        bare = tmp_path / "bare"
        shutil.copytree(repository, bare)
        for folder, run in (
            (repository, lambda script: sh(profile, script)),
            (bare, lambda script: subprocess.run(["sh", "-c", script], cwd=bare, capture_output=True)),
        ):
            canary.unlink(missing_ok=True)
            run("; ".join(commands))
            git(folder, *outside)
            answers.append(canary.exists())
        return answers

    return attack


def test_git_config(poisoned):
    assert poisoned("cat program >> .git/config") == [False, True]


def test_another_folder_in_the_place_of_git_config(poisoned):
    """`.git/commondir` says where configuration, hooks and objects are: anywhere in the workspace."""
    copied = "mkdir evil; cp -r .git/objects .git/refs evil/; cp program evil/config"
    assert poisoned(copied, "printf ../evil > .git/commondir") == [False, True]


def test_a_configuration_for_this_working_tree_alone(repository, poisoned):
    git(repository, "config", "extensions.worktreeConfig", "true")
    assert poisoned("cp program .git/config.worktree") == [False, True]


def test_a_workspace_turned_into_a_bare_repository(poisoned):
    """Where `.git` is broken, git looks at the folder itself."""
    made = "cp -r .git/refs .git/objects .git/index .; (cat program; echo repositoryformatversion = 0; echo bare = false; echo worktree = $PWD) > config"
    assert poisoned("echo broken > .git/HEAD", made, "echo ref: refs/heads/main > HEAD") == [False, True]


def test_a_hook(poisoned, tmp_path):
    hook = f"printf '#!/bin/sh\\ntouch {tmp_path}/canary\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/*"
    assert poisoned(hook, outside=("commit", "-q", "--allow-empty", "-m", "x")) == [False, True]


def test_a_working_tree_elsewhere(repository, profile, tmp_path):
    """Its configuration is found through the workspace too."""
    assert git(repository, "worktree", "add", "-q", str(tmp_path / "tree")).returncode == 0
    given_away(repository)
    done = sh(profile, "cd .git/worktrees/tree; echo ../../../evil > commondir; rm commondir;"
                       "echo evil > config.worktree; echo fine > ORIG_HEAD && echo ok")  # fmt: skip
    assert done.stdout == b"ok\n"
    assert (repository / ".git/worktrees/tree/commondir").read_text() == "../..\n"
    assert git(tmp_path / "tree", "status").returncode == 0


def test_a_working_trees_git_file(workspace, profile):
    (workspace / ".git").write_text("gitdir: /elsewhere\n")
    (workspace / "sub").mkdir()
    (workspace / "sub/.git").write_text("gitdir: ../.git/modules/sub\n")
    given_away(workspace)
    sh(
        profile,
        "for f in .git sub/.git; do echo gitdir: /evil > $f; rm -f $f; mv $f x; mkdir -p $f; done; mv sub y",
    )
    assert (workspace / ".git").read_text() == "gitdir: /elsewhere\n"
    assert (workspace / "sub/.git").read_text() == "gitdir: ../.git/modules/sub\n"


def test_a_submodule(repository, profile, tmp_path):
    for words in (["init", "-q", "lib"], ["-C", "lib", "commit", "-q", "--allow-empty", "-m", "x"]):
        git(tmp_path, *words)
    added = git(
        repository, "-c", "protocol.file.allow=always", "submodule", "add", str(tmp_path / "lib"), "a/lib"
    )
    assert added.returncode == 0, added.stderr
    given_away(repository)
    module = repository / ".git/modules/a/lib"
    before = tree(module)
    sh(profile, "cd .git/modules/a/lib; echo evil > hooks/post-checkout; echo evil >> config; rm -rf hooks config;"
                "echo evil > commondir; mv hooks x; cd ..; mv lib x; cd ../..; mv modules x")  # fmt: skip
    assert tree(module) == before
    assert sh(profile, "cd a/lib && git checkout -q -b work").returncode == 0


def test_a_bare_repository_anywhere(workspace, profile):
    git(workspace, "init", "-q", "--bare", "mirrors/project")
    given_away(workspace)
    bare = workspace / "mirrors/project"
    before = tree(bare)
    sh(profile, "cd mirrors/project; echo evil >> config; echo evil > hooks/update; echo evil > commondir")
    assert tree(bare) == before


# --- Symlinks and hostile trees -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".env", ".git", ".vscode", ".bashrc", ".git/hooks", ".git/config"])
def test_a_symlink_is_refused_with_what_to_do(name, workspace, profile, tmp_path):
    if name.startswith(".git/"):
        (workspace / ".git").mkdir()
        (workspace / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (workspace / name).symlink_to(tmp_path)
    given_away(workspace)
    with pytest.raises(BackendError, match=f"{name} is a symlink.*run in a copy"):
        sh(profile, "true")
    assert [path.name for path in workspace.iterdir()] == [name.split("/")[0]]


def test_a_path_through_a_symlink_is_refused(workspace, profile):
    (workspace / "link").symlink_to("/etc")
    with pytest.raises(BackendError, match="link is a symlink"):
        sh(replace(profile, protect=("link/passwd",)), "true")


def test_a_tree_swapped_for_a_symlink_meanwhile(workspace, profile, tmp_path, monkeypatch):
    """What stands in is never made outside of the workspace, and nothing there is taken for one of ours."""
    outside = tmp_path / "outside/.git"
    outside.mkdir(parents=True)
    theirs = outside / "hooks"
    theirs.mkdir(0o555)
    nested = workspace / "a/.git"
    nested.mkdir(parents=True)
    (nested / "HEAD").write_text("ref: refs/heads/main\n")
    given_away(workspace)

    def swapped(*arguments):
        found = guarded(*arguments)
        shutil.rmtree(workspace / "a")
        (workspace / "a").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(lease, "guarded", swapped)
    with pytest.raises(BackendError, match="can't be protected"):
        sh(profile, "true")
    assert [path.name for path in outside.iterdir()] == ["hooks"]
    assert [path.name for path in workspace.iterdir()] == ["a"]


def test_a_deep_tree(workspace, profile):
    """Paths longer than the kernel takes are nobody's to use, and crash nothing."""
    descriptor = os.open(workspace, os.O_PATH)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_PATH, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    try:
        assert sh(profile, "echo ok").stdout == b"ok\n"
    finally:
        subprocess.run(["rm", "-rf", workspace / "d"], check=True)


def test_a_protected_file_too_deep_to_hold(workspace, profile):
    folder = workspace.joinpath(*["d"] * MOST)
    folder.mkdir(parents=True)
    (folder / ".env").touch()
    with pytest.raises(BackendError, match=f"more than {MOST}.*run in a copy"):
        sh(profile, "true")


def test_a_crowd_of_protected_files(workspace, profile):
    for number in range(MOST):
        (workspace / f"{number}").mkdir()
        (workspace / f"{number}/.env").touch()
    with pytest.raises(BackendError, match="use a smaller folder"):
        sh(profile, "true")
    assert not (workspace / ".git").exists()


def test_a_wide_tree(workspace, profile):
    for number in range(50):
        (workspace / f"{number}").mkdir()
        for other in range(1000):
            (workspace / f"{number}/{other}").touch()
    began = time.monotonic()
    assert sh(profile, "echo ok").stdout == b"ok\n"
    assert time.monotonic() - began < 5


def test_odd_names(workspace, profile):
    for name in (b"new\nline", "ümläut\u202e".encode(), b"\xff\xfe", b"-rf", b"$(touch x)", b"a" * 255, b" "):
        folder = os.path.join(os.fsencode(workspace), name)
        os.mkdir(folder)
        with open(folder + b"/.env", "wb") as file:
            file.write(b"CANARY")
    given_away(workspace)
    done = sh(profile, 'cat */.env; for folder in *; do echo evil > "./$folder/.env"; done')
    assert done.stdout == b""
    assert {path.read_bytes() for path in workspace.glob("*/.env")} == {b"CANARY"}


# --- More paths, of the profile -------------------------------------------------------------------------


def test_paths_of_the_profile(workspace, profile):
    (workspace / "Makefile").write_text("mine")
    given_away(workspace)
    protect = ("Makefile", "ci/deep/steps.yaml", "new", "./odd//way")
    done = sh(replace(profile, protect=protect), "echo evil > Makefile; echo evil > new; mkdir -p ci/deep odd/way;"
              "echo evil > ci/deep/steps.yaml; rm -rf Makefile ci new odd; ls -d ci new odd")  # fmt: skip
    assert done.stdout == b"ci\nnew\nodd\n"
    assert [path.name for path in workspace.iterdir()] == ["Makefile"]
    assert (workspace / "Makefile").read_text() == "mine"


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "a/../../b", "", ".", "nul\0"])
def test_a_path_that_is_none_of_the_workspace(path, workspace, profile):
    with pytest.raises(BackendError, match="write a path inside the workspace"):
        sh(replace(profile, protect=(path,)), "true")
    assert list(workspace.iterdir()) == []


def test_a_path_that_cant_be(workspace, profile):
    (workspace / "file").touch()
    for path in ("file/below", "a" * 300):
        with pytest.raises(BackendError, match="can't be protected"):
            sh(replace(profile, protect=(path,)), "true")
    assert [path.name for path in workspace.iterdir()] == ["file"]


# --- Nothing is left behind -----------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_whatever_the_umask_nothing_is_left(umask, workspace, profile):
    before = os.umask(umask)
    try:
        done = sh(profile, "cat .npmrc && ls .git && stat -c %a .npmrc .git")
    finally:
        os.umask(before)
    assert done.stdout == b"444\n555\n", done.stderr
    assert list(workspace.iterdir()) == []


def test_a_users_own_empty_file_stays(workspace, profile):
    for name, mode in ((".env", 0o644), (".npmrc", 0o444), (".bashrc", 0o400)):
        (workspace / name).touch(mode)
        (workspace / name).chmod(mode)
    (workspace / ".vscode").mkdir(0o555)
    given_away(workspace)
    assert sh(profile, "true").returncode == 0
    assert sorted(path.name for path in workspace.iterdir()) == [".bashrc", ".env", ".npmrc", ".vscode"]


class Held:
    """A sandbox that runs until it is told to end."""

    def __init__(self, profile, command="echo ready; read line"):
        self._launched = sandbox.launch(["sh", "-c", command], profile)

    def __enter__(self):
        self.running = self._launched.__enter__()
        assert self.running.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *error):
        self._launched.__exit__(*error)


def test_the_first_of_two_to_end_uncovers_nothing(workspace, profile):
    with Held(profile):
        first = Held(profile)
        second = Held(
            replace(profile, protect=("extra",)), "echo ready; read line; echo evil > .mcp.json; ls -A"
        )
        with second:
            with first:
                pass
            assert (workspace / ".mcp.json").exists()
            second.running.stdin.write(b"go\n")
            second.running.stdin.close()
            assert b".mcp.json\n" in second.running.stdout.read()
        assert (workspace / ".mcp.json").read_text() == ""
        assert (workspace / ".git").is_dir()
    assert list(workspace.iterdir()) == []


def test_what_was_made_on_the_host_meanwhile_stays(workspace, profile):
    with Held(profile):
        (workspace / ".env").unlink()
        (workspace / ".env").touch()
        (workspace / ".mcp.json").chmod(0o644)
        (workspace / ".mcp.json").write_text("mine")
        (workspace / ".vscode").chmod(0o755)
        (workspace / ".vscode/settings.json").write_text("mine")
    assert sorted(path.name for path in workspace.iterdir()) == [".env", ".mcp.json", ".vscode"]


def test_leftovers_of_a_machine_that_stopped_are_known_without_a_note(workspace, profile):
    """The notes lie in memory, the stand-ins on the disk."""
    with Held(profile):
        notes = [path for path in (lease.folder() / "workspaces").iterdir() if path.suffix == ""]
        mine = f"{workspace.stat().st_dev}-{workspace.stat().st_ino}"
        held = [path for path in notes if path.name == mine]
        assert held
        for path in held:
            path.write_text("")
    assert len(list(workspace.iterdir())) > 20
    assert sh(profile, "echo evil > .npmrc").returncode != 0
    assert list(workspace.iterdir()) == []


def test_what_is_not_ours_is_never_taken_for_a_stand_in(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".credentials.json").write_text("secret")
    folder.chmod(0o555)
    os.utime(folder, (_reaper.MARK_S, _reaper.MARK_S))
    closed = tmp_path / "closed"
    closed.touch(0o444)
    assert not _reaper.stands_in(str(folder))
    assert not _reaper.stands_in(str(closed))
    assert not _reaper.stands_in(str(tmp_path / "missing"))
    os.utime(closed, (_reaper.MARK_S, _reaper.MARK_S))
    assert _reaper.stands_in(str(closed))


def test_many_at_once_in_one_workspace(workspace, profile):
    answers = []

    def work():
        done = sh(profile, "echo evil > .mcp.json; mkdir .git/x; ls -A | grep -c '^[.]'")
        answers.append(int(done.stdout))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert list(workspace.iterdir()) == []


# --- The names alone ------------------------------------------------------------------------------------

NAMES = st.sampled_from([*FILES, *FOLDERS, *GIT, ".git", "modules", "worktrees", "src", "a", "HEAD", "x.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=6)


@given(PATHS, PATHS)
def test_what_lies_below_is_protected_too(above, below):
    path = PurePosixPath(*above)
    if protected(path) and path != PurePosixPath("HEAD"):
        if above != [".git"] and above[-1] != ".git":
            assert protected(path.joinpath(*below))


@given(PATHS, st.randoms())
def test_case_makes_no_difference(parts, random):
    other = ["".join(random.choice((c.upper(), c.lower())) for c in part) for part in parts]
    assert protected(PurePosixPath(*parts)) == protected(PurePosixPath(*other))


@given(PATHS, PATHS)
def test_an_extra_path_protects_itself_and_what_is_below(extra, below):
    assert protected(PurePosixPath(*extra), ["/".join(extra)])
    assert protected(PurePosixPath(*extra, *below), ["/".join(extra)])


@given(st.lists(st.text("abcXYZ._-é \n", min_size=1, max_size=8).filter(lambda t: t.strip(".")), min_size=1))
def test_ordinary_paths_are_free(parts):
    assert not protected(PurePosixPath(*parts))


@pytest.mark.parametrize(
    "path",
    ".git .git/hooks/x .git/config .git/commondir .git/modules/a/b/hooks .git/worktrees/t/config.worktree"
    " sub/.git/config a/.ENV .env HEAD sub/.claude/x blastwall.yaml".split(),
)
def test_protected(path):
    assert protected(PurePosixPath(path))


@pytest.mark.parametrize(
    "path", ".git/index .git/objects/ab/cd .git/refs/heads/config x/HEAD HEAD/x config hooks/a env".split()
)
def test_not_protected(path):
    assert not protected(PurePosixPath(path))


@pytest.mark.parametrize(
    "name", [*FILES, *FOLDERS, ".git", ".git/hooks/x", ".git/config", "a/.git/commondir"]
)
def test_the_names_and_the_mounts_agree(name, workspace):
    """What is said to be protected is protected: the two come from different functions."""
    path = Path(workspace, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".git/" in name:
        (workspace / name.split(".git/")[0] / ".git/HEAD").write_text("ref: refs/heads/main\n")
        path.parent.mkdir(exist_ok=True)
    path.touch()
    found = guarded(str(workspace))
    held = [PurePosixPath(held) for held in found.there]
    assert any(PurePosixPath(name).is_relative_to(one) for one in held)
    assert all(map(protected, held))
    assert all(protected(PurePosixPath(missing)) for missing, _ in found.missing)


def test_a_workspaceless_profile_has_nothing_to_protect():
    assert (
        sandbox.run(["sh", "-c", "echo fine > .env && cat .env"], Profile("none", timeout_s=20)).stdout
        == b"fine\n"
    )
