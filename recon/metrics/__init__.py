"""Metrics of a reconstruction against the truth, in suites named after their source.

docs/protocols.md says what every number means.
"""

from recon.metrics.metric_suite import Metric, MetricSuite
from recon.metrics.named_suites import SUITES
from recon.metrics.seeds import object_seed
from recon.metrics.truth import Truth
from recon.metrics.voxels import voxel_iou

__all__ = ["SUITES", "Metric", "MetricSuite", "Truth", "object_seed", "voxel_iou"]
