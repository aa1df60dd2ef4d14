"""What importing modules loads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable


def loaded(modules: Iterable[str], *, after: str) -> set[str]:
    """Return what a fresh process has loaded after it imported these modules.

    :param after: the statement that it runs before; what that loads does not count.
    """
    program = (
        "import json, sys\n"
        f"{after}\n"
        "before = set(sys.modules)\n"
        f"for module in {list(modules)!r}: __import__(module)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    return set(json.loads(done.stdout.splitlines()[-1]))
