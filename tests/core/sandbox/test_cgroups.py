"""Limits that count everything inside together: here for real, elsewhere by a tree of files that looks like it."""

import errno
import os
import select
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall import sandbox
from blastwall.errors import SandboxUnavailable
from blastwall.sandbox import cgroups, lease
from blastwall.sandbox.cgroups import Hierarchy
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"
PROFILE = Profile("groups", timeout_s=30, memory_mb=128, processes=40)
ROOT = os.geteuid() == 0

grouped = pytest.mark.skipif(not cgroups.hierarchy().version, reason="no control groups to be had here")


def groups():
    """Give those of this process that exist now."""
    ours = f"blastwall-{Path(lease._owner()).name}-*"
    return [path for top in cgroups.hierarchy().folders for path in Path(top).glob(ours)]


# --- For real -------------------------------------------------------------------------------------------

BOMB = """
import os, sys, time
for n in range(int(sys.argv[1])):
    if os.fork() == 0:
        data = bytearray(40 << 20)  # below what each may have
        for place in range(0, len(data), 4096): data[place] = 1
        print('filled', flush=True)
        time.sleep(float(sys.argv[2]))
        os._exit(0)
for n in range(int(sys.argv[1])):
    print('ended', os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@grouped
def test_memory_is_counted_over_all_processes():
    """Each stays below its own limit; together they don't."""
    enough = sandbox.run([PYTHON, "-c", BOMB, "2", "0.5"], PROFILE)
    assert enough.stdout.count(b"ended 0") == 2
    done = sandbox.run([PYTHON, "-c", BOMB, "6", "5"], PROFILE)
    assert done.stdout.count(b"ended 0") < 6
    assert done.returncode != 0 or b"ended -9" in done.stdout


@grouped
def test_files_in_private_memory_are_counted_too():
    """A tmpfs is memory."""
    fill = "head -c 100M /dev/zero > /tmp/a; head -c 100M /dev/zero > /run/b; echo survived"
    done = sandbox.run(["sh", "-c", fill], replace(PROFILE, memory_mb=100, scratch_mb=150))
    assert done.stdout == b"" or b"Killed" in done.stderr or done.returncode < 0


@grouped
def test_whoever_is_killed_for_memory_did_run(workspace, profile):
    """It may hit a part of the wall instead; that is never called a sandbox in which nothing ran."""
    bomb = "touch ran; for n in 1 2 3 4; do (head -c 90M /dev/zero > /tmp/$n; tail -c 90M /dev/zero) & done; wait"
    for _ in range(5):
        sandbox.run(["sh", "-c", bomb], replace(profile, memory_mb=100, scratch_mb=200, timeout_s=10))
        assert (workspace / "ran").exists()


@grouped
def test_a_fork_bomb_stays_small():
    code = (
        "import os, time\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    try: os.fork()\n"
        "    except OSError: time.sleep(0.05)\n"
    )
    most = 0
    with sandbox.launch([PYTHON, "-c", code], PROFILE, stdin=b"") as running:
        while not _ended(running):
            most = max([most, *(_count(group) for group in groups())])
            time.sleep(0.01)
        running.wait()
    assert 20 < most <= PROFILE.processes + cgroups._BUILDERS
    assert groups() == []


