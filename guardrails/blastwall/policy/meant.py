"""Did-you-mean: the known name that is nearest to an unknown one."""

import difflib
from collections.abc import Iterable


def meant(written: str, known: Iterable[str]) -> str:
    """Give `; did you mean 'x'?`, or nothing where no known name is close."""
    close = difflib.get_close_matches(written, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def near(written: str, known: Iterable[str]) -> str:
    """Give the nearest known name, or all of them where none is close."""
    listed = list(known)
    return meant(written, listed) or f" (there are {', '.join(listed)})"
