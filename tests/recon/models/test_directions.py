"""The camera head: its grid of directions, its scores, its place in a model, and bad arguments."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.cameras import Cameras
from recon.models import DirectionHead, MeshDecoder, Prediction, Reconstructor, SoftRasEncoder
from recon.models.directions import direction_grid


def model(latent: int = 8) -> Reconstructor:
    encoder = SoftRasEncoder(4, channels=(4, 8, 8), hidden=(16,), latent=8, image_size=32)
    decoder = MeshDecoder(latent=8, hidden=(16,), subdivisions=1)
    head = DirectionHead(latent=latent, channels=(4, 8), features=8, hidden=(16,))
    return Reconstructor(encoder, decoder, camera_head=head)


def test_the_grid_is_where_cameras_of_these_angles_are() -> None:
    grid = direction_grid(4, (-20.0, 30.0))
    assert grid.shape == (8, 3)
    angles = [(90.0 * (k % 4), (-20.0, 30.0)[k // 4]) for k in range(8)]
    azimuths, elevations = (torch.tensor(values) for values in zip(*angles, strict=True))
    eyes = Cameras.orbit(azimuths, elevations, distance=2.0, fov=30.0).eye()
    torch.testing.assert_close(grid, eyes / 2.0, atol=1e-5, rtol=0)


def test_a_model_with_the_head_predicts_logits_of_its_directions() -> None:
    prediction = model()(torch.rand(2, 4, 32, 32))
    assert prediction.direction_logits.shape == (2, 144)
    assert prediction.directions.shape == (144, 3)
    assert prediction.colors is None


def test_checkpoints_do_not_hold_the_grid() -> None:
    names = [name for name in model().state_dict() if name.startswith("camera_head")]
    assert names
    assert "camera_head.directions" not in names


def test_a_head_of_another_latent_vector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"camera_head\.latent must equal encoder.latent"):
        model(latent=9)


def test_directions_depend_on_the_image_and_on_the_latent_vector() -> None:
    head = DirectionHead(latent=8, channels=(4, 8), features=8, hidden=(16,))
    latent, image = torch.rand(2, 8), torch.rand(2, 4, 48, 48)
    logits = head(latent, image)
    assert logits.shape == (2, 144)
    assert not torch.equal(logits, head(latent, image.flip(3)))
    assert not torch.equal(logits, head(latent.flip(0), image))


def test_colors_of_transparent_pixels_do_not_matter() -> None:
    head = DirectionHead(latent=8, channels=(4, 8), features=8, hidden=(16,))
    image = torch.rand(1, 4, 64, 64)
    image[:, 3, :, :40] = 0
    other = image.clone()
    other[:, :3, :, :40] = 1 - image[:, :3, :, :40]
    assert torch.equal(head(torch.ones(1, 8), image), head(torch.ones(1, 8), other))


def test_wrong_shapes_are_refused() -> None:
    head = DirectionHead(latent=8)
    with pytest.raises(ValueError, match=r"latent must be \[B, 8\], got \[2, 9\]"):
        head(torch.zeros(2, 9), torch.zeros(2, 4, 32, 32))
    with pytest.raises(ValueError, match=r"image must be \[2, 4, H, W\], got \[2, 3, 32, 32\]"):
        head(torch.zeros(2, 8), torch.zeros(2, 3, 32, 32))


def test_the_most_probable_directions_come_first() -> None:
    logits = torch.zeros(2, 144)
    logits[0, 7], logits[0, 3], logits[1, 20] = 4.0, 2.0, 1.0
    grid = DirectionHead().directions
    prediction = Prediction(torch.zeros(2, 3, 3), None, logits, grid)
    directions, log_probabilities = prediction.likely_directions(2)
    assert torch.equal(directions[0], grid[[7, 3]])
    assert torch.equal(directions[1, 0], grid[20])
    torch.testing.assert_close(log_probabilities[0, 0] - log_probabilities[0, 1], torch.tensor(2.0))
    everything = prediction.likely_directions(1000)[1]
    torch.testing.assert_close(everything.exp().sum(1), torch.ones(2))
    with pytest.raises(ValueError, match="need a model with a camera_head"):
        Prediction(torch.zeros(2, 3, 3)).likely_directions()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"azimuths": 0}, r"azimuths, .* must be >= 1 .*, got 512, 0, 128, \[16, 32, 64\]"),
        ({"channels": ()}, r"channels not empty, got 512, 24, 128, \[\] and \[256\]"),
        ({"hidden": (0,)}, r"must be >= 1 .* and \[0\]"),
        ({"elevations": ()}, r"elevations must be degrees in \[-90, 90\] and not empty, got \[\]"),
        ({"elevations": (91.0,)}, r"elevations must be degrees .* got \[91.0\]"),
    ],
)
def test_bad_grids_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DirectionHead(**arguments)  # type: ignore[arg-type]
