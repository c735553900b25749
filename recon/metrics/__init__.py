"""Measures of a reconstruction against the truth, in presets named after their source.

docs/protocols.md says what every number means.
"""

from recon.metrics.presets import PRESETS
from recon.metrics.protocol import Measure, Preset
from recon.metrics.seeds import object_seed
from recon.metrics.truth import Truth
from recon.metrics.voxels import voxel_iou

__all__ = ["PRESETS", "Measure", "Preset", "Truth", "object_seed", "voxel_iou"]
