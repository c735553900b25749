"""Fits the viewpoint and the light of a known mesh to one shaded image."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.fit import Fit
from recon.fitting.stages import SoftProblem, SoftStage, StagedFit, Step, fit_stages
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh, viewpoint_losses
from recon.fitting.viewpoint.viewpoints import Viewpoints, directions

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


class ViewpointFitter:
    """Finds viewpoints and lights in a coarse stage and a fine one.

    Args:
        mesh: The mesh that the images show.
        coarse: The first stage, which renders softly; its gamma is in radii of the mesh.
        fine: The second stage, which renders sharply; its gamma is in radii of the mesh.
    """

    def __init__(
        self, mesh: ShadedMesh, coarse: SoftStage = COARSE, fine: SoftStage = FINE
    ) -> None:
        self.mesh, self.coarse, self.fine = mesh, coarse, fine

    def fit(
        self,
        images: Tensor,
        start: Viewpoints,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[Viewpoints]:
        """Finds N viewpoints at once, each from its image and its start alone.

        Args:
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            start: The N viewpoints to start from.
            interruption: An entered context, whose signal ends the fit.
            progress: Whether to draw a progress bar; None draws it on a terminal only.

        Returns:
            The viewpoints, whose lights have length 1; their trajectory begins with `start`.

        Raises:
            ValueError: Numbers or shapes of the arguments disagree, or an image shows no object.
            FloatingPointError: A loss is not finite.
        """
        _require_images(images, start)
        stages = [lambda state: self._coarse_problem(images, state), *self._fine_stages(images)]
        found = fit_stages(stages, start, interruption=interruption, progress=progress)
        return replace(found, trajectory=[start, *found.trajectory])

    def search(
        self,
        image: Tensor,
        starts: Viewpoints,
        keep: int = 6,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[Viewpoints]:
        """Finds the viewpoint of one image from many starts.

        All go through the coarse stage. The `keep` best of where they end, no two of them the same
        place, go through the fine one. At last other lights are tried from the best.

        Args:
            image: [4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            starts: The S viewpoints to start from.
            keep: The greatest number of viewpoints that are refined.
            interruption: An entered context, whose signal ends the fit.
            progress: Whether to draw a progress bar; None draws it on a terminal only.

        Returns:
            One viewpoint.

        Raises:
            ValueError: The image is not [4, H, W] or shows no object.
            FloatingPointError: A loss is not finite.
        """
        images = image.expand(len(starts), -1, -1, -1)
        _require_images(images, starts)
        watched: dict[str, Any] = {"interruption": interruption, "progress": progress}
        found = fit_stages([lambda state: self._coarse_problem(images, state)], starts, **watched)
        kept = _best_different(found.state, found.loss, max(1, keep))
        # The last state is the first one of the next stage.
        found = replace(found, trajectory=[starts, *found.trajectory[:-1]]).select(kept)
        if not found.interrupted:
            stages = self._fine_stages(images[kept])
            found = found.then(fit_stages(stages, found.state, **watched))
        else:
            found = replace(found, trajectory=[*found.trajectory, found.state])
        found = found.select(found.loss.argmin()[None])
        if not found.interrupted:
            found = self._with_other_light(images[:1], found, **watched)
        return replace(found, trajectory=[*found.trajectory, found.state])

    def _fine_stages(self, images: Tensor) -> list[Callable[[Viewpoints], _FineProblem]]:
        """Returns the fine stage twice, from the best light; the first time it moves alone."""

        def stage(moved: Sequence[str], state: Viewpoints) -> _FineProblem:
            return self._fine_problem(images, self._best_lights(images, state), moved)

        return [functools.partial(stage, moved) for moved in (("light",), tuple(_RATES))]

    def _coarse_problem(self, images: Tensor, start: Viewpoints) -> SoftProblem[Viewpoints]:
        unknowns = _Unknowns(start, tuple(_RATES))
        terms = self._terms(images, unknowns, fine=False)
        return SoftProblem(self.coarse, unknowns, terms, images)

    def _fine_problem(
        self, images: Tensor, start: Viewpoints, moved: Sequence[str] = tuple(_RATES)
    ) -> _FineProblem:
        unknowns = _Unknowns(start, moved)
        return _FineProblem(self.fine, unknowns, self._terms(images, unknowns, fine=True), images)

    def _terms(
        self, images: Tensor, unknowns: _Unknowns, fine: bool
    ) -> Callable[[Step], dict[str, Tensor]]:
        """Returns the losses of a stage as a function of how its step renders."""
        stage = self.fine if fine else self.coarse
        weight, samples = (_FINE_COLOR, _FINE_SAMPLES) if fine else (_COARSE_COLOR, 1)
        truth = _resized(images, stage.raster_size(images))

        def terms(step: Step) -> dict[str, Tensor]:
            viewpoints = unknowns.viewpoints()
            rendered = self.mesh.render(viewpoints, step.size, step.sigma, step.gamma, samples)
            return viewpoint_losses(rendered, truth, weight, exact=fine)

        return terms

    def _with_other_light(
        self, image: Tensor, found: StagedFit[Viewpoints], **watched: Any
    ) -> StagedFit[Viewpoints]:
        """Returns the fit of one viewpoint with a light on another side, if that is better."""
        lights = self._other_lights(image, found.state)
        images = image.expand(len(lights), -1, -1, -1)
        other = fit_stages(
            [lambda state: self._fine_problem(images, state)], lights, every=None, **watched
        )
        found = replace(found, fits=[*found.fits, *other.fits])
        least = other.loss.argmin()[None]
        if bool(other.loss[least] < found.loss):
            return replace(found, state=other.state[least], loss=other.loss[least])
        return found

    def _best_lights(self, images: Tensor, found: Viewpoints) -> Viewpoints:
        """Returns the viewpoints with the light from many around which suits their images best."""
        lights = torch.cat((found.light[None], _around(found.light)))
        best = self._light_losses(images, found, lights).argmin(0)
        return replace(found, light=lights[best, torch.arange(len(found), device=best.device)])

    def _other_lights(self, image: Tensor, found: Viewpoints) -> Viewpoints:
        """Returns one viewpoint with each light that is better than all lights near it."""
        lights = _around(found.light)
        losses = self._light_losses(image, found, lights)[:, 0]
        unit = lights[:, 0]
        near = (unit[:, None] * unit[None]).sum(-1) > math.cos(math.radians(_NEAR_LIGHTS))
        least = losses[None].expand(len(losses), -1).masked_fill(~near, math.inf).amin(1)
        peaks = (losses <= least).nonzero()[:, 0]
        chosen = unit[peaks[losses[peaks].argsort(stable=True)[:_LIGHTS_REFINED]]]
        again = found[torch.zeros(len(chosen), dtype=torch.int64, device=chosen.device)]
        return replace(again, light=chosen)

    def _light_losses(self, images: Tensor, found: Viewpoints, lights: Tensor) -> Tensor:
        """Returns [L, N], how the colours of N viewpoints differ from the images under lights."""
        size = self.fine.raster_size(images)
        truth = _resized(images, size)
        sigma, gamma = self.fine.sigma[1], self.fine.gamma[1]
        with torch.no_grad():
            return torch.stack(
                [
                    viewpoint_losses(
                        self.mesh.render(replace(found, light=light), size, sigma, gamma), truth
                    )["color"]
                    for light in lights
                ]
            )


class _Unknowns:
    """The parameters of a stage, of which those named `moved` move."""

    def __init__(self, start: Viewpoints, moved: Sequence[str]) -> None:
        self.values = {
            "azimuth": start.azimuth.detach().clone(),
            "elevation": start.elevation.detach().clone(),
            "log_distance": start.distance.detach().log(),
            "light": F.normalize(start.light.detach()),
        }
        self.start = start
        self.parameters = {name: self.values[name] for name in moved}
        self.rates = {name: _RATES[name] for name in moved}

    def viewpoints(self) -> Viewpoints:
        return Viewpoints(
            self.values["azimuth"].clone(),
            self.values["elevation"].clone(),
            self.values["log_distance"].exp(),
            self.values["light"],
        )

    def detached(self) -> Viewpoints:
        now = self.viewpoints()
        return Viewpoints(
            now.azimuth.detach(),
            now.elevation.detach(),
            now.distance.detach(),
            F.normalize(now.light.detach()),
        )


class _FineProblem(SoftProblem[Viewpoints]):
    """A stage which does not end worse than it began, by the loss of its last softness."""

    def __init__(
        self,
        stage: SoftStage,
        unknowns: _Unknowns,
        terms: Callable[[Step], Mapping[str, Tensor]],
        images: Tensor,
    ) -> None:
        super().__init__(stage, unknowns, terms, images)
        self.start = unknowns.start
        with torch.no_grad():
            self.loss_before = sum(self.loss(stage.steps).values(), start=torch.zeros(()))

    def outcome(self, found: Fit) -> tuple[Viewpoints, Tensor]:
        """Returns the better one of the start and the end, for each viewpoint."""
        worse = self.loss_before < found.best_loss
        loss = torch.where(worse, self.loss_before, found.best_loss)
        return _either(worse, self.start, self.state()), loss


def _either(first: Tensor, one: Viewpoints, other: Viewpoints) -> Viewpoints:
    """Returns the viewpoints of `one` where a condition [N] holds, elsewhere of `other`."""
    return Viewpoints(
        torch.where(first, one.azimuth, other.azimuth),
        torch.where(first, one.elevation, other.elevation),
        torch.where(first, one.distance, other.distance),
        torch.where(first[:, None], F.normalize(one.light), other.light),
    )


def _best_different(found: Viewpoints, losses: Tensor, keep: int) -> Tensor:
    """Returns the indices of the best viewpoints, at most `keep`, of which no two are the same."""
    eyes, least = F.normalize(found.eyes()), math.cos(math.radians(_SAME_VIEW))
    chosen: list[int] = []
    for index in losses.argsort(stable=True).tolist():
        if bool((eyes[chosen] @ eyes[index] < least).all()):
            chosen.append(index)
        if len(chosen) == keep:
            break
    return torch.tensor(chosen, device=losses.device)


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


def _require_images(images: Tensor, start: Viewpoints) -> None:
    if images.dim() != 4 or images.shape[1] != 4 or len(images) != len(start):
        raise ValueError(f"images must be [{len(start)}, 4, H, W], got {list(images.shape)}")
    if not bool((images[:, 3] > 0.5).flatten(1).any(1).all()):
        raise ValueError("an image shows nothing: its alpha is 0 everywhere")
