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
    """One picture of the original with its upstream gradient and its gradients, in float64."""

    name: str
    face_vertices: Tensor
    face_textures: Tensor
    arguments: dict[str, Any]
    image: Tensor
    stable: Tensor
    grad_image: Tensor
    grad_face_vertices: Tensor
    grad_face_textures: Tensor


def _float32(value: float) -> float:
    return float(np.float32(value))


def _arguments(record: dict[str, Any]) -> dict[str, Any]:
    """The scalars are float32 in the original even in its double mode."""
    threshold = _float32(math.log(1 / record["dist_eps"] - 1))
    return {
        "image_size": record["image_size"],
        "sigma": _float32(record["sigma_val"]),
        "gamma": _float32(record["gamma_val"]),
        "color": record["aggr_func_rgb"],
        "dist_eps": 1 / (1 + math.exp(threshold)),
        "eps": _float32(record["eps"]),
        "near": record["near"],
        "far": record["far"],
        "background": record["background_color"],
        "double_sided": record["fill_back"],
    }


def load_cases() -> list[GoldenCase]:
    """Return all cases of the manifest."""
    return [_load(record) for record in json.loads((FOLDER / "manifest.json").read_text())]


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
    )
