"""`blastwall run`: one command in a sandbox."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from blastwall import sandbox
from blastwall.cli.output import AsJson, Exit, emit, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import BackendError
from blastwall.values import Profile

TIMED_OUT = 124
"""Exit code when the time was up, as coreutils' `timeout` has it."""

Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.")]
PolicyName = Annotated[str | None, typer.Option("--policy", "-p", metavar="FILE", help="Where profiles are.")]
ProfileName = Annotated[str | None, typer.Option("--sandbox", "-s", metavar="NAME", help="Which profile.")]
Workspace = Annotated[Path, typer.Option("--workspace", "-w", metavar="DIR", help="The folder it may write.")]
Read = Annotated[list[Path], typer.Option("--read", "-r", metavar="PATH", help="Also readable; repeatable.")]
Timeout = Annotated[float, typer.Option("--timeout", "-t", metavar="SECONDS", help="Wall-clock limit.")]


def run(
    command: Command,
    policy: PolicyName = None,
    sandbox_name: ProfileName = None,
    workspace: Workspace = Path(),
    read: Read = [],  # noqa: B006  # typer copies it
    timeout: Timeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Run a command in a sandbox: no network, one writable folder, no secrets, limits on everything.

    The profile is the policy's (`--policy FILE --sandbox NAME`) or, without one, made of the options.
    The exit code is the command's own; 124 when the time was up; 4 when there is no sandbox.
    """
    profile = _profile(policy, sandbox_name, workspace, read, timeout)
    try:
        if as_json:
            done = sandbox.run(command, profile)
            emit(
                returncode=done.returncode,
                stdout=done.stdout.decode(errors="replace"),
                stderr=done.stderr.decode(errors="replace"),
                truncated=done.truncated,
                timed_out=done.timed_out,
                duration_s=round(done.duration_s, 3),
            )
            code = TIMED_OUT if done.timed_out else done.returncode
        else:
            code = _attached(command, profile)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    raise typer.Exit(code if code >= 0 else 128 - code)


def _profile(
    policy: str | None, name: str | None, workspace: Path, read: list[Path], timeout: float
) -> Profile:
    if policy is None and name is None:
        return Profile(
            "command line",
            workspace=workspace.resolve(),
            read=tuple(path.resolve() for path in read),
            timeout_s=timeout,
        )
    if policy is None or name is None:
        raise typer.BadParameter("--policy and --sandbox go together")
    profiles = policy_or_stop(policy).profiles
    if name not in profiles:
        raise typer.BadParameter(
            f"no sandbox {name!r} in {policy} (there are: {', '.join(profiles) or 'none'})"
        )
    return profiles[name]


def _attached(command: list[str], profile: Profile) -> int:
    """Run with our own input and output, so that a pipe or a terminal works as without a sandbox."""
    with sandbox.prepare(command, profile) as prepared:
        process = subprocess.Popen(
            prepared.argv,
            env=prepared.env,
            pass_fds=prepared.pass_fds,
            start_new_session=True,
        )
        try:
            return process.wait(profile.timeout_s)
        except subprocess.TimeoutExpired:
            return TIMED_OUT
        finally:
            sandbox.kill(process.pid)
            process.wait()
