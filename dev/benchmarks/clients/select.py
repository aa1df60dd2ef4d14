"""Select all instances of a project, with this package's selector or with one request per folder."""

from __future__ import annotations

import gc
import json
import sys
import time

from dev.benchmarks.clients import probes
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.selection import InstanceSelector


def select(way: str, project: str) -> int:
    """Return how many instances were selected."""
    hook = MetaKraftwerkHook()
    if way == "selector":
        return len(hook.select_instances(InstanceSelector(), project=project).ids)
    found = 0
    for folder in hook.find_instance_folders(project=project):
        # The folder's path identifies it only within its pattern.
        instances = hook.find_instances(project=project, pattern_id=folder.pattern_id, folder=folder.path)
        found += sum(not instance.deleted for instance in instances)
    return found


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    # Imports, the login and the first connection are not measured.
    MetaKraftwerkHook().find_projects()
    gc.collect()
    probes.reset_peak()
    memory, cpu, began = probes.memory(), probes.cpu(), time.perf_counter()
    selected = select(job["way"], job["project"])
    figures = {
        "selected": selected,
        "cpu": probes.cpu() - cpu,
        "seconds": time.perf_counter() - began,
        "memory": probes.peak_memory() - memory,
    }
    sys.stdout.write("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
