from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.visualization.turntable import draw_turntable, save_turntable, turntable_cameras

BALL = Mesh(icosphere(1).vertices * 0.4, icosphere(1).faces)


def frames(count: int = 12, size: int = 32) -> np.ndarray:
    colors = (BALL.vertices / 0.8 + 0.5).clamp(0, 1)
    return draw_turntable(BALL, colors, size, count)


def test_a_turn_comes_back_to_its_start() -> None:
    shown = frames().astype(int)
    assert shown.shape == (12, 32, 32, 3)
    steps = np.abs(shown - np.roll(shown, 1, axis=0)).mean(axis=(1, 2, 3))
    assert steps.min() > 0
    assert steps.max() < 2 * steps.min()  # the step over the end is one like the others
    assert np.abs(shown[0] - shown[6]).mean() > 2 * steps.max()


def test_cameras_are_those_of_the_data_at_their_elevation() -> None:
    ours = turntable_cameras(24, elevation=30.0, first=0.0)
    torch.testing.assert_close(ours.rows(), shapenet_cameras(range(24)).rows())
    with pytest.raises(ValueError, match="count must be >= 1"):
        turntable_cameras(0)


def test_other_viewpoints_may_be_given() -> None:
    shown = draw_turntable(BALL, image_size=16, cameras=shapenet_cameras([1, 2, 3]))
    assert shown.shape == (3, 16, 16, 3)


def test_a_gif_repeats_and_has_all_frames(tmp_path: Path) -> None:
    path, shown = tmp_path / "turn.gif", frames()
    save_turntable(path, shown, seconds=3.0)
    read = iio.imread(path)
    assert read.shape == shown.shape
    assert np.abs(read.astype(int) - shown).mean() < 4  # 256 colours each
    facts = iio.immeta(path)
    assert facts["duration"] == 250
    assert facts["loop"] == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["turn.gif"]


def test_an_mp4_has_all_frames(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    path, shown = tmp_path / "turn.mp4", frames(size=64)
    save_turntable(path, shown, seconds=1.0)
    read = iio.imread(path, plugin="FFMPEG")
    assert read.shape == shown.shape
    assert np.abs(read.astype(int) - shown).mean() < 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["turn.mp4"]
    with pytest.raises(ValueError, match="even sides"):
        save_turntable(path, shown[:, :63], seconds=1.0)
    assert path.is_file()


def test_bad_animations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.gif, \.mp4, got turn\.avi"):
        save_turntable(tmp_path / "turn.avi", frames(2))
    with pytest.raises(ValueError, match="frames must be uint8"):
        save_turntable(tmp_path / "turn.gif", frames(2)[0])
    with pytest.raises(ValueError, match="seconds must be > 0"):
        save_turntable(tmp_path / "turn.gif", frames(2), seconds=0)
    assert list(tmp_path.iterdir()) == []
