"""What runsc is told, decided without starting anything."""

import json
from pathlib import Path

import pytest

from blastwall.errors import BackendError
from blastwall.sandbox import cgroups
from blastwall.sandbox.gvisor import bundle
from blastwall.sandbox.gvisor.contained import blame, counted
from blastwall.sandbox.mounts import Kind, Mount
from blastwall.values import Profile

PROFILE = Profile("bundle", processes=7, open_files=9, file_mb=3, memory_mb=64)


def config(profile=PROFILE, shown=(), staged=None, network=False):
    process = bundle.process(["true"], profile, {"A": "b"})
    return json.loads(bundle.config(process, profile, shown, staged or {}, network=network))


def bound(*shown):
    mounts = config(shown=shown)["mounts"]
    return [(mount["destination"], mount["options"][1]) for mount in mounts if mount["type"] == "bind"]


def ours(kind, target):
    return Mount(kind, target, f"/host{target}", ours=True)


def test_nobody_and_nothing():
    process = config()["process"]
    assert process["noNewPrivileges"] is True
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert process["env"] == ["A=b"]
    assert process["cwd"] == "/run/workspace"


def test_the_outer_network_only_with_a_gate():
    kinds = [
        {found["type"] for found in config(network=gated)["linux"]["namespaces"]} for gated in (False, True)
    ]
    assert kinds[0] - kinds[1] == {"network"}


def test_what_is_bound_and_what_comes_along():
    assert bound(
        Mount(Kind.READ, "/usr", "/usr"),
        ours(Kind.READ, "/a"),
        ours(Kind.READ, "/a/below"),
        ours(Kind.WRITE, "/a/work"),
        ours(Kind.WRITE, "/a/work/.git"),
        ours(Kind.READ, "/a/work/.git/hooks"),
        Mount(Kind.EMPTY_FILE, "/a/work/.env"),
    ) == [("/a", "ro"), ("/a/work", "rw")]


def test_the_whole_root_is_the_root():
    assert bound(ours(Kind.READ, "/"), ours(Kind.WRITE, "/work")) == [("/work", "rw")]


def test_what_is_staged():
    mounts = config(staged={"/tmp/link": "/tmp/real"})["mounts"]
    assert [(mount["destination"], mount["source"]) for mount in mounts if mount["type"] == "bind"] == [
        ("/tmp/link", "/stage/root/tmp/real")
    ]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_limits(monkeypatch, version):
    monkeypatch.setattr(cgroups, "hierarchy", lambda: cgroups.Hierarchy(version))
    limits = {limit["type"]: limit["hard"] for limit in config()["process"]["rlimits"]}
    assert limits["RLIMIT_NPROC"] == 7
    assert limits["RLIMIT_NOFILE"] == 9
    assert limits["RLIMIT_FSIZE"] == 3 << 20
    assert limits["RLIMIT_CORE"] == 0
    assert limits.get("RLIMIT_AS") == (None if version else 64 << 20)


def test_the_host_counts_gvisors_own_threads_too():
    assert counted(PROFILE).processes > 2 * PROFILE.processes
    assert counted(PROFILE).memory_mb == PROFILE.memory_mb


def test_where_it_starts():
    profile = Profile("start", workspace=Path("/w"), directory="below")
    assert config(profile)["process"]["cwd"] == "/w/below"


class TestBlame:
    @pytest.fixture
    def say(self, tmp_path):
        def say(text):
            with open(tmp_path / "log", "w+") as log:
                log.write(text)
                log.flush()
                blame(log.fileno())

        return say

    def test_nothing_said(self, say):
        say("")

    def test_it_failed_while_the_command_ran(self, say):
        with pytest.raises(BackendError, match="while the command ran"):
            say('{"msg": "running container: waiting on container: EOF", "level": "error"}')

    @pytest.mark.parametrize("text", ["unreadable", "[]", '{"level": "error"}'])
    def test_it_said_something_else(self, say, text):
        with pytest.raises(BackendError, match="can't start a container"):
            say(text)
