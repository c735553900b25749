"""Reads the golden cases of the released SoftRas kernels; see golden/README.md."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class GoldenCase:
    """One picture of the original with its upstream gradient and its gradients, in float64.

    `stable` [B, H, W] are the pixels to compare, within `tolerance`; `unclipped` [B, F] the faces
    between near and far, of which alone the original has the whole vertex gradient.
    """

    name: str
    face_vertices: Tensor
    face_textures: Tensor
    arguments: dict[str, Any]
    image: Tensor
    stable: Tensor
    grad_image: Tensor
    grad_face_vertices: Tensor
    grad_face_textures: Tensor
    tolerance: float

    @property
    def unclipped(self) -> Tensor:
        depth = self.face_vertices[..., 2]
        near, far = self.arguments["near"], self.arguments["far"]
        return ((depth >= near) & (depth <= far)).all(-1)


def _float32(value: float) -> float:
    return float(np.float32(value))


def _arguments(record: dict[str, Any]) -> dict[str, Any]:
    """Translate a record, whose scalars are float32 in the original even in its double mode."""
    threshold = _float32(math.log(1 / record["dist_eps"] - 1))
    alpha = record["aggr_func_alpha"]
    return {
        "image_size": record["image_size"],
        "sigma": _float32(record["sigma_val"]),
        "gamma": _float32(record["gamma_val"]),
        "distance": record["dist_func"],
        "alpha": "product" if alpha == "prod" else alpha,
        "color": record["aggr_func_rgb"],
        "texture": record["texture_type"],
        "dist_eps": 1 / (1 + math.exp(threshold)),
        "eps": 2 * _float32(record["eps"]),  # the original's background weighs exp(2 eps / gamma)
        "near": _float32(record["near"]),
        "far": _float32(record["far"]),
        "background": record["background_color"],
        "double_sided": record["fill_back"],
    }


def load_cases(every_mode: bool = False) -> list[GoldenCase]:
    """Return the cases of the default distance, alpha and texture, or all of the manifest."""
    records = json.loads((FOLDER / "manifest.json").read_text())
    cases = [_load(record) for record in records]
    defaults = {"distance": "euclidean", "alpha": "product", "texture": "vertex"}
    return [case for case in cases if every_mode or defaults.items() <= case.arguments.items()]


def _load(record: dict[str, Any]) -> GoldenCase:
    scene = np.load(FOLDER / "scenes" / f"{record['scene']}.npz")
    case = np.load(FOLDER / "cases" / f"{record['name']}.npz")
    image = torch.from_numpy(case["image_f64"])
    shape = (image.shape[0], *image.shape[2:])
    stable = np.unpackbits(case["stable"])[: math.prod(shape)].reshape(shape)
    return GoldenCase(
        name=record["name"],
        face_vertices=torch.from_numpy(scene["face_vertices"]).double(),
        face_textures=torch.from_numpy(case["textures_x64"] / 64.0),
        arguments=_arguments(record),
        image=image,
        stable=torch.from_numpy(stable.astype(bool)),
        grad_image=torch.from_numpy(case["grad_image_x64"] / 64.0),
        grad_face_vertices=torch.from_numpy(case["grad_face_vertices_f64"]),
        grad_face_textures=torch.from_numpy(case["grad_textures_f64"]),
        tolerance=1e-4 if record.get("texel_ties") else 1e-5,
    )
