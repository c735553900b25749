"""The command line: which images, what is told, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.inference.command import main, plan_jobs
from recon.inference.input_images import CloseUp, InputImage, close_up


def save_ball(path: Path, opaque: bool = False, color: tuple[int, int, int] = (200, 0, 0)) -> None:
    rows, columns = np.mgrid[:50, :60]
    inside = (columns - 30) ** 2 + (rows - 25) ** 2 < 15**2
    rgba = np.full((50, 60, 4), 255, np.uint8)
    rgba[inside, :3] = color
    rgba[..., 3] = np.where(inside, 255, 0)
    Image.fromarray(rgba[..., :3] if opaque else rgba).save(path)


def test_jobs_are_named_after_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "a.png", "notes.txt", "C.JPEG"):
        (tmp_path / name).touch()
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "b.webp").touch()
    jobs = plan_jobs([tmp_path, tmp_path / "b.png"], Path("out"), masks)
    assert [(j.image.name, j.folder) for j in jobs] == [
        ("C.JPEG", Path("out/C")),
        ("a.jpg", Path("out/a.jpg")),
        ("a.png", Path("out/a.png")),
        ("b.png", Path("out/b")),
    ]
    assert [j.mask for j in jobs] == [None, None, None, masks / "b.webp"]


def test_plans_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.png").touch()
    (tmp_path / "empty").mkdir()
    two = [Path("x/a.png"), Path("y/a.png")]
    with pytest.raises(ValueError, match=r"two images are called a\.png"):
        plan_jobs(two, Path("out"))
    with pytest.raises(ValueError, match="one file for 2 images"):
        plan_jobs([Path("x/a.png"), Path("x/b.png")], Path("out"), tmp_path / "m.png")
    with pytest.raises(FileNotFoundError, match="no such mask"):
        plan_jobs(two[:1], Path("out"), tmp_path / "gone.png")
    with pytest.raises(ValueError, match="has no images"):
        plan_jobs([tmp_path / "empty"], Path("out"))


def test_a_mask_that_the_network_guessed_is_told_as_such(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_ball(tmp_path / "cut.png")
    ball = np.asarray(Image.open(tmp_path / "cut.png"))
    patches = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    behind = Image.fromarray(patches).resize((60, 50), Image.Resampling.NEAREST)
    opaque = np.where(ball[..., 3:] > 0, ball[..., :3], np.asarray(behind))
    Image.fromarray(opaque).save(tmp_path / "busy.png")
    output = tmp_path / "out"
    main(
        [str(tmp_path / "busy.png"), "--checkpoint", str(tiny_checkpoint), "--output", str(output)]
    )
    told = capsys.readouterr().out
    assert "1 masks are estimated (look at mask.png): the background is not plain" in told
    assert "the mask is an estimate" not in told
    found = np.asarray(Image.open(output / "busy" / "mask.png"))[..., 3] > 0
    true = ball[..., 3] > 0
    assert (found & true).sum() > 0.7 * (found | true).sum()


def test_a_directory_is_done_but_for_what_is_unreadable(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    save_ball(images / "cut.png")
    save_ball(images / "plain.jpg", opaque=True)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n")
    output = tmp_path / "out"
    arguments = [str(images), "--checkpoint", str(tiny_checkpoint), "--output", str(output)]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--no-turntable"])
    assert end.value.code == 1
    told = capsys.readouterr().out
    assert "broken.png: FAILED" in told
    assert "cut.png: mask: alpha channel; outline IoU 0." in told
    assert "1 masks are estimated (look at mask.png): the mask is an estimate" in told
    assert "2 of 3 images reconstructed in" in told
    assert sorted(path.name for path in output.iterdir()) == ["cut", "plain"]

    (images / "broken.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    main([*arguments, "--no-turntable"])
    told = capsys.readouterr().out
    assert told.count("done already") == 2
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before

    save_ball(images / "cut.png", color=(0, 99, 0))
    with pytest.raises(SystemExit):
        main([*arguments, "--no-turntable"])
    assert "holds another result (image differ)" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    main([*arguments, "--overwrite"])
    assert "2 of 2 images" in capsys.readouterr().out
    assert (output / "cut" / "turntable.gif").exists()


def test_a_bad_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    save_ball(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--checkpoint"]
    with pytest.raises(SystemExit, match=r"^error: checkpoint: no such file"):
        main([*arguments, str(tmp_path / "gone.pt")])
    assert not (tmp_path / "out").exists()


def test_an_odd_image_does_not_take_the_others_along(
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    save_ball(images / "ball.png")
    odd = {"pixel": (20, 20, 21, 21), "line": (3, 20, 183, 22), "column": (20, 1, 21, 191)}
    for name, (left, top, right, bottom) in odd.items():
        rgba = np.zeros((192, 192, 4), np.uint8)
        rgba[top:bottom, left:right] = (200, 0, 0, 255)
        Image.fromarray(rgba).save(images / f"{name}.png")
    arguments = [str(images), "--checkpoint", str(tiny_checkpoint), "--no-turntable", "--output"]
    main([*arguments, str(tmp_path / "all")])
    assert "4 of 4 images reconstructed" in capsys.readouterr().out

    def fail(image: InputImage, *rest: object) -> CloseUp:
        if image.rgba.shape[1] == 192:
            raise IndexError("an odd image")
        return close_up(image, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("recon.inference.reconstruct.close_up", fail)
    with pytest.raises(SystemExit):
        main([*arguments, str(tmp_path / "one")])
    told = capsys.readouterr().out
    assert told.count("FAILED: IndexError: an odd image") == 3
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["ball"]


def test_refined_meshes_are_results_of_their_own(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_ball(tmp_path / "ball.png")
    command = [str(tmp_path / "ball.png"), "--checkpoint", str(tiny_checkpoint), "--no-turntable"]
    command += ["--output", str(tmp_path / "out")]
    mesh = tmp_path / "out" / "ball" / "mesh.obj"
    main(command)
    plain = mesh.read_text()
    with pytest.raises(SystemExit):  # another result is there
        main([*command, "--refine", "3"])
    assert "refine" in capsys.readouterr().out
    assert mesh.read_text() == plain
    main([*command, "--refine", "3", "--overwrite"])
    assert mesh.read_text() != plain
    main([*command, "--refine", "3"])
    assert "done already" in capsys.readouterr().out


def test_without_a_checkpoint_the_shipped_model_is_taken(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_ball(tmp_path / "ball.png")
    main(["ball.png", "--no-turntable"])
    assert (tmp_path / "outputs" / "reconstructions" / "ball" / "mesh.glb").stat().st_size > 1000
    # The same weights by their path are the same model, so the result is not made again.
    main(["ball.png", "--no-turntable", "--checkpoint", str(shipped / "objects13.safetensors")])
    assert "done already" in capsys.readouterr().out
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    with pytest.raises(SystemExit, match=r"error: .*no weights are in this package"):
        main(["ball.png"])
