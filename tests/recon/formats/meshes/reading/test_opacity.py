"""What opacities mean: cut-outs, gloss, masks, cutoffs, and models that would vanish."""

from __future__ import annotations

import numpy as np
import pytest

from recon.formats.meshes.reading.opacity import (
    combine_opacity,
    ensure_visible,
    is_cutout,
    is_opacity,
)
from recon.formats.meshes.reading.textured_mesh import MeshWarning, TexturedMesh


def channel(**shares: float) -> np.ndarray:
    """An alpha channel of 100 x 100 texels, made of values and their shares: a0=0.5, a255=0.5."""
    values = [np.full(round(share * 10_000), int(name[1:])) for name, share in shares.items()]
    return np.concatenate(values).astype(np.uint8).reshape(100, 100)


@pytest.mark.parametrize(
    ("alpha", "cutout"),
    [
        (channel(a0=0.5, a255=0.5), True),
        (channel(a0=0.05, a255=0.9, a128=0.05), True),
        (channel(a3=0.3, a250=0.7), True),
        (channel(a255=1), False),
        (channel(a0=1), False),
        (channel(a0=0.001, a255=0.999), False),
        (channel(a0=0.3, a255=0.4, a128=0.3), False),
        (np.tile(np.linspace(0, 255, 100).astype(np.uint8), (100, 1)), False),
    ],
)
def test_cutouts_are_clear_or_solid(alpha: np.ndarray, cutout: bool) -> None:
    assert is_cutout(alpha) == cutout


def test_a_guess_that_alpha_is_no_opacity_is_named() -> None:
    gloss = channel(a30=0.5, a90=0.5)
    with pytest.warns(MeshWarning, match=r"alpha channel of t\.png is not taken for opacity"):
        assert not is_opacity(gloss, "guess", "t.png")
    assert is_opacity(gloss, "alpha", "t.png")
    assert not is_opacity(gloss, "none", "t.png")
    assert is_opacity(channel(a0=0.5, a255=0.5), "guess", "t.png")


def test_masks_and_cutoffs() -> None:
    image = np.ones((2, 2, 4), np.float32)
    image[0, :, 3] = 0.5
    mask = np.array([[1.0, 0.0]], np.float32)
    assert combine_opacity(image, mask, None, 1)[..., 3].tolist() == [[0.5, 0], [1, 0]]
    assert combine_opacity(image, None, 0.5, 1)[..., 3].tolist() == [[1, 1], [1, 1]]
    assert combine_opacity(image, None, 0.5, 0.9)[..., 3].tolist() == [[0, 0], [1, 1]]


def surface(alphas: list[float], cut: bool = False) -> TexturedMesh:
    count = len(alphas)
    return TexturedMesh(
        vertices=np.eye(3),
        faces=np.tile(np.arange(3), (count, 1)),
        face_rgba=np.array([[1, 0, 0, alpha] for alpha in alphas], np.float32),
        face_objects=np.zeros(count, np.int64),
        uvs=np.zeros((count, 3, 2), np.float32),
        face_texture=np.zeros(count, np.int64),
        textures=(np.full((1, 1, 4), 7, np.uint8),),
        cut=cut,
    )


@pytest.mark.parametrize(("suffix", "words"), [(".obj", "Tr / d"), (".x", "its opacity")])
def test_models_do_not_vanish(suffix: str, words: str) -> None:
    with pytest.warns(MeshWarning, match=f"every face would be invisible by {words}"):
        shown = ensure_visible(surface([0, 0.04]), suffix)
    assert shown.face_rgba.tolist() == [[1, 0, 0, 1]] * 2
    assert shown.textures[0].tolist() == [[[7, 7, 7, 255]]]


@pytest.mark.parametrize("given", [surface([0, 0.5]), surface([0, 0], cut=True), surface([])])
def test_what_is_meant_stays(given: TexturedMesh) -> None:
    assert ensure_visible(given, ".obj") is given
