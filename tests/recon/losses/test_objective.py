"""The objective: what is crossed with what, which terms it makes and where gradients go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.losses.camera import camera_direction_loss
from recon.losses.color import (
    ColorSmoothnessLoss,
    color_l1_loss,
    photograph_l1_loss,
    shading_l1_loss,
)
from recon.losses.objective import Objective, Renderings, recorded_lighting
from recon.losses.perceptual import PerceptualLoss
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.losses.terms import Term
from recon.models import Prediction
from recon.models.directions import direction_grid
from recon.rendering.compositing import over_color
from recon.rendering.lighting import DirectionalLight, Lighting
from recon.rendering.renderer import SoftRenderer

BALL = icosphere(1)
LIGHT = Lighting(0.3, 0.7, (0.4, 1.0, -0.6), two_sided=True)
DATA_CONFIGS = [{"source": {}, "rendering": {"lighting": LIGHT.config()}}]
TERMS = {
    "silhouette": Term(silhouette_iou_loss),
    "color": Term(color_l1_loss),
    "perceptual": Term(PerceptualLoss, options={"layers": (1,)}),
    "shading": Term(shading_l1_loss),
    "laplacian": Term(LaplacianLoss),
    "flatten": Term(FlattenLoss),
    "color_smoothness": Term(ColorSmoothnessLoss),
}
SIZE = 12


def objective(texels: int = 0, weights: dict[str, float] | None = None, **options: Any) -> Any:
    """An objective of all terms, or of those that weights are given for."""
    weights = weights or dict.fromkeys(TERMS, 1.0)
    terms = {name: term for name, term in TERMS.items() if name in weights}
    more = {"data_configs": DATA_CONFIGS} | options
    return Objective(BALL.faces, 42, terms, weights, texels, **more)


def renderer(texels: int = 0, **options: Any) -> SoftRenderer:
    texture = "surface" if texels else "vertex"
    return SoftRenderer(SIZE, sigma=1e-3, gamma=1e-3, texture=texture, **options)


def prediction(texels: int = 0, objects: int = 2, views: int = 2) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    count = objects * views
    noise = 0.05 * torch.randn(count, 42, 3, generator=generator)
    shape = (count, 80, texels**2, 3) if texels else (count, 42, 3)
    colors = torch.rand(*shape, generator=generator)
    return Prediction((0.4 * BALL.vertices + noise).requires_grad_(), colors.requires_grad_())


def batch(objects: int = 2, views: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows = shapenet_cameras(range(objects * views)).rows().unflatten(0, (objects, views))
    return {
        "images": torch.rand(objects, views, 4, SIZE, SIZE, generator=generator),
        "shading": torch.rand(objects, views, SIZE, SIZE, generator=generator),
        "cameras": rows,
    }


def compute(
    judge: Objective, renderer: SoftRenderer, guess: Prediction, given: dict[str, Tensor]
) -> dict[str, Tensor]:
    return judge(judge.render(renderer, guess, given["cameras"]), guess, given)


@pytest.mark.parametrize("texels", [0, 2])
def test_every_term_is_a_scalar_with_gradients_to_what_it_is_about(texels: int) -> None:
    guess = prediction(texels)
    terms = compute(objective(texels), renderer(texels), guess, batch())
    assert tuple(sorted(terms)) == tuple(sorted(TERMS))
    inputs = (guess.vertices, guess.colors)
    of_both, of_shape = ("color", "perceptual"), ("silhouette", "shading", "laplacian", "flatten")
    for name, term in terms.items():
        assert term.shape == ()
        assert bool(torch.isfinite(term))
        assert term.item() > 0
        vertices, colors = torch.autograd.grad(term, inputs, retain_graph=True, allow_unused=True)
        moved = [g is not None and bool(g.abs().max() > 0) for g in (vertices, colors)]
        assert moved == [name in (*of_both, *of_shape), name in (*of_both, "color_smoothness")]


def test_mesh_i_is_drawn_in_camera_j_and_compared_with_view_j() -> None:
    guess, given = prediction(), batch()
    soft, judge = renderer(), objective(weights={"color": 1.0})
    found = judge.render(soft, guess, given["cameras"])
    assert found.alpha.shape == (2, 2, 2, SIZE, SIZE)
    single = []
    for n in range(2):
        for i in range(2):
            for j in range(2):
                mesh, colors = guess.vertices[2 * n + i], guess.colors[2 * n + i]
                camera = Cameras.from_rows(given["cameras"][n, j][None])
                rgba = soft(mesh[None], BALL.faces, colors[BALL.faces][None], camera)
                torch.testing.assert_close(found.rgba[n, i, j], rgba[0])
                single.append(color_l1_loss(rgba, given["images"][n, j][None]))
    terms = judge(found, guess, given)
    torch.testing.assert_close(terms["color"], torch.stack(single).mean())


def test_shading_is_that_of_a_lit_white_mesh() -> None:
    guess, given = prediction(), batch()
    found = objective(weights={"shading": 1.0}).render(renderer(), guess, given["cameras"])
    camera = Cameras.from_rows(given["cameras"][1, 0][None])
    white = torch.ones(1, 80, 3)
    lit = renderer(lighting=LIGHT)(guess.vertices[3:], BALL.faces, white, camera)
    torch.testing.assert_close(found.shading[1, 1, 0], lit[0])
    assert found.rgba is None


@pytest.mark.parametrize(
    "weights", [{"silhouette": 1.0}, {"color": 1.0, "silhouette": 1.0}, {"shading": 1.0}]
)
def test_alpha_is_the_silhouette_whichever_rendering_it_is_taken_from(
    weights: dict[str, float],
) -> None:
    guess, given, soft = prediction(), batch(), renderer()
    found = objective(weights=weights).render(soft, guess, given["cameras"])
    camera = Cameras.from_rows(given["cameras"][0, 1][None])
    alpha = soft.silhouette(guess.vertices[:1], BALL.faces, camera)[0]
    torch.testing.assert_close(found.alpha[0, 0, 1], alpha)


def test_colors_may_leave_the_shape_alone() -> None:
    guess, given = prediction(), batch()
    judge = objective(weights={"color": 1.0, "silhouette": 1.0}, shape_from_color=False)
    terms = compute(judge, renderer(), guess, given)
    (moved,) = torch.autograd.grad(
        terms["color"], guess.vertices, retain_graph=True, allow_unused=True
    )
    assert moved is None
    (pulled,) = torch.autograd.grad(terms["silhouette"], guess.vertices)
    assert float(pulled.abs().max()) > 0


def test_terms_of_no_weight_cost_nothing() -> None:
    weights = dict.fromkeys(TERMS, 0.0) | {"silhouette": 1.0, "laplacian": 0.5}
    judge = objective(weights=weights, data_configs=())
    plain = Prediction(prediction().vertices)
    given = {name: batch()[name] for name in ("images", "cameras")}
    terms = compute(judge, renderer(), plain, given)
    assert list(terms) == ["silhouette", "laplacian"]
    expected = terms["silhouette"] + 0.5 * terms["laplacian"]
    torch.testing.assert_close(judge.total(terms), expected)
    assert judge.maps == ()
    assert objective().maps == ("shading",)


def test_sigma_and_gamma_of_a_step_are_used() -> None:
    guess, given, judge = prediction(), batch(), objective(weights={"color": 1.0})
    soft = renderer()
    plain = judge.render(soft, guess, given["cameras"])
    for change in ({"sigma": 1e-2}, {"gamma": 1e-1}):
        other = judge.render(soft, guess, given["cameras"], **change)
        assert (other.rgba - plain.rgba).abs().max().item() > 1e-3


def test_photographs_are_compared_over_the_background_that_is_rendered() -> None:
    background = (0.5, 0.25, 1.0)
    judge = Objective(
        BALL.faces, 42, {"photograph": Term(photograph_l1_loss)}, background=background
    )
    soft = renderer(color="over", background=background)
    guess, given = prediction(), batch()
    renderings = judge.render(soft, guess, given["cameras"])
    rgba = renderings.rgba.flatten(0, 2)
    images = given["images"][:, None].expand(-1, 2, -1, -1, -1, -1).flatten(0, 2)
    expected = (rgba[:, :3] - over_color(images, background)).abs().mean()
    torch.testing.assert_close(judge(renderings, guess, given)["photograph"], expected)


def test_terms_over_black_refuse_another_background() -> None:
    for name in ("color", "perceptual", "shading"):
        with pytest.raises(ValueError, match=r"need the background \[0, 0, 0\]"):
            objective(weights={name: 1.0}, background=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="background must be three numbers"):
        objective(background=(0.5, 0.5))


def test_what_does_not_fit_is_refused() -> None:
    given = batch()
    with pytest.raises(ValueError, match=r"renderer\.texture must be 'surface' for texels=2"):
        objective(2).render(renderer(), prediction(2), given["cameras"])
    for wrong, message in (
        (renderer(lighting=LIGHT), "must have no lighting"),
        (renderer(background=(1.0, 1.0, 1.0)), r"renderer\.background must be loss\.background"),
    ):
        with pytest.raises(ValueError, match=message):
            objective().render(wrong, prediction(), given["cameras"])
    with pytest.raises(ValueError, match="need a model with colours"):
        objective().render(renderer(), Prediction(prediction().vertices), given["cameras"])


def test_the_light_of_prepared_data_is_found() -> None:
    assert recorded_lighting(DATA_CONFIGS * 2).config() == LIGHT.config()
    for none in ([], [{}], [*DATA_CONFIGS, {"rendering": {"lighting": None}}]):
        with pytest.raises(ValueError, match="these tell of none"):
            recorded_lighting(none)
    with pytest.raises(ValueError, match="different lights"):
        recorded_lighting([*DATA_CONFIGS, {"rendering": {"lighting": Lighting().config()}}])
    red = Lighting(further=[DirectionalLight(color=(1, 0, 0))])
    with pytest.raises(ValueError, match="needs white light"):
        recorded_lighting([{"rendering": {"lighting": red.config()}}])
    with pytest.raises(ValueError, match="term shading needs the light"):
        objective(data_configs=())
    assert objective(weights={"color": 1.0}, data_configs=()).lighting is None


def test_a_silhouette_is_compared_with_the_truth_of_its_camera() -> None:
    masks = (torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    given = {"images": masks[:, :, None].expand(-1, -1, 4, -1, -1)}
    judge, guess = objective(weights={"silhouette": 1.0}), prediction(objects=3)
    by_camera = Renderings(
        {"alpha": masks[:, None].expand(-1, 2, -1, -1, -1).flatten(0, 2)}, (3, 2, 2)
    )
    by_mesh = Renderings({"alpha": masks.repeat_interleave(2, 1).flatten(0, 1)}, (3, 2, 2))
    assert float(judge(by_camera, guess, given)["silhouette"]) == pytest.approx(0.0, abs=1e-6)
    assert float(judge(by_mesh, guess, given)["silhouette"]) > 0.2


def reddish(colors: Tensor, vertices: Tensor, strength: float = 1.0) -> Tensor:
    """A loss of one's own, with an option."""
    return strength * (1 - colors[..., 0]).mean() + 0 * vertices.sum()


