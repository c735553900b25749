"""Terms: what they are built of, what they declare, and configurations that are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.geometry.meshes import icosphere
from recon.losses.color import ColorSmoothnessLoss
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.losses.terms import Term, needs_of, read_terms

BALL = icosphere(1)
MESH = {"faces": BALL.faces, "num_vertices": 42, "texels": 2}
IOU = "recon.losses.silhouette.silhouette_iou_loss"


def squared(alpha: Tensor, mask: Tensor, *, factor: float, power: float = 2.0) -> Tensor:
    return factor * (alpha - mask).abs().pow(power).mean()


class Centred:
    """A loss that is no module and needs nothing of the mesh."""

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def __call__(self, vertices: Tensor) -> Tensor:
        return vertices.mean(1).abs().pow(self.power).mean()


@pytest.mark.parametrize(
    ("term", "needs"),
    [
        (Term(silhouette_iou_loss), ("alpha", "mask")),
        (Term(squared, options={"factor": 2.0}), ("alpha", "mask")),
        (Term(LaplacianLoss), ("vertices",)),
        (Term(FlattenLoss), ("vertices",)),
        (Term(ColorSmoothnessLoss), ("colors",)),
        (Term(Centred, options={"power": 1.0}), ("vertices",)),
    ],
)
def test_terms_declare_what_they_need_by_their_parameters(
    term: Term, needs: tuple[str, ...]
) -> None:
    assert needs_of("mine", term.build(MESH)) == needs


def test_modules_are_built_of_what_they_take_of_the_mesh() -> None:
    smooth = Term(ColorSmoothnessLoss).build(MESH)
    assert float(smooth(torch.full((1, 80, 4, 3), 0.5))) == pytest.approx(0, abs=1e-9)
    assert Term(Centred, options={"power": 1.0}).build(MESH).power == 1.0


def test_options_of_a_function_are_bound() -> None:
    loss = Term(squared, options={"factor": 2.0, "power": 1.0}).build(MESH)
    assert float(loss(alpha=torch.ones(1, 2, 2), mask=torch.zeros(1, 2, 2))) == 2.0


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda depth: depth, "its parameters without a default are depth"),
        (lambda alpha=1: alpha, "its parameters without a default are none"),
        (nn.Identity(), "its parameters without a default are input"),
    ],
)
def test_needs_that_nothing_meets_are_refused(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"loss\.terms\.mine may need alpha, rgba, .*{message}"):
        needs_of("mine", loss)


def test_weights_come_from_the_term_or_from_the_weights() -> None:
    given = {
        "a": {"_target_": IOU, "weight": 2, "reduction": "mean"},
        "b": {"_target_": "torch.nn.Identity"},
        "c": Term(squared, 3.0),
    }
    terms = read_terms(given, {"c": 0.5})
    assert [terms[name].weight for name in "abc"] == [2, 1.0, 0.5]
    assert (terms["a"].loss, terms["a"].options) == (silhouette_iou_loss, {"reduction": "mean"})
    assert terms["b"].loss is nn.Identity
    assert read_terms(given, {"a": 0, "b": 0})["a"].weight == 0


@pytest.mark.parametrize(
    "weights",
    [{"a": -1.0}, {"a": float("nan")}, {"a": float("inf")}, {"a": "x"}, {"a": True}, {"b": 1.0}],
)
def test_weights_that_mean_nothing_are_refused(weights: dict[str, Any]) -> None:
    message = r"loss\.weights takes a; each must be a finite number >= 0 and one > 0, got \{'a'"
    with pytest.raises(ValueError, match=message):
        read_terms({"a": {"_target_": IOU}}, weights)


def test_no_positive_weight_is_refused() -> None:
    for terms in ({}, {"a": Term(squared, 0.0)}):
        with pytest.raises(ValueError, match="and one > 0"):
            read_terms(terms)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"weight": 1.0}, "loss.terms.a has no _target_"),
        ({"_target_": "nowhere.loss"}, "loss.terms.a._target_=nowhere.loss: No module named"),
        ({"_target_": "math.nothing"}, "loss.terms.a._target_=math.nothing: "),
        ({"_target_": "math.pi"}, "loss.terms.a._target_=math.pi must be a function or a class"),
    ],
)
def test_targets_that_are_no_losses_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_terms({"a": config})
