"""Names of former versions: configurations and checkpoints that use them load as if made today.

`current_config` is applied wherever a stored or typed configuration becomes objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

# Former module or package -> where its content is now; the longest fitting name counts.
MODULES = {
    "recon.cameras": "recon.geometry.cameras",
    "recon.checkpoints": "recon.runs.checkpoints",
    "recon.color_losses": "recon.losses.color",
    "recon.color_losses.PerceptualLoss": "recon.losses.perceptual.PerceptualLoss",
    "recon.datasets.camera_checks": "recon.preparation.checks.cameras",
    "recon.datasets.camera_sheet": "recon.preparation.checks.camera_sheet",
    "recon.datasets.carving": "recon.preparation.checks.visual_hull",
    "recon.datasets.compression": "recon.datasets.storage.compression",
    "recon.datasets.formats": "recon.formats.meshes.reading",
    "recon.datasets.formats.binvox": "recon.formats.binvox",
    "recon.datasets.formats.meshes": "recon.formats.meshes.reading.reader",
    "recon.datasets.formats.npz": "recon.formats.npz",
    "recon.datasets.formats.pictures": "recon.formats.images",
    "recon.datasets.formats.stores": "recon.formats.stores",
    "recon.datasets.frames": "recon.geometry.frames",
    "recon.datasets.hdf5": "recon.datasets.storage.hdf5",
    "recon.datasets.inspection": "recon.preparation.inspection",
    "recon.datasets.layout": "recon.datasets.storage.layout",
    "recon.datasets.parts": "recon.preparation.finished_objects",
    "recon.datasets.pieces": "recon.datasets.storage.pieces",
    "recon.datasets.prepare": "recon.preparation.prepare",
    "recon.datasets.preview": "recon.preparation.checks.preview",
    "recon.datasets.reading": "recon.datasets.storage.reader",
    "recon.datasets.rendering": "recon.preparation.rendering",
    "recon.datasets.shards": "recon.datasets.storage.shards",
    "recon.datasets.sources": "recon.preparation.sources",
    "recon.evaluation.bootstrap": "recon.evaluation.statistics",
    "recon.evaluation.gallery": "recon.evaluation.examples",
    "recon.evaluation.paired": "recon.evaluation.comparison",
    "recon.evaluation.report": "recon.evaluation.tables",
    "recon.evaluation.model_evaluation.EvaluationSettings": (
        "recon.evaluation.model_evaluation.EvaluationConfig"
    ),
    "recon.evaluation.settings": "recon.evaluation.model_evaluation",
    "recon.evaluation.settings.EvaluationSettings": (
        "recon.evaluation.model_evaluation.EvaluationConfig"
    ),
    "recon.evaluation.voxel_scores": "recon.evaluation.validation",
    "recon.fitting.articulated_fitting": "recon.fitting.articulation.fitter",
    "recon.fitting.articulation": "recon.fitting.articulation.articulated_mesh",
    "recon.fitting.articulation.articulated_mesh": "recon.fitting.articulation.articulated_mesh",
    "recon.fitting.articulation.figure": "recon.fitting.articulation.humanoid",
    "recon.fitting.articulation.fitter": "recon.fitting.articulation.fitter",
    "recon.fitting.articulation.humanoid": "recon.fitting.articulation.humanoid",
    "recon.fitting.articulation.run": "recon.fitting.articulation.run",
    "recon.fitting.articulation.scores": "recon.fitting.articulation.scores",
    "recon.fitting.articulation_run": "recon.fitting.articulation.run",
    "recon.fitting.articulation_scores": "recon.fitting.articulation.scores",
    "recon.fitting.camera_benchmark": "recon.fitting.viewpoint.benchmark",
    "recon.fitting.camera_fitting": "recon.fitting.viewpoint.fitter",
    "recon.fitting.camera_run": "recon.fitting.viewpoint.run",
    "recon.fitting.color_channels": "recon.fitting.pose.color_channels",
    "recon.fitting.course": "recon.fitting.history",
    "recon.fitting.figures": "recon.fitting.articulation.humanoid",
    "recon.fitting.palettes": "recon.fitting.pose.palettes",
    "recon.fitting.pose_files": "recon.fitting.pose.files",
    "recon.fitting.pose_run": "recon.fitting.pose.run",
    "recon.fitting.poses": "recon.fitting.pose.fitter",
    "recon.fitting.rotations": "recon.geometry.rotations",
    "recon.fitting.shape_fitting": "recon.fitting.shape.fitter",
    "recon.fitting.shape_fitting.Stage": "recon.fitting.shape.fitter.ShapeStage",
    "recon.fitting.shape_run": "recon.fitting.shape.run",
    "recon.fitting.shape_scores": "recon.fitting.shape.scores",
    "recon.fitting.soft_stages": "recon.fitting.stages",
    "recon.fitting.view_files": "recon.fitting.shape.view_files",
    "recon.fitting.viewing_scene": "recon.fitting.viewpoint.shaded_mesh",
    "recon.fitting.viewings": "recon.fitting.viewpoint.viewpoints",
    "recon.inside": "recon.geometry.containment",
    "recon.lighting": "recon.rendering.lighting",
    "recon.mesh_files": "recon.formats.meshes.writing",
    "recon.mesh_files.saving": "recon.formats.meshes.writing.writer",
    "recon.meshes": "recon.geometry.meshes",
    "recon.objectives": "recon.losses.objective",
    "recon.pictures": "recon.visualization.draw",
    "recon.plots": "recon.visualization.plots",
    "recon.processes": "recon.training.distributed",
    "recon.reconstruction": "recon.inference",
    "recon.reconstruction.input_pictures": "recon.inference.input_images",
    "recon.reconstruction.outline_search": "recon.inference.viewpoint_search",
    "recon.renderer": "recon.rendering.renderer",
    "recon.report_page": "recon.evaluation.report_page",
    "recon.surface_samples": "recon.geometry.surface_sampling",
    "recon.sweeps": "recon.runs.sweeps",
    "recon.texels": "recon.geometry.texels",
    "recon.training.showcase": "recon.training.tracked_objects",
    "recon.training.showcase_pictures": "recon.training.tracked_images",
    "recon.trained_models": "recon.runs.trained_models",
    "recon.turntable": "recon.visualization.turntable",
    "recon.view_framing": "recon.datasets.framing",
    "recon.voxels": "recon.geometry.voxels",
}

# What the weights of an objective named before its terms were parts of the configuration.
_FORMER_TERMS = {
    "silhouette": "recon.losses.silhouette.silhouette_iou_loss",
    "color": "recon.losses.color.color_l1_loss",
    "perceptual": "recon.losses.perceptual.PerceptualLoss",
    "shading": "recon.losses.color.shading_l1_loss",
    "laplacian": "recon.losses.smoothness.LaplacianLoss",
    "flatten": "recon.losses.smoothness.FlattenLoss",
    "color_smoothness": "recon.losses.color.ColorSmoothnessLoss",
}
# Keys of the trainer which former versions did not have, with the values that change nothing.
_LATER_TRAINER = {"input_views": None, "average_decay": 0.0}
_DECODER = "recon.models.MeshDecoder"
_OBJECTIVE = "recon.losses.objective.Objective"


def current_name(target: str) -> str:
    """Returns the current dotted name of what a former version called `target`."""
    parts = target.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in MODULES:
            return ".".join([MODULES[name], *parts[count:]])
    return target


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration with the names and keys of today.

    Args:
        config: A resolved configuration of plain dicts, lists and scalars; one with current names
            is returned as it is.
    """
    renamed: dict[str, Any] = _with_current_names(config)
    changes = {"model": _current_model, "loss": _current_loss}
    changed = {
        key: changes[key](value) if key in changes and isinstance(value, dict) else value
        for key, value in renamed.items()
    }
    return {**changed, **_later_keys(changed)}


