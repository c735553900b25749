"""A benchmark of fitting viewpoint and light, from starts near the truth or all around."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.viewpoint.fitter import ViewpointFitter
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import ViewpointErrors, Viewpoints

# Of truths, in degrees and object units. The light is on the eye's side: what falls on the far side
# alone is not in the image.
ELEVATIONS = (-10.0, 50.0)
DISTANCES = (2.2, 3.2)
LIGHT_REACH = 70.0  # degrees between the directions of light and eye, at most
# How far starts are from the truth: degrees, degrees and a factor.
AZIMUTH_OFF, ELEVATION_OFF, DISTANCE_OFF = (20.0, 40.0), (10.0, 20.0), 1.2
# Found: viewpoint and light within so many degrees, the distance within as much of a percent.
GOOD = 5.0


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Images of a mesh from random viewpoints.

    Args:
        mesh: The mesh that the images show.
        count: The number N of true viewpoints.
        image_size: (height, width) of the images.
        seed: The seed of the true viewpoints and of the starts.
    """

    mesh: ShadedMesh
    count: int
    image_size: tuple[int, int]
    seed: int

    def truth(self) -> Viewpoints:
        """Returns the N truths."""
        generator = torch.Generator().manual_seed(self.seed)
        azimuth = 360 * torch.rand(self.count, generator=generator)
        elevation = _between(ELEVATIONS, self.count, generator)
        distance = _between(DISTANCES, self.count, generator)
        zero = torch.zeros(self.count, 3)
        eyes = F.normalize(Viewpoints(azimuth, elevation, distance, zero).eyes())
        lights = torch.stack([_light_near(eye, generator) for eye in eyes])
        return Viewpoints(azimuth, elevation, distance, lights)

    def starts(self) -> Viewpoints:
        """Returns a start beside each truth, with the light above the eye."""
        truth, generator = self.truth(), torch.Generator().manual_seed(self.seed + 1)
        azimuth, elevation, distance = (
            sign * size
            for sign, size in (
                (_signs(self.count, generator), _between(AZIMUTH_OFF, self.count, generator)),
                (_signs(self.count, generator), _between(ELEVATION_OFF, self.count, generator)),
                (_signs(self.count, generator), 1.0),
            )
        )
        return Viewpoints.with_light_above(
            truth.azimuth + azimuth,
            truth.elevation + elevation,
            truth.distance * DISTANCE_OFF**distance,
        )

    def images(self) -> Tensor:
        """Returns the images [N, 4, H, W] of the truths."""
        return self.mesh.image(self.truth(), self.image_size)

    def from_beside(
        self, fitter: ViewpointFitter, interruption: Interruption | None, progress: bool | None
    ) -> Viewpoints:
        """Finds all viewpoints at once, each from its one start."""
        fitted = fitter.fit(self.images(), self.starts(), interruption, progress)
        return fitted.state

    def from_around(
        self,
        fitter: ViewpointFitter,
        starts: Viewpoints,
        keep: int,
        interruption: Interruption | None,
        progress: bool | None,
    ) -> Viewpoints:
        """Finds each viewpoint from the same starts all around, without knowing where it is."""
        found: list[Viewpoints] = []
        for image in self.images():
            found.append(fitter.search(image, starts, keep, interruption, progress).state)
            if interruption is not None and interruption.signum is not None:
                break
        return Viewpoints(
            *(
                torch.cat([getattr(one, name) for one in found])
                for name in ("azimuth", "elevation", "distance", "light")
            )
        )


def summarise(errors: ViewpointErrors) -> dict[str, Any]:
    """Returns median, mean and greatest errors, and the share of those that are good."""
    columns = {field.name: getattr(errors, field.name) for field in fields(errors)}
    columns["distance"] = 100 * columns["distance"]  # percent
    return {
        name: {
            "median": float(values.median()),
            "mean": float(values.mean()),
            "greatest": float(values.max()),
            "within_5": float((values <= GOOD).float().mean()),
        }
        for name, values in columns.items()
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns the summaries as text for a terminal, a line for each kind of error and each row."""
    units = {
        "view": "viewpoint, degrees",
        "azimuth": "azimuth, degrees",
        "elevation": "elevation, degrees",
        "distance": "distance, %",
        "light": "light, degrees",
    }
    lines = [f"{'':20} {'':20}  median     mean greatest  within 5"]
    for kind, title in units.items():
        for name, row in rows.items():
            values = row[kind]
            lines.append(
                f"{title:20} {name:20} {values['median']:7.2f}  {values['mean']:7.2f}"
                f"  {values['greatest']:7.2f}  {100 * values['within_5']:6.0f} %"
            )
    return "\n".join(lines)


def _between(bounds: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(count, generator=generator)


def _signs(count: int, generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)


def _light_near(eye: Tensor, generator: torch.Generator) -> Tensor:
    """Draws a direction evenly from those within reach of the eye's."""
    least = torch.cos(torch.deg2rad(torch.tensor(LIGHT_REACH)))
    while True:
        light = F.normalize(torch.randn(3, generator=generator), dim=0)
        if (light * eye).sum() > least:
            return light
