"""What the tree promises: where packages may be, and how large a file may grow."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("guardrails", "adapters", "benchmarks", "docs")
LONGEST = 400


def sources(*folders):
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def test_the_source_roots_are_no_packages():
    """Packages called `guardrails` and `adapters` belong to other people."""
    for root in ("guardrails", "adapters"):
        assert not (ROOT / root / "__init__.py").exists()


def test_every_package_ships_its_types():
    for package in (ROOT / "guardrails" / "blastwall", *(ROOT / "adapters").glob("blastwall_*")):
        assert (package / "py.typed").exists()


def test_no_file_outgrows_one_idea():
    long = {
        str(f.relative_to(ROOT)): n
        for f in sources(*ROOMS)
        if (n := len(f.read_text().splitlines())) > LONGEST
    }
    assert long == {}


def test_every_module_says_what_it_is_for():
    for file in sources(*ROOMS):
        assert file.read_text().startswith('"""'), file


def test_importing_the_core_does_not_pay_for_what_it_may_not_need():
    """`import blastwall` aims at 150 ms: pydantic, asyncio and the YAML reader wait for who needs them."""
    code = "import sys, blastwall; print(sorted({'pydantic', 'asyncio', 'yaml', 're2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