def current_state(state: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the state dict of a model with the parameter names of today."""
    # The layers of `MeshDecoder`, which called its offsets biases.
    former = {"decoder.bias.weight", "decoder.bias.bias", "decoder.centroid.weight"}
    if not former <= state.keys():
        return dict(state)
    return {name.replace("decoder.bias.", "decoder.offset.", 1): state[name] for name in state}


def _with_current_names(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: current_name(value)
            if key == "_target_" and isinstance(value, str)
            else _with_current_names(value)
            for key, value in node.items()
        }
    return [_with_current_names(child) for child in node] if isinstance(node, list) else node


def _current_model(model: dict[str, Any]) -> dict[str, Any]:
    """Returns a model whose head gets the mesh size from the decoder; biases become offsets."""
    changed = dict(model)
    decoder, head = model.get("decoder"), model.get("color_head")
    if isinstance(decoder, dict):
        names = {"bias_scale": "offset_scale"}
        named = {names.get(key, key): value for key, value in decoder.items()}
        later = {"mirrored": False} if decoder.get("_target_") == _DECODER else {}
        changed["decoder"] = {**later, **named}
    if isinstance(head, dict) and "subdivisions" in head:
        kept = {key: value for key, value in head.items() if key != "subdivisions"}
        changed["color_head"] = {"_partial_": True, **kept}
    return changed


def _later_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of a training run which former versions did not have."""
    renderer, optimizer = config.get("renderer"), config.get("optimizer")
    later: dict[str, Any] = {}
    if isinstance(renderer, dict) and "image_size" in renderer and "trainer" in config:
        later["image_size"] = config.get("image_size", renderer["image_size"])
    if isinstance(optimizer, dict) and "trainer" in config:
        later["optimizer"] = {"groups": None, **optimizer}
    trainer = config.get("trainer")
    if isinstance(trainer, dict) and "_target_" in trainer:
        later["trainer"] = {**_LATER_TRAINER, **trainer}
    return later


def _current_loss(loss: dict[str, Any]) -> dict[str, Any]:
    """Returns an objective whose terms are listed, the perceptual loss among them."""
    if loss.get("_target_") != _OBJECTIVE or "terms" in loss:
        return loss
    kept = {key: value for key, value in loss.items() if key != "perceptual"}
    terms: dict[str, Any] = {name: {"_target_": loss_} for name, loss_ in _FORMER_TERMS.items()}
    terms["perceptual"] |= {"weights": None} | (loss.get("perceptual") or {})
    weights = dict.fromkeys(terms, 0.0) | (loss.get("weights") or {})
    return {**kept, "_recursive_": False, "weights": weights, "terms": terms}
