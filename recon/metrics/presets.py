"""The presets by name, with their default settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from recon.metrics.fscore import FScore
from recon.metrics.meshrcnn import MeshRCNN
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.protocol import Measure, Preset
from recon.metrics.silhouette import Silhouette
from recon.metrics.softras import SoftRas

__all__ = ["PRESETS", "Measure", "Preset"]

PRESETS: Mapping[str, Callable[[], Preset]] = {
    "softras": SoftRas,
    "onet": OccupancyNetworks,
    "meshrcnn": MeshRCNN,
    "fscore": FScore,
    "silhouette": Silhouette,
    "silhouette_256": partial(Silhouette, 256),
}
