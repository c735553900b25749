"""How many threads a command uses: no more than the cores it is given, which a container limits."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """Returns the number of cores that this process may use.

    That is the number of cores it may run on (its affinity), or the CPU quota of its cgroup where
    that is less, rounded up: a container with `--cpus 1.5` has 2 threads to fill its quota with.

    Args:
        root: Where `proc` and `sys` are mounted; tests choose a folder of their own.
    """
    return max(1, min(len(os.sched_getaffinity(0)), _rounded_up(cpu_quota(root))))


def _rounded_up(quota: float) -> int:
    return sys.maxsize if math.isinf(quota) else math.ceil(quota)


def cpu_quota(root: Path = Path("/")) -> float:
    """Returns how many cores' time the cgroup of this process may use; infinite without a quota.

    The quotas of the groups above it hold, too. Both versions of cgroups are read.

    Args:
        root: Where `proc` and `sys` are mounted.
    """
    return min(map(_quota, _cgroup_folders(root)), default=math.inf)


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Yields the folders of the group of this process and of all above it, as far as named.

    A container may see the name its group has outside, of which no folder exists inside; there the
    group is the root of what is mounted, which is always among the folders.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux, or no cgroups
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree and names no controllers, version 1 a tree for each.
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / name.lstrip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(mount))


def _quota(folder: Path) -> float:
    """Returns the quota of one group, in cores; infinite where it has none."""
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(limit) / int(period) if limit not in ("max", "-1") else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or not readable as one
        return math.inf


def limit_threads() -> None:
    """Lets torch use as many threads as there are cores, where a quota gives fewer than it counts.

    OpenMP counts the cores of the affinity, and with 64 threads on a quota of two cores the system
    stops all of them for most of every period. What the user set in OMP_NUM_THREADS holds.
    """
    cores = available_cores()
    if "OMP_NUM_THREADS" in os.environ or cores == len(os.sched_getaffinity(0)):
        return
    torch = sys.modules.get("torch")
    if torch is None:  # it reads this when it is loaded
        os.environ["OMP_NUM_THREADS"] = str(cores)
    else:
        torch.set_num_threads(cores)
