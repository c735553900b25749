"""Viewpoint and light of a known mesh, found from one shaded image."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.fit import Fit
from recon.fitting.stages import SoftStage
from recon.fitting.viewpoint.scene import Scene, viewing_losses
from recon.fitting.viewpoint.viewpoints import Viewing, directions

# What colours weigh beside silhouettes: little while the light is wrong, which is all they tell.
_COARSE_COLOR, _FINE_COLOR = 0.3, 3.0
# Samples along a side of a pixel in the fine stage.
_FINE_SAMPLES = 2
# Directions of light tried before each fine stage: faces in the shade of a wrong one do not tell
# where it should be.
_LIGHTS = 96
# At the end of a search the best lights of all sides are refined: of a symmetric object seen along
# its axis, faint faces alone tell a light from its mirror image.
_LIGHTS_REFINED, _NEAR_LIGHTS = 8, 40.0  # number; degrees
# Ends of the coarse stage with viewpoints so close, in degrees, are one place: without this, the
# kept ones may all be the same mirror image of the truth.
_SAME_VIEW = 5.0
# What learning rates are multiplied by: angles are in degrees.
_RATES = {
    "azimuth": math.degrees(1.0),
    "elevation": math.degrees(1.0),
    "log_distance": 1.0,
    "light": 2.0,
}

COARSE = SoftStage(120, None, (1e-3, 1e-4), (0.1, 0.02), (0.05, 0.01))
FINE = SoftStage(120, None, (3e-4, 3e-6), (0.02, 0.002), (0.02, 5e-4))


@dataclass(frozen=True, eq=False)
class FittedViewing:
    """What a fit of viewings found.

    Args:
        viewing: N viewings; the lights have length 1.
        loss: [N] at the end.
        fits: of the stages.
        course: viewings on the way.
    """

    viewing: Viewing
    loss: Tensor
    fits: list[Fit]
    course: list[Viewing]


class ViewingFitter:
    """Finds viewpoints and lights in a coarse stage and a fine one.

    Args:
        scene: what the images show.
        coarse: the first stage.
        fine: the second one.
    """

    def __init__(self, scene: Scene, coarse: SoftStage = COARSE, fine: SoftStage = FINE) -> None:
        self.scene, self.coarse, self.fine = scene, coarse, fine

    def fit(
        self,
        images: Tensor,
        start: Viewing,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedViewing:
        """Finds N viewings at once, each from its image and its start alone.

        Args:
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            start: N viewings.
            interruption: an entered context, whose signal ends the fit.
            progress: as of `recon.fitting.fit.fit`.

        Raises:
            ValueError: numbers or shapes disagree, or an image shows nothing.
            FloatingPointError: a loss is not finite.
        """
        target = _checked(images, start)
        course = [start]
        found, coarse = self._stage(self.coarse, target, start, course, interruption, progress)
        return self._refined(target, found, [coarse], course, interruption, progress)

    def search(
        self,
        image: Tensor,
        starts: Viewing,
        keep: int = 6,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedViewing:
        """Finds the viewing of one image from many starts.

        All go through the coarse stage, and the `keep` best of where they end, which is not always
        another place, through the fine one.

        Args:
            image: [4, H, W].
            starts: S viewings.
            keep: how many are refined, at most.
            interruption: as of `fit`.
            progress: likewise.

        Returns:
            One viewing.

        Raises:
            ValueError: as of `fit`.
            FloatingPointError: likewise.
        """
        target = _checked(image.expand(len(starts), -1, -1, -1), starts)
        course = [starts]
        found, coarse = self._stage(self.coarse, target, starts, course, interruption, progress)
        kept = _best_different(found, coarse.best_loss, max(1, keep))
        course = [one[kept] for one in course]
        fitted = self._refined(target[kept], found[kept], [coarse], course, interruption, progress)
        losses = fitted.loss if len(fitted.fits) > 1 else fitted.loss[kept]
        best = losses.argmin()[None]
        viewing, loss, fits = fitted.viewing[best], losses[best], fitted.fits
        course = [one[best] for one in fitted.course]
        if fits[-1].stopped != "signal":
            lights = self._other_lights(target[:1], viewing)
            other, last = self._stage(
                self.fine,
                target[:1].expand(len(lights), -1, -1, -1),
                lights,
                [],
                interruption,
                progress,
            )
            fits = [*fits, last]
            least = last.best_loss.argmin()[None]
            if bool(last.best_loss[least] < loss):
                viewing, loss = other[least], last.best_loss[least]
        return FittedViewing(viewing, loss, fits, [*course, viewing])

    def _refined(
        self,
        target: Tensor,
        found: Viewing,
        fits: list[Fit],
        course: list[Viewing],
        interruption: Interruption | None,
        progress: bool | None,
    ) -> FittedViewing:
        """Goes through the fine stage twice, from the best light; the first time it moves alone."""
        for moved in (("light",), tuple(_RATES)):
            if fits[-1].stopped == "signal":
                break
            found = self._best_lights(target, found)
            found, one = self._stage(
                self.fine, target, found, course, interruption, progress, moved
            )
            fits.append(one)
        return FittedViewing(found, fits[-1].best_loss, fits, [*course, found])

    def _best_lights(self, target: Tensor, found: Viewing) -> Viewing:
        """Returns the viewings with the light from many around which suits their images best."""
        lights = torch.cat((found.light[None], _around(found.light)))
        best = self._light_losses(target, found, lights).argmin(0)
        return replace(found, light=lights[best, torch.arange(len(found), device=best.device)])

    def _other_lights(self, target: Tensor, found: Viewing) -> Viewing:
        """Returns one viewing several times, with every light which no other near it surpasses."""
        lights = _around(found.light)
        losses = self._light_losses(target, found, lights)[:, 0]
        unit = lights[:, 0]
        near = (unit[:, None] * unit[None]).sum(-1) > math.cos(math.radians(_NEAR_LIGHTS))
        least = losses[None].expand(len(losses), -1).masked_fill(~near, math.inf).amin(1)
        peaks = (losses <= least).nonzero()[:, 0]
        chosen = unit[peaks[losses[peaks].argsort(stable=True)[:_LIGHTS_REFINED]]]
        again = found[torch.zeros(len(chosen), dtype=torch.int64, device=chosen.device)]
        return replace(again, light=chosen)

    def _light_losses(self, target: Tensor, found: Viewing, lights: Tensor) -> Tensor:
        """Returns [L, N], how the colours of N viewings differ from the images under lights."""
        size = self.fine.raster_size(target)
        truth = _resized(target, size)
        sigma, gamma = self.fine.sigma[1], self.fine.gamma[1]
        with torch.no_grad():
            return torch.stack(
                [
                    viewing_losses(
                        self.scene.render(replace(found, light=light), size, sigma, gamma), truth
                    )["color"]
                    for light in lights
                ]
            )

    def _stage(
        self,
        stage: SoftStage,
        target: Tensor,
        start: Viewing,
        course: list[Viewing],
        interruption: Interruption | None,
        progress: bool | None,
        moved: Sequence[str] = tuple(_RATES),
    ) -> tuple[Viewing, Fit]:
        """Goes through a stage, in which the unknowns named `moved` move.

        Returns the viewings, and the fit, whose loss is theirs; of the fine stage the better of its
        start and its end.
        """
        size = stage.raster_size(target)
        truth = _resized(target, size)
        samples, weight = (_FINE_SAMPLES, _FINE_COLOR) if stage is self.fine else (1, _COARSE_COLOR)
        unknowns = {
            "azimuth": start.azimuth.detach().clone(),
            "elevation": start.elevation.detach().clone(),
            "log_distance": start.distance.detach().log(),
            "light": F.normalize(start.light.detach()),
        }
        viewing = functools.partial(_viewing, unknowns)

        def loss(step: int) -> dict[str, Tensor]:
            sigma, gamma = stage.at("sigma", step), stage.at("gamma", step)
            rendered = self.scene.render(viewing(), size, sigma, gamma, samples)
            return viewing_losses(rendered, truth, weight, stage is self.fine)

        def note(step: int) -> None:
            course.append(viewing(detached=True))

        with torch.no_grad():
            before = sum(loss(stage.steps).values())
        found = stage.optimise(
            {name: unknowns[name] for name in moved},
            loss,
            _RATES,
            compare=True,
            on_step=note,
            interruption=interruption,
            progress=progress,
        )
        if stage is not self.fine:
            return viewing(detached=True), found
        worse = before < found.best_loss
        found = replace(found, best_loss=torch.where(worse, before, found.best_loss))
        return _either(worse, start, viewing(detached=True)), found


def _either(first: Tensor, one: Viewing, other: Viewing) -> Viewing:
    """Returns of two viewings that of the first where a condition [N] holds, else of the second."""
    return Viewing(
        torch.where(first, one.azimuth, other.azimuth),
        torch.where(first, one.elevation, other.elevation),
        torch.where(first, one.distance, other.distance),
        torch.where(first[:, None], F.normalize(one.light), other.light),
    )


def _best_different(found: Viewing, losses: Tensor, keep: int) -> Tensor:
    """Returns the indices of the best viewings, at most `keep`, of which no two are the same."""
    eyes, least = F.normalize(found.eyes()), math.cos(math.radians(_SAME_VIEW))
    chosen: list[int] = []
    for index in losses.argsort(stable=True).tolist():
        if bool((eyes[chosen] @ eyes[index] < least).all()):
            chosen.append(index)
        if len(chosen) == keep:
            break
    return torch.tensor(chosen, device=losses.device)


def _viewing(unknowns: dict[str, Tensor], detached: bool = False) -> Viewing:
    values = {name: value.detach() if detached else value for name, value in unknowns.items()}
    light = values["light"]
    return Viewing(
        values["azimuth"].clone(),
        values["elevation"].clone(),
        values["log_distance"].exp(),
        F.normalize(light) if detached else light,
    )


def _around(light: Tensor) -> Tensor:
    """Returns lights [L, N, 3] from all around, the same for each of the N of `light`."""
    around = directions(_LIGHTS).to(light)
    return around[:, None].expand(-1, len(light), -1)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Makes images [N, 4, H, W] smaller; colours count as far as they are opaque."""
    if size == images.shape[2:]:
        return images
    premultiplied = torch.cat((images[:, :3] * images[:, 3:], images[:, 3:]), dim=1)
    small = F.interpolate(premultiplied, size, mode="area")
    return torch.cat((small[:, :3] / small[:, 3:].clamp(min=1e-6), small[:, 3:]), dim=1)


def _checked(images: Tensor, start: Viewing) -> Tensor:
    if images.dim() != 4 or images.shape[1] != 4 or len(images) != len(start):
        raise ValueError(f"images must be [{len(start)}, 4, H, W], got {list(images.shape)}")
    if not bool((images[:, 3] > 0.5).flatten(1).any(1).all()):
        raise ValueError("an image shows nothing: its alpha is 0 everywhere")
    return images
