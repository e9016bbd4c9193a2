"""Policy files on disk: the one place that reads them."""

import os
from pathlib import Path

from blastwall.errors import PolicyError, Problem
from blastwall.paths import resolve, state_directory
from blastwall.policy import Policy, parse
from blastwall.policy.source import MAX_BYTES


def load(path: str | os.PathLike[str]) -> Policy:
    """Load a policy file; its relative paths start from its own folder.

    Raises:
        PolicyError: when it can't be read, or for every mistake in it at once.

    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, "", f"can't be read: {error.strerror}")]) from None
    return parse(
        content,
        file=str(path),
        directory=file.resolve().parent,
        state=state_directory(),
        resolve=resolve,
    )
