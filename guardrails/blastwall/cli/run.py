"""`blastwall run`: one command in a sandbox."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from blastwall.cli.copies import fields, tell
from blastwall.cli.output import AsJson, Exit, emit, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import BackendError
from blastwall.policy.addresses import place
from blastwall.sandbox.attached import attach
from blastwall.sandbox.boxes import Boxes
from blastwall.sandbox.process import Completed
from blastwall.values import Credential, Destination, Profile, Strength

TIMED_OUT = 124
"""Exit code when the time was up, as coreutils' `timeout` has it."""

Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.")]
PolicyName = Annotated[str | None, typer.Option("--policy", "-p", metavar="FILE", help="Where profiles are.")]
ProfileName = Annotated[str | None, typer.Option("--sandbox", "-s", metavar="NAME", help="Which profile.")]
Workspace = Annotated[Path, typer.Option("--workspace", "-w", metavar="DIR", help="The folder it may write.")]
InCopy = Annotated[bool, typer.Option("--copy", help="Write a copy of the folder: see `blastwall diff`.")]
Strong = Annotated[Strength, typer.Option("--strength", help="How hard the wall is.")]
Read = Annotated[list[Path], typer.Option("--read", "-r", metavar="PATH", help="Also readable; repeatable.")]
Allow = Annotated[
    list[str], typer.Option("--allow", "-a", metavar="HOST[:PORT]", help="May be reached; repeatable.")
]
Timeout = Annotated[float, typer.Option("--timeout", "-t", metavar="SECONDS", help="Wall-clock limit.")]


def run(
    command: Command,
    policy: PolicyName = None,
    sandbox_name: ProfileName = None,
    workspace: Workspace = Path(),
    copy: InCopy = False,
    strength: Strong = Strength.OS,
    read: Read = [],  # noqa: B006  # typer copies it
    allow: Allow = [],  # noqa: B006
    timeout: Timeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Run a command in a sandbox: no network, one writable folder, no secrets, limits on everything.

    The profile is the policy's (`--policy FILE --sandbox NAME`) or, without one, made of the options.
    The exit code is the command's own; 124 when the time was up; 4 when there is no sandbox.
    """
    credentials: Mapping[str, Credential] = {}
    if policy is None and sandbox_name is None:
        profile = Profile(
            "command line",
            strength=strength,
            workspace=workspace.resolve(),
            read=tuple(path.resolve() for path in read),
            network=tuple(map(_destination, allow)),
            timeout_s=timeout,
        )
    else:
        profile, credentials = _named(policy, sandbox_name)
    profile = replace(profile, copy=profile.copy or copy)
    _open_all()
    boxes = Boxes(credentials)
    try:
        with boxes, boxes.launch(command, profile) as running:
            done = attach(running, profile, keep=as_json)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    _told(done, boxes, as_json=as_json)
    code = TIMED_OUT if done.timed_out else done.returncode
    raise typer.Exit(code if code >= 0 else 128 - code)


def _open_all() -> None:
    """Open what we were started without: or some descriptor of our own would be taken for our input."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:  # stderr
        pass
    os.close(lowest)


def _told(done: Completed, boxes: Boxes, *, as_json: bool) -> None:
    if as_json:
        emit(
            returncode=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            truncated=done.truncated,
            timed_out=done.timed_out,
            overgrown=done.overgrown,
            duration_s=round(done.duration_s, 3),
            copies=[fields(copy) for copy in boxes.copies],
        )
        return
    for copy in boxes.copies:
        tell(copy)


def _destination(text: str) -> Destination:
    found = place(text.removeprefix("*."))
    if found is None or "/" in text:
        raise typer.BadParameter(f"{text!r} is no host: write api.example.com, *.example.com or host:port")
    host = f"*.{found.host}" if text.startswith("*.") else found.host
    return Destination(host, ports=(443,) if found.port is None else (found.port,))


def _named(policy: str | None, name: str | None) -> tuple[Profile, Mapping[str, Credential]]:
    if name is None:
        raise typer.BadParameter("--policy needs --sandbox: which of its profiles?")
    loaded = policy_or_stop(*([policy] if policy else []))
    if name not in loaded.profiles:
        names = ", ".join(loaded.profiles) or "none"
        raise typer.BadParameter(f"no sandbox {name!r} in {loaded.file} (there are: {names})")
    return loaded.profiles[name], loaded.credentials
