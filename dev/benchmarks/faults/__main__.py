"""``python -m dev.benchmarks.faults``: measure the fault table of all providers and write it into its page."""

from __future__ import annotations

import sys

from dev.benchmarks import environment

if __name__ == "__main__":
    if not environment.is_inside():
        environment.enter("dev.benchmarks.faults", sys.argv[1:])
    # Only the environment of the benchmarks has everything that this imports.
    from dev.benchmarks.faults import measure_all, render

    measure_all.main()
    render.main()
