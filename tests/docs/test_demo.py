"""`make demo` keeps every promise that it shows; it leaves with 1 when one is broken."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_keeps_its_promises():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "demo"], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every promise kept" in done.stdout
    assert "✗" not in done.stdout
