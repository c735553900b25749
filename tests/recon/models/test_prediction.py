"""What a model predicts from a blank image, and models which do not keep the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.models import MeshDecoder, Prediction, Reconstructor, SoftRasEncoder, blank_prediction


class Returning(nn.Module):
    """Returns always the same, whatever it is shown; its mesh has 3 vertices and 1 face."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result
        self.unused = nn.Parameter(torch.zeros(()))
        self.faces, self.template_vertices = torch.tensor([[0, 1, 2]]), torch.zeros(3, 3)

    def forward(self, image: Tensor) -> Any:
        return self.result


def test_a_blank_image_is_predicted_and_the_model_stays_as_it_was() -> None:
    model = Reconstructor(
        SoftRasEncoder(channels=(4,), hidden=(4,), latent=3, image_size=8),
        MeshDecoder(latent=3, hidden=(4,), subdivisions=1),
    )
    model.decoder.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prediction = blank_prediction(model, (8, 8))
    assert prediction.vertices.shape == (1, 42, 3)
    assert not prediction.vertices.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (model.training, model.encoder.training, model.decoder.training) == (True, True, False)


def test_a_model_without_parameters_is_asked_too() -> None:
    model = Returning(Prediction(VERTICES))
    del model.unused
    assert blank_prediction(model, (8, 8)).vertices is VERTICES


@pytest.mark.parametrize(
    ("template", "faces", "message"),
    [
        (torch.zeros(0, 0), torch.tensor([[0, 1, 2]]), r"vertices must be .* got \(0, 0\)"),
        (torch.zeros(0, 3), torch.tensor([[0, 1, 2]]), "vertices must have at least one row"),
        (torch.zeros(3, 3), torch.zeros(0, 0, dtype=torch.int64), r"faces must be .* got \(0, 0\)"),
        (torch.zeros(3, 3), torch.tensor([[0, 1, 3]]), "faces must hold indices"),
    ],
)
def test_a_template_which_is_no_mesh_is_refused_in_one_line(
    template: Tensor, faces: Tensor, message: str
) -> None:
    model = Returning(Prediction(torch.zeros(1, len(template), 3)))
    model.template_vertices, model.faces = template, faces
    with pytest.raises(ValueError, match=f"Returning must have template_vertices.*{message}"):
        blank_prediction(model, (8, 8))


VERTICES = torch.zeros(1, 3, 3)


@pytest.mark.parametrize("colors", [None, VERTICES, torch.zeros(1, 1, 4, 3)])
def test_every_kind_of_colors_is_taken(colors: Tensor | None) -> None:
    assert blank_prediction(Returning(Prediction(VERTICES, colors)), (8, 8)).colors is colors


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (VERTICES, "must return a recon.models.Prediction, got Tensor"),
        (Prediction(torch.zeros(1, 4, 3)), r"vertices \[1, 3, 3\] as its template.*\[1, 4, 3\]"),
        (Prediction(VERTICES, torch.zeros(1, 4, 3)), r"must predict colors .*got \[1, 4, 3\]"),
        (Prediction(VERTICES, torch.zeros(1, 2, 4, 3)), r"got \[1, 2, 4, 3\]"),
    ],
)
def test_what_is_no_prediction_of_its_mesh_is_refused(result: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Returning {message}" if "got T" in message else message):
        blank_prediction(Returning(result), (8, 8))
