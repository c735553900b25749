"""Metrics of a reconstruction against the truth, in suites named after their source.

docs/protocols.md says what every number means.
"""

from collections.abc import Callable, Mapping
from functools import partial

from recon.metrics.fscore import FScore
from recon.metrics.meshrcnn import MeshRCNN
from recon.metrics.metric_suite import Metric, MetricSuite
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.seeds import object_seed
from recon.metrics.silhouette import Silhouette
from recon.metrics.softras import SoftRas
from recon.metrics.truth import Truth
from recon.metrics.voxels import voxel_iou

__all__ = ["METRIC_SUITES", "Metric", "MetricSuite", "Truth", "object_seed", "voxel_iou"]

# The names are those that `metrics=[...]` takes.
METRIC_SUITES: Mapping[str, Callable[[], MetricSuite]] = {
    "softras": SoftRas,
    "onet": OccupancyNetworks,
    "meshrcnn": MeshRCNN,
    "fscore": FScore,
    "silhouette": Silhouette,
    "silhouette_256": partial(Silhouette, 256),
}
