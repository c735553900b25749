"""The metric suites by the names that `metrics=[...]` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from recon.metrics.fscore import FScore
from recon.metrics.meshrcnn import MeshRCNN
from recon.metrics.metric_suite import MetricSuite
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.silhouette import Silhouette
from recon.metrics.softras import SoftRas

SUITES: Mapping[str, Callable[[], MetricSuite]] = {
    "softras": SoftRas,
    "onet": OccupancyNetworks,
    "meshrcnn": MeshRCNN,
    "fscore": FScore,
    "silhouette": Silhouette,
    "silhouette_256": partial(Silhouette, 256),
}