def _ended(running):
    poll = select.poll()
    poll.register(running.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _count(group):
    try:
        return len((group / "cgroup.procs").read_text().split())
    except OSError:
        return 0


@grouped
def test_everything_counts_from_its_first_moment():
    with sandbox.launch(["sleep", "60"], PROFILE) as running:
        top = running.process.pid
        end = time.monotonic() + 10
        while not (joined := [path for path in groups() if _member(path, top)]) and time.monotonic() < end:
            time.sleep(0.01)
        assert {path.name for path in joined} == {path.name for path in groups()}
    assert groups() == []


def _member(group, pid):
    return str(pid) in (group / "cgroup.procs").read_text().split()


@grouped
def test_nobody_inside_sees_or_leaves_its_group(profile):
    done = sandbox.run(
        ["sh", "-c", "ls /sys/fs/cgroup; echo 0 > /sys/fs/cgroup/cgroup.procs; mkdir -p /sys/x"], profile
    )
    assert done.stdout == b""
    assert done.returncode != 0


@grouped
@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_without_its_group_there_is_no_sandbox(code, monkeypatch, profile, workspace):
    def refused(path, *_):
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(cgroups.os, "mkdir", refused)
    with pytest.raises(SandboxUnavailable, match="no sandbox: its control group can't be made"):
        cgroups_only(profile)


def cgroups_only(profile):
    """Make the groups of a lease, and nothing else that needs folders."""
    lease._group(cgroups.paths("blastwall-test"), profile)


@grouped
def test_a_group_that_is_gone_by_the_time_it_is_joined(monkeypatch, workspace, profile):
    made = cgroups.make

    def lost(groups, profile):
        made(groups, profile)
        for group in groups:
            os.rmdir(group)

    monkeypatch.setattr(cgroups, "make", lost)
    with pytest.raises(SandboxUnavailable):
        sandbox.run(["touch", "ran"], profile)
    assert list(workspace.iterdir()) == []


# --- None -----------------------------------------------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch):
    monkeypatch.setattr(cgroups, "hierarchy", lambda: Hierarchy(0))


def test_without_control_groups_each_process_is_limited(nowhere):
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20, resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    assert sandbox.run([PYTHON, "-c", code], PROFILE).stdout == b"128 40\n"
    assert cgroups.paths("blastwall-x") == ()
    assert cgroups.joined((), ("true",)) == ("true",)


def test_and_that_is_said(nowhere, monkeypatch):
    assert "each process, not for all of them together" in cgroups.summary()
    monkeypatch.setattr(cgroups, "hierarchy", lambda: Hierarchy(2, ("/x",)))
    assert cgroups.summary() == "control groups v2"


# --- Where groups can be made, by trees that look like those of other machines --------------------------


@pytest.fixture
def machine(tmp_path):
    """Writes what /proc would say, and a tree of groups."""

    def make(membership, mounts, tree=()):
        for path, controllers in tree:
            folder = tmp_path / path
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.procs").touch()
            (folder / "cgroup.subtree_control").write_text(controllers)
        (tmp_path / "cgroup").write_text(membership)
        table = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        for number, (group, point, kind, options) in enumerate(mounts):
            table += f"{30 + number} 22 0:{number} {group} {tmp_path}/{point} rw,nosuid shared:2 - {kind} {kind} {options}\n"
        (tmp_path / "mountinfo").write_text(table)
        return cgroups._hierarchy(tmp_path / "cgroup", tmp_path / "mountinfo")

    return make


V2 = [("/", "fs", "cgroup2", "rw,nsdelegate,memory_recursiveprot")]
BOTH = "cpu memory pids\n"
DESKTOP = [
    ("fs", BOTH),
    ("fs/user.slice", BOTH),
    ("fs/user.slice/user-1000.slice", BOTH),
    ("fs/user.slice/user-1000.slice/user@1000.service", "memory pids\n"),
    ("fs/user.slice/user-1000.slice/user@1000.service/app.slice", "memory pids\n"),
    ("fs/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope", ""),
    ("fs/user.slice/user-1000.slice/session-2.scope", ""),
    ("fs/system.slice", BOTH),
    ("fs/system.slice/agent.service", ""),
]


@pytest.fixture
def owned(monkeypatch, tmp_path):
    """Says which folders are ours to write, as for a user that is not root."""

    def by(*prefixes):
        mine = [str(tmp_path / prefix) for prefix in prefixes]

        def access(path, _mode):
            return any(str(path) == own or str(path).startswith(f"{own}/") for own in mine)

        monkeypatch.setattr(cgroups.os, "access", access)

    return by


USERS = "fs/user.slice/user-1000.slice/user@1000.service"


def test_a_desktop_below_the_users_own_manager(machine, owned, tmp_path):
    """The nearest that has both controllers: what limits the slice limits the sandbox too."""
    owned(USERS)
    own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n"
    assert machine(own, V2, DESKTOP) == Hierarchy(2, (str(tmp_path / USERS / "app.slice"),))


def test_a_slice_without_the_controllers_is_passed(machine, owned, tmp_path):
    owned(USERS)
    own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n"
    tree = [(path, "cpu\n" if path.endswith("app.slice") else enabled) for path, enabled in DESKTOP]
    assert machine(own, V2, tree) == Hierarchy(2, (str(tmp_path / USERS),))


def test_a_login_over_ssh_is_in_a_scope_that_is_roots(machine, owned):
    """A process can't be moved from there: the user may not write `cgroup.procs` where the paths meet."""
    owned(USERS)
    assert machine("0::/user.slice/user-1000.slice/session-2.scope\n", V2, DESKTOP) == Hierarchy(0)


def test_root_stays_in_its_slice(machine, owned, tmp_path):
    owned("fs")
    found = machine("0::/system.slice/agent.service\n", V2, DESKTOP)
    assert found == Hierarchy(2, (str(tmp_path / "fs/system.slice"),))


def test_a_group_of_others_in_between_is_not_jumped_over(machine, owned):
    """The right to make a group is not enough."""
    owned("fs/system.slice/agent.service", "fs/user.slice")
    assert machine("0::/system.slice/agent.service\n", V2, DESKTOP) == Hierarchy(0)


def test_processes_that_can_not_be_moved(machine, monkeypatch):
    monkeypatch.setattr(cgroups.os, "access", lambda path, _: not str(path).endswith("cgroup.procs"))
    assert machine("0::/system.slice/agent.service\n", V2, DESKTOP) == Hierarchy(0)


def test_a_container_that_sees_its_own_group_as_the_root(machine, owned):
    """The processes are in the root itself, which so has no controllers for children."""
    owned("fs")
    assert machine("0::/\n", V2, [("fs", "")]) == Hierarchy(0)


def test_a_container_that_may_make_groups(machine, owned, tmp_path):
    owned("fs")
    assert machine("0::/init\n", V2, [("fs", BOTH), ("fs/init", "")]) == Hierarchy(2, (str(tmp_path / "fs"),))


V1 = [
    ("/", "fs/memory", "cgroup", "rw,memory"),
    ("/", "fs/pids", "cgroup", "rw,pids"),
    ("/", "fs/cpu", "cgroup", "rw,cpu,cpuacct"),
]


def test_version_1(machine, owned, tmp_path):
    owned("fs")
    found = machine("4:memory:/a\n3:pids:/b/c\n2:cpu,cpuacct:/\n1:name=systemd:/\n", V1)
    assert found == Hierarchy(1, (str(tmp_path / "fs/memory/a"), str(tmp_path / "fs/pids/b/c")))


def test_version_1_beside_an_empty_version_2(machine, owned, tmp_path):
    owned("fs")
    mounts = [*V1, ("/", "fs/unified", "cgroup2", "rw")]
    found = machine("4:memory:/\n3:pids:/\n0::/\n", mounts, [("fs/unified", "")])
    assert found == Hierarchy(1, (str(tmp_path / "fs/memory"), str(tmp_path / "fs/pids")))


def test_version_1_in_a_container_that_sees_a_part(machine, owned, tmp_path):
    owned("fs")
    mounts = [
        ("/docker/abc", "fs/memory", "cgroup", "rw,memory"),
        ("/docker/abc", "fs/pids", "cgroup", "rw,pids"),
    ]
    found = machine("4:memory:/docker/abc\n3:pids:/docker/abc/below\n", mounts)
    assert found == Hierarchy(1, (str(tmp_path / "fs/memory"), str(tmp_path / "fs/pids/below")))


def test_one_controller_is_not_enough(machine, owned):
    owned("fs/memory")
    assert machine("4:memory:/\n3:pids:/\n", V1) == Hierarchy(0)
    assert machine("4:memory:/\n", V1) == Hierarchy(0)
    assert machine("4:memory:/\n3:pids:/\n", V1[:1]) == Hierarchy(0)


def test_a_mount_point_with_a_space(machine, owned, tmp_path):
    owned("f s")
    found = machine("0::/init\n", [("/", "f\\040s", "cgroup2", "rw")], [("f s", BOTH), ("f s/init", "")])
    assert found == Hierarchy(2, (str(tmp_path / "f s"),))


def test_no_such_thing_at_all(machine, tmp_path):
    assert machine("", []) == Hierarchy(0)
    assert machine("what is this\n", []) == Hierarchy(0)
    assert cgroups._hierarchy(tmp_path / "missing", tmp_path / "missing") == Hierarchy(0)


# --- Making a group -------------------------------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """Puts a version's files into every new folder, as the kernel does."""
    mkdir = os.mkdir

    def of(*files):
        def made(path, *_):
            mkdir(path)
            for file in files:
                Path(path, file).touch()

        monkeypatch.setattr(cgroups.os, "mkdir", made)

    return of


def limits(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_group_of_version_2(kernel, tmp_path):
    kernel("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.procs")
    cgroups.make((f"{tmp_path}/g",), PROFILE)
    assert limits(tmp_path / "g") == {
        "memory.max": str(128 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "48",
        "cgroup.procs": "",
    }


def test_a_group_of_version_1(kernel, tmp_path):
    """What is swapped out counts as well, where the kernel can count it."""
    kernel("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max")
    cgroups.make((f"{tmp_path}/g",), PROFILE)
    assert limits(tmp_path / "g") == {
        "memory.limit_in_bytes": str(128 << 20),
        "memory.memsw.limit_in_bytes": str(128 << 20),
        "pids.max": "48",
    }


@pytest.mark.parametrize("files", [(), ("memory.max",), ("pids.max",), ("pids.max", "memory.swap.max")])
def test_a_group_without_its_controllers_is_none(files, kernel, tmp_path):
    """systemd may have switched one off since we looked."""
    kernel(*files)
    with pytest.raises(OSError, match="a controller was switched off"):
        cgroups.make((f"{tmp_path}/g",), PROFILE)


def test_nothing_to_make_is_no_mistake():
    cgroups.make((), PROFILE)


@pytest.mark.parametrize(("version", "members"), [(1, "tasks"), (2, "cgroup.procs")])
def test_words_that_join(tmp_path, monkeypatch, version, members):
    """An argument is never taken for a group, nor a group's name for anything else."""
    monkeypatch.setattr(cgroups, "hierarchy", lambda: cgroups.Hierarchy(version))
    first, second = tmp_path / "a b;c", tmp_path / "$(d)"
    for group in (first, second):
        group.mkdir()
    words = cgroups.joined(
        (str(first), str(second)), ("sh", "-c", 'echo "$1" > "$2"', "x", "-- $HOME", f"{tmp_path}/out")
    )
    subprocess.run(words, check=True)
    assert (first / members).read_text() == (second / members).read_text() == "0\n"
    assert (tmp_path / "out").read_text() == "-- $HOME\n"
    missing = cgroups.joined((f"{tmp_path}/missing",), ("touch", f"{tmp_path}/ran"))
    assert subprocess.run(missing, capture_output=True).returncode == 125
    assert not (tmp_path / "ran").exists()
