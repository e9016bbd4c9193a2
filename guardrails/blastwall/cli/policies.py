"""Which policy a verb goes by, loaded; or leave with every mistake in it.

Without `--policy`, it is the user's own, narrowed by the policy files of the project around the working
directory; or the project's alone, where the user has none. A verb that acts on a policy uses a project's
file only if it is trusted. One that only shows what a policy says takes it as data.
"""

import os
import stat
from collections.abc import Sequence
from typing import NoReturn

from blastwall.cli.output import Exit, emit, err, stop
from blastwall.errors import BackendError, PolicyError, Problem
from blastwall.policy import Layered, Policy
from blastwall.policyfile import load
from blastwall.trust.projects import NAME, ProjectFile, candidates, user_policy
from blastwall.trust.store import Store

AnyFile = str | ProjectFile


def as_dict(problem: Problem) -> dict[str, object]:
    """Give a problem as JSON."""
    return {name: getattr(problem, name) for name in ("file", "line", "column", "path", "message")}


def policy_or_stop(*files: str, as_json: bool = False, acts: bool = True) -> Policy | Layered:
    """Load a policy with its layers; on mistakes print them all and leave with `Exit.POLICY`.

    Args:
        files: What was given as `--policy`; nothing stands for the policy in force here.
        as_json: Print the mistakes as JSON.
        acts: Whether the verb acts on the policy: what a project brings along must then be trusted, and
            what the user names must be no one else's to write.

    """
    try:
        return load(*(in_force(files) if acts else looked_at(files)))
    except PolicyError as error:
        if as_json:
            emit(ok=False, problems=[as_dict(problem) for problem in error.problems])
            stop(Exit.POLICY)
        stop(Exit.POLICY, str(error))


def in_force(given: Sequence[str] = ()) -> tuple[AnyFile, ...]:
    """Give the policy files that a verb acts on: the one that grants, and those that take away.

    A project's file that was never trusted takes nothing away from the user's own policy, and that is
    said. One that was trusted, and changed or went, is among the files: loading them says what to do.
    """
    if given:
        return tuple(given)
    own = _own()
    there = tuple(file for file in candidates(_here()) if _counts(file, own))
    return (*own, *there) or _none()


def looked_at(given: Sequence[str] = ()) -> tuple[AnyFile, ...]:
    """Give the policy files that a verb only shows: each as data, a project's as if they were trusted."""
    if given:
        return tuple(map(shown, given))
    there = tuple(file for file in candidates(_here(), acts=False) if os.path.lexists(file.path))
    return (*_own(), *there) or _none()


def shown(path: str) -> AnyFile:
    """Take a file as data, whoever could have written it. The shell's `<(...)` is the user's word."""
    return path if path.startswith(("/dev/fd/", "/proc/self/fd/")) else ProjectFile(path, acts=False)


def _counts(file: ProjectFile, own: tuple[str, ...]) -> bool:
    """Say whether a project's file has a say: where it would grant, or when it was trusted once."""
    there = os.path.lexists(file.path)
    try:
        known = Store().record(file.path) is not None
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if own and there and not known:
        err.print(
            f"{file} is not trusted, so it takes nothing away: see `blastwall trust`",
            style="yellow",
            markup=False,
        )
    return known or (there and not own)


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        stop(Exit.FAILED, f"the working directory can't be looked at: {error.strerror}")


def _own() -> tuple[str, ...]:
    path = user_policy()
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        stop(Exit.POLICY, f"{path}: can't be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        stop(Exit.POLICY, f"{path}: is no regular file")
    return (str(path),)


def _none() -> NoReturn:
    stop(
        Exit.POLICY,
        f"no policy: there is neither {user_policy()} nor a {NAME} here: write one, or name it with --policy",
    )
