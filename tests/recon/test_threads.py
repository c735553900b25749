"""How many threads a command uses, in containers as they present themselves."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
import torch

from recon.threads import available_cores, cpu_quota, limit_threads


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "0::/jobs/one\n"
V1 = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": V2}, math.inf),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/jobs/one/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/jobs/one/cpu.max": "150000 100000\n"}, 1.5),
        # The limit of the group above holds, too.
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/jobs/one/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/jobs/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        # The container sees its own group as the root.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3.0),
        # Version 1; the name is that outside of the container.
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        # A quota of memory is none of cores.
        ({"proc/self/cgroup": "5:memory:/a\n", "sys/fs/cgroup/cpu.max": "1 1\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "no number\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": ""}, math.inf),
    ],
)
def test_the_least_quota_of_the_groups_above_counts(
    files: dict[str, str], quota: float, tmp_path: Path
) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("limit", "cores"), [("max", 8), ("150000", 2), ("1000", 1), ("1600000", 8)]
)
def test_cores_are_those_of_the_affinity_or_of_the_quota(
    limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{limit} 100000\n"}
    assert available_cores(write(tmp_path, files)) == cores


@pytest.fixture
def two_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota of two cores on a machine of 64, and nothing set by the user."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.setattr("recon.threads.cpu_quota", lambda root: 2.0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.usefixtures("two_of_many")
def test_a_quota_limits_the_threads_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    limit_threads()
    assert chosen == [2]
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.usefixtures("two_of_many")
def test_a_quota_limits_the_threads_of_a_torch_that_is_loaded_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # so that it is put back
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delitem(sys.modules, "torch")
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.usefixtures("two_of_many")
def test_what_the_user_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("set"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_without_a_quota_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.threads.cpu_quota", lambda root: math.inf)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("set"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
