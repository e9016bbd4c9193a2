"""Foreign patterns as RE2 takes them."""

import re

import re2

_QUIET = re2.Options()
_QUIET.log_errors = False

_NEEDLESS = re.compile(r"\\([/ _-])")


def quoted(text: str) -> str:
    """Give a pattern of this text only."""
    return _NEEDLESS.sub(r"\1", re2.escape(text))


def globbed(text: str) -> str:
    """Give a pattern of a glob where `*` is any text."""
    return "(?s)" + ".*".join(map(quoted, text.split("*")))


def anywhere(core: str) -> str:
    """Give a pattern of every path, however it is spelt, that has these parts in it."""
    return f"{_BEFORE}{core}{_AFTER}"


_BEFORE, _AFTER = "(?is)(?:.*/)?", "(?:/.*)?"


def either(one: str, other: str) -> str:
    """Give a pattern of what two patterns with the same flags match."""
    if all(each.startswith(_BEFORE) and each.endswith(_AFTER) for each in (one, other)):
        cores = [each.removeprefix(_BEFORE).removesuffix(_AFTER) for each in (one, other)]
        return anywhere(f"(?:{'|'.join(map(_bare, cores))})")
    flags = one[: one.index(")") + 1]
    return f"{flags}(?:{_bare(one.removeprefix(flags))}|{_bare(other.removeprefix(flags))})"


def _bare(core: str) -> str:
    """Take the group of a pattern off that is alternatives already."""
    inside = core.removeprefix("(?:").removesuffix(")")
    grouped = core.startswith("(?:") and core.endswith(")") and "(" not in inside and ")" not in inside
    return inside if grouped else core


def compiles(pattern: str) -> bool:
    """Say whether RE2 takes a pattern."""
    try:
        re2.compile(pattern, _QUIET)
    except re2.error:
        return False
    return True


_CERTAIN = re.compile(r"(?:[A-Za-z0-9 _/:=@,~-]|\\[./sb-]|\.[*+]|[?*+]|\((?:\?:)?|\)|\|)+")
_SPACE = r"[\s\v\x{a0}\x{feff}\pZ]"
"""What JavaScript calls `\\s`; RE2 means less."""


def certain(pattern: str) -> str | None:
    """Give an RE2 pattern of every text that a JavaScript pattern may find something in; None: who knows.

    Taken are words, spaces, groups, alternatives in groups, and repeats. From the first `.*` outside a group
    on, nothing is: behind it may be text of another argument.
    """
    if _CERTAIN.fullmatch(pattern) is None or "(?" in pattern.replace("(?:", ""):
        return None
    start = _before_any(pattern)
    found = f"(?s).*(?:{start}).*".replace(r"\s", _SPACE)
    return found if start and compiles(found) else None


def _before_any(pattern: str) -> str | None:
    """Cut a pattern off before its first `.*`; None where one, or an alternative, makes that unsafe."""
    depth = 0
    for at, sign in enumerate(pattern):
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            return None
        if sign == "." and pattern[at - 1 : at] != "\\":
            return None if depth else pattern[:at]
    return pattern
