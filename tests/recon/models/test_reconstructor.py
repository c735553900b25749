"""The reconstruction network: meshes out of images, with any template and any colour head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.geometry.meshes import Mesh
from recon.models import (
    EfficientNetLite0,
    MeshDecoder,
    PaletteHead,
    Reconstructor,
    SoftRasEncoder,
    VertexColorHead,
)

HEADS = {
    "palette": partial(PaletteHead, latent=5, palette=3, width=4, modes=5, hidden=(6,)),
    "vertex": partial(VertexColorHead, latent=5, hidden=(6,)),
}


def small(
    color_head: Callable[..., nn.Module] | None = None,
    decoder: nn.Module | None = None,
    **options: Any,
) -> Reconstructor:
    torch.manual_seed(0)
    encoder = SoftRasEncoder(channels=(4,), hidden=(6,), latent=5, image_size=8)
    return Reconstructor(encoder, decoder or MeshDecoder(5, (6,), 1), color_head, **options)


class MovedTemplate(nn.Module):
    """Decodes a mesh at its true scale, moved as a whole."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__()
        self.latent = 5
        self.register_buffer("faces", mesh.faces)
        self.register_buffer("template_vertices", mesh.vertices)
        self.linear = nn.Linear(5, 3)

    def forward(self, latent: Tensor) -> Tensor:
        return self.template_vertices + 0.01 * self.linear(latent)[:, None]


def square() -> Mesh:
    vertices = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.3, 0.4, 0], [0, 0.4, 0]])
    return Mesh(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def test_images_become_meshes_inside_the_cube() -> None:
    model = small()
    prediction = model(torch.rand(3, 4, 8, 8))
    assert prediction.vertices.shape == (3, 42, 3)
    assert (prediction.vertices.abs() < 0.5).all()
    assert prediction.colors is None
    assert model.faces.shape == (80, 3)
    torch.testing.assert_close(model.template_vertices.norm(dim=1), torch.full((42,), 0.25))


def test_the_template_is_what_the_decoder_says() -> None:
    model = small(decoder=MovedTemplate(square()))
    assert torch.equal(model.template_vertices, square().vertices)
    assert torch.equal(model.faces, square().faces)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("texels", [0, 2])
@pytest.mark.parametrize("template", [None, square()], ids=["sphere", "square"])
def test_a_color_head_colors_the_mesh_of_the_decoder(
    kind: str, texels: int, template: Mesh | None
) -> None:
    decoder = None if template is None else MovedTemplate(template)
    model = small(partial(HEADS[kind], texels=texels), decoder).eval()
    image = torch.rand(2, 4, 8, 8)
    colors = model(image).colors
    points = (len(model.faces), 4) if texels else (len(model.template_vertices),)
    assert colors.shape == (2, *points, 3)
    colors.sum().backward()
    assert float(model.encoder.linears[0].weight.grad.abs().max()) > 0


def test_a_head_adds_its_parameters_alone() -> None:
    plain, colored = small().eval(), small(HEADS["vertex"]).eval()
    image = torch.rand(2, 4, 8, 8)
    assert torch.equal(plain(image).vertices, colored(image).vertices)
    of_head = {name for name in colored.state_dict() if name.startswith("color_head.")}
    assert set(plain.state_dict()) == set(colored.state_dict()) - of_head


def test_it_learns_to_move_towards_a_target() -> None:
    model = small()
    image = torch.rand(4, 4, 8, 8)
    target = model.template_vertices * torch.tensor([1.5, 0.5, 1.0]) + torch.tensor([0.05, 0, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        error = (model(image).vertices - target).square().sum()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.1 * errors[0]


def test_weights_round_trip_and_another_template_is_refused() -> None:
    model, again = small(), small()
    again.load_state_dict(model.state_dict())
    image = torch.rand(1, 4, 8, 8)
    assert torch.equal(again.eval()(image).vertices, model.eval()(image).vertices)
    larger = Reconstructor(model.encoder, MeshDecoder(latent=5, hidden=(6,), subdivisions=2))
    with pytest.raises(RuntimeError, match="size mismatch"):
        larger.load_state_dict(model.state_dict())


def with_backbone(features: int) -> Reconstructor:
    encoder = SoftRasEncoder(channels=(4,), hidden=(6,), latent=5, image_size=8, features=features)
    backbone = EfficientNetLite0(side=32, blocks=1)
    return Reconstructor(encoder, MeshDecoder(5, (6,), 1), backbone=backbone)


def test_the_encoder_sees_the_features_of_a_backbone() -> None:
    torch.manual_seed(0)
    model, image = with_backbone(16 * 16 * 16), torch.rand(2, 4, 8, 8)
    model(image).vertices.square().sum().backward()
    assert float(model.backbone.stem.weight.grad.abs().max()) > 0
    assert float(model.encoder.joins[0].weight.grad.abs().max()) > 0


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size of the backbone, 4096, got 0"):
        with_backbone(0)
    encoder = SoftRasEncoder(channels=(4,), hidden=(6,), latent=5, image_size=8, features=7)
    with pytest.raises(ValueError, match=r"size of the backbone, 0, got 7"):
        Reconstructor(encoder, MeshDecoder(5, (6,), 1))
    with pytest.raises(ValueError, match=r"decoder.latent must equal encoder.latent \(5\), got 6"):
        small(decoder=MeshDecoder(6, (6,), 1))
    with pytest.raises(ValueError, match=r"color_head.latent must equal encoder.latent .*, got 6"):
        small(partial(VertexColorHead, latent=6, hidden=(6,)))
    with pytest.raises(ValueError, match=r"_partial_: true\. Got a VertexColorHead"):
        small(VertexColorHead(42, 80, 5, hidden=(6,)))


@pytest.mark.parametrize("head", HEADS)
def test_a_model_with_a_background_sees_photographs_and_no_masks(head: str) -> None:
    model = small(HEADS[head], background=(0.5, 0.25, 0.0)).eval()
    image = torch.rand(2, 4, 8, 8)
    image[:, 3, :4] = 0
    hidden = image.clone()
    hidden[:, :3, :4] = 0.9  # colours that no photograph shows
    opaque = image.clone()
    opaque[:, :3] = image[:, :3] * image[:, 3:] + (1 - image[:, 3:]) * model_background()
    opaque[:, 3] = 1
    expected = model(image)
    for same in (hidden, opaque):
        found = model(same)
        torch.testing.assert_close(found.vertices, expected.vertices)
        torch.testing.assert_close(found.colors, expected.colors)
    assert not torch.equal(small(HEADS[head]).eval()(image).vertices, expected.vertices)


def model_background() -> Tensor:
    return torch.tensor([0.5, 0.25, 0.0])[:, None, None]


def test_a_background_that_is_no_color_is_refused() -> None:
    with pytest.raises(ValueError, match="background must be three numbers"):
        small(background=(0.5, 0.5))
