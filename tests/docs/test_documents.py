"""Every example in the README and the docs runs, and prints what the page says that it prints."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser

from blastwall.screening import FAMILIES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def write_file(example):
    """A YAML block whose first line is a comment with a file name is that file."""
    named = re.match(r"# (\S+\.ya?ml)\n", example.parsed)
    if named:
        Path(named.group(1)).write_text(example.parsed)


def run_python(example):
    """A Python block runs in the namespace of its page; what it prints is kept for the block after it."""
    printed = io.StringIO()
    code = compile("\n" * example.line + example.parsed, example.path, "exec", dont_inherit=True)
    with contextlib.redirect_stdout(printed):
        exec(code, example.namespace)
    example.namespace["_printed"] = printed.getvalue()


def compare_text(example):
    """A text block after a Python block is what that one printed."""
    printed = example.namespace.pop("_printed", None)
    if printed is not None:
        check(example.parsed, printed)


def run_console(example):
    """A console block is commands after `$ ` and what they print; `...` stands for anything."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", example.parsed, re.MULTILINE):
        done = subprocess.run(
            shlex.split(command),
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PATH": path, "COLUMNS": "200", "NO_COLOR": "1"},
        )
        check(expected, done.stdout + done.stderr)


def check(expected, printed):
    pattern = re.escape(expected.strip()).replace(r"\.\.\.", ".*")
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"expected:\n{expected}\nprinted:\n{printed}"


PARSERS = [
    CodeBlockParser("yaml", write_file),
    CodeBlockParser("python", run_python),
    CodeBlockParser("text", compare_text),
    CodeBlockParser("console", run_console),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    monkeypatch.chdir(folder)
    # The images of virtual machines take their time to build, and are the same for every page.
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    document = Sybil(parsers=PARSERS, pattern="*.md", encoding="utf-8").parse(page)
    examples = list(document.examples())
    for example in examples:
        example.evaluate()
    if page.name == "README.md":
        assert len(examples) >= 8


def test_the_table_of_families_is_the_code_s():
    rows = [f"| `{f.name}` | {f.action.name.lower()} | {f.meaning} |" for f in FAMILIES]
    assert "\n".join(rows) in (ROOT / "docs" / "screening.md").read_text()