def test_a_term_of_ones_own_gets_what_it_names_and_is_summed() -> None:
    guess, given = prediction(), batch()
    terms = {"red": Term(reddish, 0.5, {"strength": 3.0}), "laplacian": TERMS["laplacian"]}
    judge = Objective(BALL.faces, 42, terms)
    found = judge.render(renderer(), guess, given["cameras"])
    assert found.rgba is None  # no term needs a rendering of the colours
    values = judge(found, guess, given)
    assert torch.equal(values["red"], reddish(guess.colors, guess.vertices, 3.0))
    assert torch.equal(judge.total(values), 0.5 * values["red"] + values["laplacian"])
    with pytest.raises(ValueError, match=r"loss\.terms\.red needs colors, which the model"):
        judge(found, Prediction(guess.vertices), given)


def test_a_configured_objective_is_the_same() -> None:
    guess, given = prediction(), batch()
    configured = {
        "silhouette": {"_target_": "recon.losses.silhouette.silhouette_iou_loss", "weight": 2.0},
        "laplacian": {"_target_": "recon.losses.smoothness.LaplacianLoss"},
        "perceptual": {"_target_": "recon.losses.perceptual.PerceptualLoss", "layers": [1]},
    }
    weights = {"laplacian": 0.5, "perceptual": 0.0}
    judge = Objective(BALL.faces, 42, configured, weights)
    assert judge.weights == {"silhouette": 2.0, "laplacian": 0.5, "perceptual": 0.0}
    names = ("silhouette", "laplacian")
    other = Objective(BALL.faces, 42, {name: TERMS[name] for name in names})
    found = judge.render(renderer(), guess, given["cameras"])
    assert judge(found, guess, given) == other(found, guess, given)


