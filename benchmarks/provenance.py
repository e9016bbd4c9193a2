"""What tracing costs as a session grows: keeping an output, looking a call up, the memory for it.

Run it with `python benchmarks/provenance.py`. Beside ours stand a scan of all the text with `str.find`, which
is what one writes first, and SQLite's FTS5 with its trigram tokenizer, the index of substrings that is there
everywhere. Both answer less: whether a piece of the call occurs as it is.
"""

import argparse
import json
import random
import re
import sqlite3
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pydoc_data.topics import topics
from typing import Any

from rich.console import Console
from rich.table import Table

from blastwall.frozen import FrozenDict, Json, freeze
from blastwall.provenance import FORMATS, FieldRule, Labels, Memory

SIZES = (100_000, 1_000_000, 10_000_000)
LOOKS = 200
Row = dict[str, Any]
LABELS = Labels(
    fields=(
        FieldRule("**.id", format=FORMATS["identifier"]),
        FieldRule("**.sender", format=FORMATS["email"]),
        FieldRule("**.date", format=FORMATS["date"]),
    )
)


class Words:
    """English text without end: sentences of Python's manual, with numbers and names that differ."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        everything = " ".join(topics.values())
        self._sentences = [
            s for s in re.findall(r"[A-Z][^.\n]+[\w ,;\n-]+\.", everything) if 40 < len(s) < 300
        ]
        self._words = sorted(set(re.findall(r"[a-z]{4,}", everything)))

    def prose(self, size: int) -> str:
        """Give a text of about so many characters; one sentence in three says something of its own."""
        said, length = [], 0
        while length < size:
            words = self._random.choice(self._sentences).split()
            if self._random.random() < 0.3:
                words[self._random.randrange(len(words))] = str(self._random.randrange(10**6))
            else:
                self._random.shuffle(words)
            said.append(" ".join(words))
            length += len(said[-1]) + 1
        return " ".join(said)[:size]

    def address(self) -> str:
        """Give a mail address."""
        return f"{self._random.choice(self._words)}.{self._random.choice(self._words)}@corp.example"

    def mail(self, number: int) -> dict[str, Json]:
        """Give a mail of about two thousand characters."""
        return {
            "id": number,
            "sender": self.address(),
            "date": f"2026-{self._random.randrange(1, 13):02}-{self._random.randrange(1, 29):02}",
            "subject": self.prose(40),
            "body": self.prose(1800),
        }

    def pages(self, size: int) -> Iterator[Json]:
        """Give outputs of ten mails each, until they come to a size."""
        for number in range(0, size // 1920, 10):
            yield freeze([self.mail(number + i) for i in range(10)])

    def call(self) -> FrozenDict:
        """Give the arguments of a call that sends a message."""
        frozen = freeze({"to": [self.address()], "subject": self.prose(40), "body": self.prose(500)})
        assert isinstance(frozen, FrozenDict)
        return frozen

    def short(self) -> FrozenDict:
        """Give the arguments of a call that names a record."""
        frozen = freeze({"id": self._random.randrange(5000), "folder": self._random.choice(self._words)})
        assert isinstance(frozen, FrozenDict)
        return frozen


def ours(pages: list[Json]) -> Memory:
    """Make a session that has seen these pages."""
    memory = Memory()
    memory.begin("Please answer the last mail of dana.lee@corp.example, and say that invoice 20931 is paid.")
    for page in pages:
        memory.remember("mail.search", page, LABELS)
    return memory


def texts(page: Json) -> Iterator[str]:
    """Give the texts of a page."""
    assert isinstance(page, tuple)
    for mail in page:
        assert isinstance(mail, dict)
        yield from map(str, mail.values())


def scan(pages: list[Json]) -> Callable[[FrozenDict], object]:
    """Look every argument, and every four words of it, up in all the text."""
    everything = "\n".join(text for page in pages for text in texts(page))
    return lambda call: [everything.find(piece) for piece in pieces(call)]


def fts(pages: list[Json]) -> Callable[[FrozenDict], object]:
    """Do the same by SQLite's index of trigrams."""
    base = sqlite3.connect(":memory:")
    base.execute("create virtual table seen using fts5(text, tokenize='trigram')")
    base.executemany("insert into seen values (?)", ((text,) for page in pages for text in texts(page)))
    question = "select rowid from seen where seen match ? limit 1"

    def look(call: FrozenDict) -> object:
        return [base.execute(question, (f'"{p}"',)).fetchone() for p in pieces(call) if len(p) > 2]

    return look


def pieces(call: FrozenDict) -> Iterator[str]:
    """Give what a simple tracer would look for."""
    for value in call.values():
        text = value[0] if isinstance(value, tuple) else str(value)
        yield text.replace('"', "")
        words = text.replace('"', "").split()
        yield from (" ".join(words[i : i + 4]) for i in range(0, len(words), 4))


def timed(look: Callable[[FrozenDict], object], calls: list[FrozenDict]) -> tuple[float, float]:
    """Give the median and the 99th percentile of the milliseconds of CPU that one look takes."""
    took = []
    for call in calls:
        began = time.process_time()
        look(call)
        took.append((time.process_time() - began) * 1e3)
    return statistics.median(took), sorted(took)[len(took) * 99 // 100]


def clocked(make: Callable[[], Any]) -> tuple[Any, float]:
    """Give what is made, and the seconds of CPU that it takes."""
    began = time.process_time()
    made = make()
    return made, time.process_time() - began


def rows(size: int) -> Iterator[Row]:
    """Measure one size of session."""
    words = Words(size)
    pages = list(words.pages(size))
    messages, records = ([make() for _ in range(LOOKS)] for make in (words.call, words.short))
    memory, took = clocked(lambda: ours(pages))
    seen = f"{size / 1e6:g} MB seen"
    indexed, indexing = clocked(lambda: fts(pages))
    yield {
        "what": f"{seen}: keep, per MB",
        "unit": "s",
        "ours": took / size * 1e6,
        "fts5": indexing / size * 1e6,
    }
    found = scan(pages)
    for what, calls in (("a message of 500 characters", messages), ("an id and a name", records)):
        (median, worst), peer, naive = (
            timed(memory.recall, calls),
            timed(indexed, calls),
            timed(found, calls[:20]),
        )
        yield {
            "what": f"{seen}: look up {what}",
            "unit": "ms",
            "ours": median,
            "p99": worst,
            "scan": naive[0],
            "fts5": peer[0],
            "ratio": median / naive[0],
            "aim": 1.0,
        }


def held(size: int) -> Row:
    """Measure the memory for each character that was seen."""
    pages = list(Words(size).pages(size))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    memory = ours(pages)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del memory
    return {
        "what": f"{size / 1e6:g} MB seen: memory",
        "unit": "bytes per character",
        "ours": (after - before) / size,
        "aim": 10,
    }


def show(found: list[Row]) -> None:
    """Print the table."""
    table = Table(title="What tracing costs (CPU time; scan and fts5 find less)")
    headings = ("what", "unit", "ours", "p99", "scan", "fts5", "ratio", "aim")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("what", "unit") else "right")
    for item in found:
        cells = (item.get(heading, "") for heading in headings)
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console().print(table)


def main() -> None:
    """Measure each size that is named, in characters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = [row for size in chosen.sizes for row in rows(size)]
    found.append(held(min(max(chosen.sizes), 2_000_000)))
    print(json.dumps(found)) if chosen.json else show(found)


if __name__ == "__main__":
    main()
