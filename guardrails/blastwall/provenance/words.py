"""A tool's name in the words of its users: the verbs and the nouns by which they would ask for it."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from blastwall.provenance.english import nouns
from blastwall.provenance.english.forms import MADE_BY, plural
from blastwall.provenance.english.usage import NOUNS_TOO
from blastwall.provenance.english.verbs import CLASSES, KNOWN, Kind, VerbClass

_LONGEST_NAME = 256

_Row = TypeVar("_Row")


def _index(rows: Iterable[tuple[str, _Row]]) -> dict[str, tuple[_Row, ...]]:
    found: dict[str, tuple[_Row, ...]] = {}
    for word, row in rows:
        found[word] = (*found.get(word, ()), row)
    return found


_BY_TOOL_VERB = _index((verb, row) for row in CLASSES for verb in row.tools)
_BY_NOUN = _index((noun, row) for row in nouns.CLASSES for noun in row.nouns)
_BY_NOUN |= {plural(noun): rows for noun, rows in _BY_NOUN.items() if plural(noun) not in _BY_NOUN}

_MAKING = frozenset("create send publish schedule submit upload book pay open reply".split())
_CHANGING = frozenset("update reschedule move close mark".split())
_ENDING = frozenset("delete cancel stop revoke".split())
_MONEY = frozenset("money payment transaction transfer fund funds".split())
_MAKERS = frozenset("make create perform submit new add place execute".split())
_OTHER_VERBS = KNOWN.union(*(row.verbs for row in nouns.CLASSES))
_OPTIONS = frozenset(("or", "and"))


def verbs_of(tool_name: str) -> tuple[str, ...]:
    """Give the verbs by which a user would ask for a tool; its first word if none of it is a known verb."""
    return _verbs(tool_name[:_LONGEST_NAME])


def objects_of(tool_name: str) -> tuple[str, ...]:
    """Give the nouns for what a tool works on; none when its name has none, so that any will do."""
    return _objects(tool_name[:_LONGEST_NAME])


def kinds_of(tool_name: str) -> frozenset[Kind]:
    """Give the kinds of effect that a tool's verbs stand for; none for a name without a known verb."""
    said = tool_verbs(_words(tool_name[:_LONGEST_NAME]))
    return frozenset(row.kind for verb in said for row in _BY_TOOL_VERB.get(verb, ()))


@lru_cache(maxsize=4096)
def _verbs(tool_name: str) -> tuple[str, ...]:
    words = _words(tool_name)
    said = tool_verbs(words)
    found = dict.fromkeys(said)
    for row in (row for verb in said for row in _BY_TOOL_VERB.get(verb, ())):
        found.update(dict.fromkeys(row.verbs))
        for noun in _things(words, said):
            found.update(dict.fromkeys(_by_noun(row, noun)))
    return tuple(found)


@lru_cache(maxsize=4096)
def _objects(tool_name: str) -> tuple[str, ...]:
    words = _words(tool_name)
    things = _things(words, tool_verbs(words))
    found: dict[str, None] = {}
    for thing in things:
        found[thing] = None
        for row in _BY_NOUN.get(thing, ()):
            found.update(dict.fromkeys(row.nouns))
    return tuple(found)


def split(name: str) -> Iterator[str]:
    """Split a name as people write them: `deleteFile`, `gh_pr_merge`, `API-post-page`, `mail.send`."""
    start = 0
    for i, char in enumerate(name):
        if not char.isalpha():
            if start < i:
                yield name[start:i].lower()
            start = i + 1
        elif start < i and char.isupper() and _starts_a_word(name, i):
            yield name[start:i].lower()
            start = i
    if start < len(name):
        yield name[start:].lower()


def _words(name: str) -> tuple[str, ...]:
    """Split a name, and keep together what is one verb: `turn_on`."""
    words: list[str] = []
    for word in split(name):
        both = f"{words[-1]} {word}" if words else word
        if words and both in _BY_TOOL_VERB:
            words[-1] = both
        else:
            words.append(word)
    return tuple(words)


def _starts_a_word(name: str, i: int) -> bool:
    """Tell the capital of a new word (`getURL`, `URLFor`) from one inside an acronym."""
    return not name[i - 1].isupper() or name[i + 1 : i + 2].islower()


def tool_verbs(words: tuple[str, ...]) -> tuple[str, ...]:
    """Pick the verbs among a name's words: what is surely a verb goes before what may be a noun."""
    known = [word for word in words if word in _BY_TOOL_VERB]
    if not known:
        others = [word for word in reversed(words) if word in _OTHER_VERBS]  # a product comes first
        return (min(others, key=_doubt),) if others else words[:1]
    verb = min(known, key=_doubt)
    if verb == "send" and not _MONEY.isdisjoint(words):
        return ("pay",)
    options = (w for i, w in enumerate(words) if i and words[i - 1] in _OPTIONS and w in known and w != verb)
    made = (MADE_BY[word] for word in words if word in MADE_BY and verb in _MAKERS and MADE_BY[word] != verb)
    return (verb, *options, *made)


def _doubt(word: str) -> int:
    return (word in NOUNS_TOO) + (word in _BY_NOUN)


def _things(words: tuple[str, ...], said: tuple[str, ...]) -> list[str]:
    """Give the nouns of a name. An unknown word counts behind the verb: before it, it is a product."""
    rest = [word for word in words if word not in said and word not in _OPTIONS]
    known = [word for word in rest if word in _BY_NOUN]
    if known or said == ("pay",):
        return known
    behind = [word for word in words[words.index(said[0]) + 1 :] if word in rest] if said else []
    return behind[-1:]


def _by_noun(row: VerbClass, noun: str) -> Iterator[str]:
    for thing in _BY_NOUN.get(noun, ()):
        for names, said in ((_MAKING, thing.made), (_CHANGING, thing.changed), (_ENDING, thing.ended)):
            if row.name in names:
                yield from said