def test_the_total_is_the_weighted_sum_of_the_losses() -> None:
    guess, given = prediction(), batch()
    weighted = objective(weights={"silhouette": 2.0, "laplacian": 5e-3, "flatten": 5e-4})
    found = weighted.render(renderer(), guess, given["cameras"])
    terms = weighted(found, guess, given)
    masks = given["images"][:, :, 3]
    losses = [
        silhouette_iou_loss(found.alpha[:, i, j], masks[:, j]) for i in range(2) for j in range(2)
    ]
    assert float(terms["silhouette"].detach()) == pytest.approx(
        float(sum(losses).detach()) / 4, rel=1e-6
    )
    laplacian = LaplacianLoss(BALL.faces, 42)(guess.vertices)
    flatten = FlattenLoss(BALL.faces)(guess.vertices)
    expected = 2 * sum(losses) / 4 + 5e-3 * laplacian + 5e-4 * flatten
    assert float(weighted.total(terms).detach()) == pytest.approx(float(expected.detach()))


def test_fewer_meshes_than_views_are_each_rendered_in_all_of_them() -> None:
    made = objective(weights={"silhouette": 1.0, "color": 1.0})
    whole, data = prediction(views=3), batch(views=3)
    first = Prediction(*(x.unflatten(0, (2, 3))[:, 0] for x in (whole.vertices, whole.colors)))
    all_meshes = made.render(renderer(), whole, data["cameras"])
    renderings = made.render(renderer(), first, data["cameras"])
    assert renderings.alpha.shape == (2, 1, 3, SIZE, SIZE)
    assert torch.equal(renderings.alpha, all_meshes.alpha[:, :1])
    assert torch.equal(renderings.rgba, all_meshes.rgba[:, :1])
    terms = made(renderings, first, data)
    expected = silhouette_iou_loss(
        renderings.alpha.flatten(0, 2), data["images"][:, :, 3].flatten(0, 1)
    )
    torch.testing.assert_close(terms["silhouette"], expected)


