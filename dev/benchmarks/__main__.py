"""``python -m dev.benchmarks``: make the environment, run all benchmarks, print and save the results."""

from __future__ import annotations

import sys

from dev.benchmarks import environment

if __name__ == "__main__":
    if not environment.is_inside():
        environment.enter("dev.benchmarks", sys.argv[1:])
    # Only the environment of the benchmarks has everything that this imports.
    from dev.benchmarks import suite

    sys.exit(suite.main())
