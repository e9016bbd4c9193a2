"""What the conformance suite finds with and without the proxy: `python tests/conformance/table.py`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conformance import serving, suite
from tests.conformance.node import installed


def main() -> None:
    """Run both sets of requirements twice, and print what passed."""
    node = installed()
    with TemporaryDirectory() as made:
        folder = Path(made)
        with serving.everything() as direct, serving.everything_proxied(folder / "front") as front:
            suite.warm(node, front, folder / "warm")
            for which in suite.REQUIREMENTS:
                before = suite.run(node, direct, which, folder / f"direct-{which}")
                after = suite.run(node, front, which, folder / f"front-{which}")
                lost = "\n".join(suite.lost(before, after, suite.UNKEPT)) or "nothing is lost"
                sys.stdout.write(f"{suite.table(before, after, which)}\n{lost}\n\n")


if __name__ == "__main__":
    main()
