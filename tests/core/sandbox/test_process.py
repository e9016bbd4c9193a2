"""Running a command: what comes back, and what is left behind (nothing)."""

import asyncio
import contextlib
import hashlib
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import bubblewrap, complaint, process
from blastwall.sandbox.gvisor import outer
from blastwall.sandbox.mounts import mounts
from blastwall.values import Profile, Strength

PROFILE = Profile("process", timeout_s=20)
STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        time.sleep(300)
    os._exit(0)
os.wait()
print("started", flush=True)
"""
"""Leaves a process behind: of a session of its own, deaf to signals, with no pipe of ours open."""


@pytest.fixture(params=["run", "arun"])
def start(request):
    """Both twins, called alike."""

    def start(*args, **options):
        if request.param == "run":
            return sandbox.run(*args, **options)
        return asyncio.run(sandbox.arun(*args, **options))

    return start


def mark():
    return f"MARK-{uuid.uuid4().hex}"


def test_what_comes_back(start):
    done = start(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], PROFILE, stdin=b"in ")
    assert (done.stdout, done.stderr, done.returncode) == (b"in out\n", b"err\n", 3)
    assert not done.timed_out
    assert not done.truncated
    assert 0 < done.duration_s < 20


def test_input_larger_than_any_pipe(start):
    data = os.urandom(3 << 20)
    done = start(["sha256sum"], PROFILE, stdin=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_input_that_nobody_reads(start):
    assert start(["true"], PROFILE, stdin=bytes(1 << 20)).returncode == 0


def test_a_signal_that_ended_it(start):
    assert start(["sh", "-c", "kill -KILL $$"], PROFILE).returncode == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist(start):
    assert start(["blastwall-no-such-command"], PROFILE).returncode == 127


@pytest.mark.parametrize("argv", [[], ["a\0b"]])
def test_a_command_that_is_none(start, argv):
    with pytest.raises(BackendError, match="words without NUL"):
        start(argv, PROFILE)


def test_a_nul_cannot_smuggle_an_argument_to_bubblewrap(start):
    with pytest.raises(BackendError, match="NUL"):
        start(["true"], replace(PROFILE, env=(("A", "b\0--bind\0/\0/"),)))


def test_words_that_look_like_options_stay_words(start):
    assert start(["echo", "--bind", "/", "/"], PROFILE).stdout == b"--bind / /\n"


def test_the_workspace_is_written_on_the_host(start, workspace):
    done = start(["sh", "-c", "pwd; echo inside > file"], replace(PROFILE, workspace=workspace))
    assert done.stdout == f"{workspace}\n".encode()
    assert (workspace / "file").read_text() == "inside\n"
    assert (workspace / "file").stat().st_uid == workspace.stat().st_uid


def test_without_a_workspace_there_is_a_private_one(start):
    done = start(["sh", "-c", "echo x > file && ls -A && touch $HOME/a $TMPDIR/b && echo ok"], PROFILE)
    assert done.stdout == b"file\nok\n"
    assert start(["ls", "-A"], PROFILE).stdout == b""


def test_a_readable_path(start, tmp_path):
    (tmp_path / "file").write_text("shown")
    (tmp_path / "file").chmod(0o644)
    (tmp_path / "link").symlink_to("file")
    for shown in ({"read": [tmp_path / "link"]}, {}):
        profile = PROFILE if shown else replace(PROFILE, read=(tmp_path / "link",))
        done = start(["sh", "-c", f"cat {tmp_path}/link; echo x > {tmp_path}/file"], profile, **shown)
        assert done.stdout == b"shown"
        assert b"Read-only" in done.stderr


@pytest.mark.parametrize("top", ["/", "home", "home/.aws", "home/.aws/credentials"])
def test_secrets_read_as_empty(start, home, tmp_path, top):
    read = Path("/") if top == "/" else tmp_path / top
    command = ["sh", "-c", f"cat {home}/.aws/credentials {home}/.netrc; ls -A {home}/.aws"]
    assert b"CANARY-OF-AWS" in subprocess.run(command, capture_output=True).stdout
    done = start(command, replace(PROFILE, read=(read,)))
    assert done.stdout == b""
    if top == "home":
        assert start(["cat", f"{home}/notes.txt"], replace(PROFILE, read=(read,))).stdout == b"nothing secret"


def test_a_mask_reads_as_empty(start, tmp_path):
    (tmp_path / "shown").mkdir()
    tmp_path.chmod(0o755)
    for name in ("one", "other"):
        (tmp_path / "shown" / name).write_text("text")
        (tmp_path / "shown" / name).chmod(0o644)
    profile = replace(PROFILE, read=(tmp_path / "shown",), mask=(tmp_path / "shown" / "one",))
    done = start(["sh", "-c", f"cd {tmp_path}/shown; cat one && echo . && cat other"], profile)
    assert done.stdout == b".\ntext"


def test_root_may_be_read_and_still_there_is_a_home(start):
    done = start(["sh", "-c", "touch $HOME/x ./y /tmp/z && ls /usr >/dev/null && echo ok"],
                 replace(PROFILE, read=(Path("/"),)))  # fmt: skip
    assert done.stdout == b"ok\n", done.stderr


def test_accounts_and_hosts_of_our_own_making(start):
    done = start(["sh", "-c", "id -un; cut -d: -f1 /etc/passwd; getent hosts localhost"], PROFILE)
    assert done.stdout.split()[:3] == [b"sandbox", b"root", b"sandbox"]
    assert b"localhost" in done.stdout


class TestNothingIsLeft:
    def test_after_the_end(self, start, alive):
        name = mark()
        done = start(["/usr/bin/python3", "-c", STUBBORN, name], PROFILE)
        assert done.stdout == b"started\n"
        assert alive(name) == []

    def test_without_the_sandbox_something_would_be(self, alive):
        name = mark()
        subprocess.run(["/usr/bin/python3", "-c", STUBBORN, name], check=True, capture_output=True)
        left = alive(name)
        assert len(left) == 1
        os.kill(left[0], signal.SIGKILL)

    def test_after_the_time(self, start, alive):
        name = mark()
        code = STUBBORN + "time.sleep(300)"
        done = start(["/usr/bin/python3", "-c", code, name], replace(PROFILE, timeout_s=1.5))
        assert done.timed_out
        assert done.returncode < 0
        assert done.stdout == b"started\n"
        assert alive(name) == []

    def test_after_the_time_although_its_outputs_are_closed(self, start, alive):
        name = mark()
        command = ["sh", "-c", "exec >&- 2>&-; sleep 300", name]
        assert start(command, replace(PROFILE, timeout_s=0.3)).timed_out
        assert alive(name) == []

    @pytest.mark.parametrize("timeout_s", [0.0, 0.001, 0.003, 0.005, 0.008, 0.012, 0.02])
    def test_after_a_time_that_ends_while_it_starts(self, start, alive, timeout_s):
        """The command never runs then; what was to start it is killed, and goes in a moment."""
        name = mark()
        assert start(["sh", "-c", "sleep 300; :", name], replace(PROFILE, timeout_s=timeout_s)).timed_out
        assert all(ends(pid) for pid in alive(name))

    async def test_after_a_cancellation(self, alive, workspace):
        name = mark()
        code = STUBBORN + "open('ready', 'w').close(); time.sleep(300)"
        profile = replace(PROFILE, workspace=workspace)
        task = asyncio.create_task(sandbox.arun(["/usr/bin/python3", "-c", code, name], profile))
        while not (workspace / "ready").exists():  # noqa: ASYNC110  # another process makes it
            await asyncio.sleep(0.01)
        assert alive(name) != []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert alive(name) == []

    async def test_the_loop_goes_on_meanwhile(self):
        ticks = 0
        task = asyncio.create_task(sandbox.arun(["sleep", "0.3"], PROFILE))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks > 5

    def test_after_an_exception(self, alive, monkeypatch):
        def broken(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(process, "pump", broken)
        name = mark()
        with pytest.raises(KeyboardInterrupt):
            sandbox.run(["sh", "-c", "sleep 300; :", name], PROFILE)
        assert alive(name) == []

    def test_after_the_death_of_the_program_that_started_it(self, alive, workspace):
        """By SIGKILL, so that nothing of ours can tidy up."""
        name = mark()
        program = textwrap.dedent(f"""
            from pathlib import Path
            from blastwall import Profile, sandbox
            code = {STUBBORN + "open('ready', 'w').close(); time.sleep(300)"!r}
            profile = Profile("test", workspace=Path({str(workspace)!r}))
            sandbox.run(["/usr/bin/python3", "-c", code, {name!r}], profile)
        """)
        with subprocess.Popen([sys.executable, "-c", program]) as parent:
            while not (workspace / "ready").exists():
                assert parent.poll() is None
                os.sched_yield()
            inside = [pid for pid in alive(name) if pid != parent.pid]
            assert len(inside) >= 3
            parent.kill()
        assert [pid for pid in inside if not ends(pid)] == []

    def test_no_descriptor_is_left(self, start):
        start(["true"], PROFILE)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            start(["true"], PROFILE)
        assert len(os.listdir("/proc/self/fd")) == before


def ends(pid):
    """Say whether a process that was killed goes; when it does not, end it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if select.select([descriptor], [], [], 10)[0]:
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return False
    finally:
        os.close(descriptor)


