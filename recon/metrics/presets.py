"""The presets by name, with their default settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recon.metrics.protocol import Measure, Preset
from recon.metrics.softras import SoftRas

__all__ = ["PRESETS", "Measure", "Preset"]

PRESETS: Mapping[str, Callable[[], Preset]] = {
    "softras": SoftRas,
}
