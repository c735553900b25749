"""Objects rendered anew look as the images that the file holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.rerendering import can_render, recorded_light, render_object
from recon.geometry.cameras import Cameras
from recon.preparation.prepare import as_images, prepare
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.viewpoints import StandardViews
from recon.preparation.sources.shapes import ShapesSource
from recon.rendering.lighting import Lighting

LIGHT = Lighting(0.5, 0.5, (0.4, 1.0, -0.6), two_sided=True)


@pytest.fixture(scope="module")
def chairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generated chairs with all their triangles."""
    path = tmp_path_factory.mktemp("triangles") / "chairs.h5"
    renderer = ObjectRenderer(
        viewpoints=StandardViews(), supersample=4, triangles=4096, lighting=LIGHT
    )
    source = ShapesSource(2, categories=["chair"], split="test")
    prepare(as_images(source, renderer), path, workers=1)
    return path


def test_they_look_as_the_images_of_the_file(chairs: Path) -> None:
    data = MultiViewDataset(chairs, "test")
    assert can_render(data)
    views = [1, 9, 17]
    light = recorded_light(data)
    assert light is not None
    assert light.config() == LIGHT.config()
    for index in range(len(data)):
        cameras = Cameras.from_rows(data.cameras(index, views))
        made = render_object(data, index, cameras, data.image_size, light).float()
        truth = data.images(index, views).float()
        # Corners are kept in half precision, which moves edges by a part of a pixel.
        assert (made[:, 3] - truth[:, 3]).abs().mean() < 0.5
        inside = (truth[:, 3] == 255) & (made[:, 3] == 255)
        difference = (made - truth)[:, :3].movedim(1, -1)[inside].abs()
        assert difference.mean() < 3
        unlit = render_object(data, index, cameras, data.image_size, None).float()
        dull = (unlit - truth)[:, :3].movedim(1, -1)[inside].abs()
        assert dull.mean() > 3 * difference.mean()


def test_other_sizes_show_the_same(chairs: Path) -> None:
    data = MultiViewDataset(chairs, "test")
    cameras = Cameras.from_rows(data.cameras(0, [3]))
    large = render_object(data, 0, cameras, (256, 256), None)
    small = render_object(data, 0, cameras, (64, 64), None)
    assert large.shape == (1, 4, 256, 256)
    means = torch.nn.functional.avg_pool2d(large[:, 3].float(), 4)
    assert (means - small[:, 3].float()).abs().max() < 1


def test_a_file_without_triangles_or_light_is_told(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    assert not can_render(data)
    assert recorded_light(data) is None
    with pytest.raises(ValueError, match="triangles"):
        render_object(data, 0, Cameras.from_rows(data.cameras(0, [0])), (64, 64), None)
