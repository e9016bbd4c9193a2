"""Load a policy for a verb, or leave with every mistake in it."""

from blastwall.cli.output import Exit, emit, stop
from blastwall.errors import PolicyError, Problem
from blastwall.policy import Layered, Policy
from blastwall.policyfile import load


def as_dict(problem: Problem) -> dict[str, object]:
    """Give a problem as JSON."""
    return {name: getattr(problem, name) for name in ("file", "line", "column", "path", "message")}


def policy_or_stop(file: str, *narrowing: str, as_json: bool = False) -> Policy | Layered:
    """Load a policy with its layers; on mistakes print them all and leave with `Exit.POLICY`."""
    try:
        return load(file, *narrowing)
    except PolicyError as error:
        if as_json:
            emit(ok=False, problems=[as_dict(problem) for problem in error.problems])
            stop(Exit.POLICY)
        stop(Exit.POLICY, str(error))
