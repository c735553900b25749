"""Names and keys of former versions mean what they meant."""

from __future__ import annotations

import inspect
from pkgutil import resolve_name
from typing import Any

import pytest
import torch

from recon.losses.terms import read_terms
from recon.runs.former_names import MODULES, current_config, current_name, current_state
from recon.runs.trained_models import build_model

# Every `_target_` of ours which the configurations of version 1 named.
FORMER_TARGETS = (
    "recon.color_losses.PerceptualLoss",
    "recon.datasets.multiview.MultiViewDataset",
    "recon.datasets.prepare.prepared_dataset",
    "recon.datasets.rendering.objects.ObjectRenderer",
    "recon.datasets.rendering.viewpoints.RandomViews",
    "recon.datasets.rendering.viewpoints.StandardViews",
    "recon.datasets.sources.debian.DebianSource",
    "recon.datasets.sources.folder.FolderSource",
    "recon.datasets.sources.images.ImagesSource",
    "recon.datasets.sources.nmr.NmrSource",
    "recon.datasets.sources.nmr_folders.NmrFoldersSource",
    "recon.datasets.sources.occupancy_networks.OccupancyNetworksSource",
    "recon.datasets.sources.r2n2.R2N2Source",
    "recon.datasets.sources.shapenet_core.ShapeNetCoreSource",
    "recon.datasets.sources.shapes.ShapesSource",
    "recon.evaluation.assessment.Assessment",
    "recon.evaluation.examples.ExampleFiles",
    "recon.evaluation.model_evaluation.EvaluationSettings",
    "recon.evaluation.settings.EvaluationSettings",
    "recon.evaluation.voxel_scores.VoxelValidation",
    "recon.fitting.articulated_fitting.ArticulationFitter",
    "recon.fitting.poses.PoseFitter",
    "recon.fitting.shape_fitting.Cube",
    "recon.fitting.shape_fitting.Stage",
    "recon.fitting.soft_stages.SoftStage",
    "recon.lighting.DirectionalLight",
    "recon.lighting.Lighting",
    "recon.models.MeshDecoder",
    "recon.models.PaletteHead",
    "recon.models.Reconstructor",
    "recon.models.SoftRasEncoder",
    "recon.models.VertexColorHead",
    "recon.objectives.Objective",
    "recon.renderer.SoftRenderer",
    "recon.schedules.Constant",
    "recon.schedules.Geometric",
    "recon.schedules.StepDecay",
    "recon.schedules.WarmupCosine",
    "recon.training.trainer.Trainer",
    "recon.sweeps.stopping.StudyStopping",
)


@pytest.mark.parametrize("former", FORMER_TARGETS)
def test_every_former_target_is_found(former: str) -> None:
    found = resolve_name(current_name(former))
    assert inspect.isclass(found) or inspect.isfunction(found)


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_every_present_name_is_there(module: str) -> None:
    assert current_name(module) == module
    resolve_name(module)


def test_names_of_others_and_of_today_stay() -> None:
    for name in ("torch.optim.Adam", "recon.losses.objective.Objective", "my.renderer.Mine", "x"):
        assert current_name(name) == name
    config = {"model": {"_target_": "my.Model", "layers": [1, {"_target_": "recon.renderer.X"}]}}
    expected = {"model": {"_target_": "my.Model", "layers": [1, {"_target_": f"{RENDERER}.X"}]}}
    assert current_config(config) == expected
    assert current_config(expected) == expected
    assert current_config({"data": {"path": None}, "seed": 0}) == {
        "data": {"path": None},
        "seed": 0,
    }


RENDERER = "recon.rendering.renderer"
FORMER_MODEL: dict[str, Any] = {
    "_target_": "recon.models.Reconstructor",
    "encoder": {
        "_target_": "recon.models.SoftRasEncoder",
        "channels": [4],
        "hidden": [4],
        "latent": 8,
    },
    "decoder": {
        "_target_": "recon.models.MeshDecoder",
        "latent": 8,
        "hidden": [16],
        "subdivisions": 1,
        "bias_scale": 0.5,
    },
    "color_head": {
        "_target_": "recon.models.VertexColorHead",
        "latent": 8,
        "subdivisions": 1,
        "hidden": [8],
    },
}


def test_a_former_model_is_built_and_takes_its_weights() -> None:
    model = build_model({"config": current_config({"model": FORMER_MODEL})})
    assert model.decoder.offset_scale == 0.5
    assert model.color_head.surface.num_vertices == 42
    state = model.state_dict()
    former = {name.replace("decoder.offset", "decoder.bias"): state[name] for name in state}
    assert former.keys() != state.keys()
    assert current_state(former).keys() == state.keys()
    assert current_state(state) == dict(state)
    others = {"decoder.bias.weight": torch.zeros(1)}  # of a decoder that is not ours
    assert current_state(others) == others


def test_the_weights_of_a_former_objective_become_terms() -> None:
    former = {
        "_target_": "recon.objectives.Objective",
        "_partial_": True,
        "weights": {"silhouette": 1.0, "laplacian": 0.5},
        "texels": 2,
        "perceptual": {"_target_": "recon.color_losses.PerceptualLoss", "layers": [1]},
        "shape_from_color": False,
    }
    loss = current_config({"loss": former})["loss"]
    assert loss.keys() == {
        *("_target_", "_partial_", "_recursive_", "weights", "terms", "texels"),
        "shape_from_color",
    }
    terms = read_terms(loss["terms"], loss["weights"])
    positive = {name: term.weight for name, term in terms.items() if term.weight}
    assert positive == {"silhouette": 1.0, "laplacian": 0.5}
    assert terms["perceptual"].options == {"weights": None, "layers": [1]}
