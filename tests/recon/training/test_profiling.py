"""The table and the trace of a profile."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.validation import VoxelValidation
from recon.losses.objective import Objective
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import LaplacianLoss
from recon.losses.terms import Term
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder
from recon.rendering.renderer import SoftRenderer
from recon.schedules import Constant
from recon.training.profiling import profile_training
from recon.training.trainer import Trainer

TERMS = {"silhouette": Term(silhouette_iou_loss), "laplacian": Term(LaplacianLoss, 5e-3)}


def test_every_part_of_a_step_is_in_the_table(shapes_file: Path, tmp_path: Path) -> None:
    trainer = Trainer(
        model=Reconstructor(
            SoftRasEncoder(channels=(4, 8, 8, 8), hidden=(16,), latent=8),
            MeshDecoder(latent=8, hidden=(16,), subdivisions=1),
        ),
        renderer=SoftRenderer(64, sigma=1e-4, dist_eps=1e-10),
        objective=partial(Objective, terms=TERMS),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        schedule={"lr": Constant(), "sigma": Constant()},
        train_set=MultiViewDataset(shapes_file, "train"),
        val_set=None,
        validation=VoxelValidation(),
        seed=0,
        max_steps=1,
        batch_size=4,
        validate_every=0,
        device="cpu",
        precision="float32",
    )
    table = profile_training(trainer, tmp_path / "profile")
    assert (tmp_path / "profile" / "profile.txt").read_text() == f"{table}\n"
    lines = table.splitlines()
    assert lines[0].startswith("4 objects x 2 views per step, 1 process(es)")
    milliseconds = {line.split()[0]: float(line.split()[1]) for line in lines[2:-1]}
    parts = ["data", "encoder", "decoder", "render", "losses", "backward", "guard", "optimizer"]
    assert set(milliseconds) == {*parts, "render_backward", "rest", "step"}
    assert all(milliseconds[name] > 0 for name in parts)
    assert milliseconds["render_backward"] < milliseconds["backward"]
    whole = sum(milliseconds[name] for name in parts) + milliseconds["rest"]
    assert whole == pytest.approx(milliseconds["step"], abs=0.1)  # rounding
    trace = json.loads((tmp_path / "profile" / "trace.json").read_text())
    assert any("convolution" in event.get("name", "") for event in trace["traceEvents"])
