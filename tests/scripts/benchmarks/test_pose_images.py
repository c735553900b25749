"""Images of problems show them, their starts and their solutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


def test_a_true_pose_looks_like_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import pose_cases
    import pose_images

    problems = pose_cases.make_problems(pose_cases.cube(), 2, 60.0, 1, 64)
    sheet = np.asarray(pose_images.draw_solutions(problems, problems.truth)).astype(int)
    cell = pose_images.CELL
    assert sheet.shape == (3 * cell, 2 * cell, 3)
    image, start, found = sheet.reshape(3, cell, 2 * cell, 3)
    outside = (image == 255).all(-1)
    magenta = (found == (230, 0, 200)).all(-1)
    # Light differs, the shape does not.
    assert ((found == 255).all(-1) == outside)[~magenta].mean() > 0.98
    assert ((start == 255).all(-1) == outside).mean() < 0.97