def test_meshes_that_belong_to_no_object_are_refused() -> None:
    made = objective(weights={"silhouette": 1.0})
    three = Prediction(prediction().vertices[:3])
    with pytest.raises(ValueError, match="for each of 2 objects, got 3"):
        made.render(renderer(), three, batch()["cameras"])


def test_directions_are_those_of_the_views_that_the_network_saw() -> None:
    given = batch(objects=2, views=3)
    seen = prediction(objects=2, views=2)
    grid = direction_grid(24, (30.0,))
    # View k of the standard ones has azimuth -15 k degrees; the third view of each is not seen.
    logits = torch.zeros(4, 24)
    for image, view in enumerate((0, 1, 3, 4)):
        logits[image, -view % 24] = 50.0
    guess = replace(seen, direction_logits=logits.requires_grad_(), directions=grid)
    terms = {"camera": Term(camera_direction_loss), "silhouette": Term(silhouette_iou_loss, 0.5)}
    judge = Objective(BALL.faces, 42, terms)
    values = compute(judge, renderer(), guess, given)
    assert values["camera"].item() < 1e-6
    other = compute(judge, renderer(), replace(guess, direction_logits=logits.roll(1, 0)), given)
    assert other["camera"].item() > 10
    other["camera"].backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) > 0


def test_directions_without_a_camera_head_or_cameras_are_refused() -> None:
    judge = Objective(BALL.faces, 42, {"camera": Term(camera_direction_loss)})
    given, guess = batch(), prediction()
    with pytest.raises(ValueError, match=r"loss\.terms\.camera needs direction_logits"):
        compute(judge, renderer(), guess, given)
    directed = replace(
        guess, direction_logits=torch.zeros(4, 24), directions=direction_grid(24, (30.0,))
    )
    renderings = judge.render(renderer(), directed, given["cameras"])
    with pytest.raises(ValueError, match=r"loss\.terms\.camera needs true_directions"):
        judge(renderings, directed, {"images": given["images"]})
