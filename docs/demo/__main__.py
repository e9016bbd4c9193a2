"""`make demo`: the main job on real input, with no account, key or network beyond the registries."""

import asyncio
import os
import sys
import time
from pathlib import Path

import acts
from show import Show
from stage import stage

from blastwall import Guard


def main() -> int:
    """Play every act; 0 when every promise was kept."""
    show, began = Show(), time.monotonic()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "blastwall-demo"
    show.opening(
        "blastwall",
        "Every tool call an agent makes is judged by a policy, run where the policy says, screened on its way"
        " back, and recorded before it happens. Watch it.",
    )
    with stage(cache) as world:
        guard = Guard.from_file(world.policy)
        acts.honest(show, world, guard)
        acts.poisoned(show, world, guard)
        acts.steered(show, world, guard)
        acts.phished(show, world, guard)
        acts.out_of_scope(show, world, guard)
        asyncio.run(acts.proxied(show, world, guard))
        acts.audited(show, world, guard)
    return show.closing(time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