class TestPrepare:
    def test_a_server_that_is_spoken_to_over_pipes(self, workspace):
        """Started by somebody else, after which everything of ours is closed."""
        with sandbox.prepare(["cat"], replace(PROFILE, workspace=workspace)) as prepared:
            server = subprocess.Popen(
                prepared.argv,
                env=prepared.env,
                pass_fds=prepared.pass_fds,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        out, _ = server.communicate(b"hello", 20)
        assert (out, server.returncode) == (b"hello", 0)

    def test_nothing_of_the_profile_shows(self):
        with sandbox.prepare(["true"], replace(PROFILE, env=(("TOKEN", "s3cret"),))) as prepared:
            assert not any("s3cret" in word for word in prepared.argv)
            assert prepared.env == {}

    def test_how_it_ended_is_told_by_nobody_inside(self):
        """The file in which bubblewrap says so is ours to read, and is passed to nothing that outlives it."""
        with sandbox.prepare(["sh", "-c", "ls -l /proc/self/fd"], PROFILE) as prepared:
            assert prepared.status not in prepared.pass_fds
            done = subprocess.run(
                prepared.argv, env=prepared.env, pass_fds=prepared.pass_fds, capture_output=True
            )
            assert b'"exit-code": 0' in os.pread(prepared.status, 4096, 0)
        assert b"memfd" not in done.stdout

    def test_a_folder_that_is_swapped_while_we_look(self, tmp_path, monkeypatch):
        (tmp_path / "shown").mkdir()
        (tmp_path / "elsewhere").mkdir()
        decide = mounts

        def swapped(*args):
            found = decide(*args)
            (tmp_path / "shown").rmdir()
            (tmp_path / "shown").symlink_to(tmp_path / "elsewhere")
            return found

        monkeypatch.setattr("blastwall.sandbox.bubblewrap.mounts", swapped)
        with (
            pytest.raises(BackendError, match="swapped"),
            sandbox.prepare(["true"], replace(PROFILE, read=(tmp_path / "shown",))),
        ):
            pass

    def test_a_folder_above_that_is_swapped(self, tmp_path, monkeypatch):
        (tmp_path / "above" / "shown").mkdir(parents=True)
        (tmp_path / "elsewhere" / "shown").mkdir(parents=True)
        decide = mounts

        def swapped(*args):
            found = decide(*args)
            (tmp_path / "above").rename(tmp_path / "gone")
            (tmp_path / "above").symlink_to(tmp_path / "elsewhere")
            return found

        monkeypatch.setattr("blastwall.sandbox.bubblewrap.mounts", swapped)
        with (
            pytest.raises(BackendError, match="swapped"),
            sandbox.prepare(["true"], replace(PROFILE, read=(tmp_path / "above" / "shown",))),
        ):
            pass

    def test_a_folder_that_is_swapped_later_is_not_followed(self, tmp_path):
        """Swapped between preparing and starting: bubblewrap compares what it bound with what we pinned."""
        for name in ("shown", "elsewhere"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text(name)
        with sandbox.prepare(["cat", f"{tmp_path}/shown/file"],
                             replace(PROFILE, read=(tmp_path / "shown",))) as prepared:  # fmt: skip
            (tmp_path / "shown").rename(tmp_path / "gone")
            (tmp_path / "elsewhere").rename(tmp_path / "shown")
            done = subprocess.run(
                prepared.argv, env=prepared.env, pass_fds=prepared.pass_fds, capture_output=True
            )
        assert b"elsewhere" not in done.stdout


class TestOwner:
    def test_nobody_else_may_own_the_workspace(self, tmp_path):
        if os.geteuid() != 0:
            pytest.skip("root alone becomes somebody else")
        with pytest.raises(BackendError, match="chown -R 65534:65534"):
            sandbox.run(["true"], replace(PROFILE, workspace=tmp_path))

    def test_the_owner_must_be_able_to_write(self, workspace):
        workspace.chmod(0o500)
        with pytest.raises(BackendError, match=r"chmod u\+rwx|not yours to write"):
            sandbox.run(["true"], replace(PROFILE, workspace=workspace))

    def test_a_workspace_of_another_user(self, workspace):
        if os.geteuid() != 0:
            pytest.skip("root alone becomes somebody else")
        os.chown(workspace, 12345, 0)  # the group is root's, and must not come along
        done = sandbox.run(["sh", "-c", "id -u; id -g; touch x"], replace(PROFILE, workspace=workspace))
        assert done.stdout.split() == [b"12345", b"65534"]
        assert (workspace / "x").stat().st_uid == 12345


class TestUnavailable:
    @pytest.fixture(autouse=True)
    def _forget(self):
        bubblewrap.tools.cache_clear()
        yield
        bubblewrap.tools.cache_clear()

    def hide(self, monkeypatch, *names):
        which, access = shutil.which, os.access
        monkeypatch.setattr(shutil, "which", lambda name, **kw: None if name in names else which(name, **kw))
        monkeypatch.setattr(
            os, "access", lambda path, mode: Path(path).name not in names and access(path, mode)
        )

    @pytest.mark.parametrize(
        ("name", "package"),
        [("bwrap", "bubblewrap"), ("prlimit", "util-linux"), ("setpriv", "util-linux")],
    )
    def test_a_program_is_missing(self, start, monkeypatch, name, package):
        self.hide(monkeypatch, name)
        with pytest.raises(SandboxUnavailable, match=f"apt-get install {package}"):
            start(["true"], PROFILE)

    def test_bubblewrap_is_too_old(self, start, monkeypatch):
        usage = subprocess.CompletedProcess([], 0, b"usage: bwrap --disable-userns", b"")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: usage)
        with pytest.raises(SandboxUnavailable, match="too old"):
            start(["true"], PROFILE)

    def test_a_program_with_many_open_files_is_served_like_any_other(self, start):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        try:
            with contextlib.ExitStack() as many:
                for _ in range(1100):
                    many.enter_context(open(os.devnull))
                assert start(["true"], PROFILE).returncode == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @pytest.mark.parametrize(
        ("strength", "program"), [(Strength.CONTAINER, "runsc"), (Strength.VM, "qemu-system-x86_64")]
    )
    def test_a_stronger_one_is_never_replaced(self, start, strength, program, monkeypatch):
        which = shutil.which
        monkeypatch.setattr(
            shutil, "which", lambda name, **kw: None if name == program else which(name, **kw)
        )
        outer.runsc.cache_clear()
        with pytest.raises(SandboxUnavailable, match="no sandbox: .* is missing; .*install"):
            start(["true"], replace(PROFILE, strength=strength))
        outer.runsc.cache_clear()

    def test_a_sandbox_that_could_not_be_built_is_no_failed_command(self, start, monkeypatch):
        """bubblewrap ends with 1 for either."""
        monkeypatch.setattr(bubblewrap, "SCRATCH", "/proc/nowhere")
        with pytest.raises(SandboxUnavailable, match="no sandbox: bwrap: "):
            start(["true"], PROFILE)

    def test_a_command_can_not_pretend_that_it_never_ran(self, start):
        done = start(["sh", "-c", "echo bwrap: No permissions to create new namespace >&2; exit 1"], PROFILE)
        assert done.returncode == 1

    def test_it_can_not_be_started_at_all(self, start):
        with pytest.raises(SandboxUnavailable, match="Argument list too long"):
            start(["echo", "x" * (1 << 20)], PROFILE)

    @pytest.mark.parametrize(
        ("setting", "value", "fix"),
        [
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
            ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces"),
            ("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft", "wsl --set-version"),
        ],
    )
    def test_the_known_causes(self, monkeypatch, setting, value, fix):
        monkeypatch.setattr(complaint, "_setting", lambda path: value if path == setting else "")
        error = complaint.unavailable(b"bwrap: No permissions to create new namespace")
        assert fix in str(error)

    def test_a_container_that_may_not(self, monkeypatch):
        monkeypatch.setattr(complaint, "_setting", lambda path: "")
        monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/.dockerenv")
        assert "--security-opt" in str(complaint.unavailable(b"bwrap: Creating new namespace failed"))

    def test_a_cause_that_nobody_knows(self, monkeypatch):
        monkeypatch.setattr(complaint, "_setting", lambda path: "")
        monkeypatch.setattr(Path, "exists", lambda path: False)
        assert "user namespaces" in str(complaint.unavailable(b"bwrap: Creating new namespace failed"))
        assert "without a word" in str(complaint.unavailable(b""))
