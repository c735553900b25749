"""Names of the folders of jobs."""

from __future__ import annotations

import re

import pytest
from omegaconf import OmegaConf

from hydra_plugins.recon_sweeps.job_folders import LONGEST, job_folder


def test_plain_overrides_are_the_name() -> None:
    name = "experiment=smoke,optimizer.lr=1e-3,+x@y=a_b,seed=0,~z"
    assert job_folder(name) == name
    assert job_folder("") == "default"


@pytest.mark.parametrize(
    "overrides",
    [
        "data.categories=[chair,lamp]",
        "data.path=/a/b/../c.h5",
        "name='a b'",
        "x={a:1}",
        "model.encoder=$HOME*?;&|<>\\\n",
        ".hidden=1",
        "k=" + "v" * 500,
        "k=" + "é" * 200,
    ],
)
def test_other_overrides_become_one_plain_name(overrides: str) -> None:
    name = job_folder(overrides)
    assert re.fullmatch(r"[\w,=+@~-][\w.,=+@~-]*-[0-9a-f]{8}", name)
    assert len(name.encode()) <= LONGEST
    assert job_folder(overrides) == name


def test_different_overrides_have_different_names() -> None:
    long = "k=" + "v" * 300
    overrides = ["a=[b]", "a={b}", "a=_b_", long, long + "v", "a=b/c", "a=b:c"]
    assert len({job_folder(text) for text in overrides}) == len(overrides)


def test_configurations_know_it() -> None:
    cfg = OmegaConf.create({"a": "x=[1]", "b": "${job_folder:${a}}"})
    assert cfg.b == job_folder("x=[1]")
