"""Reconstructs the objects of images: meshes, turntables and overlays in a folder for each.

    recon-reconstruct IMAGE_OR_DIRECTORY [...] [--checkpoint FILE] [--output DIR]

reads PNG, JPEG, WebP, GIF, BMP and TIFF images of any size. The mask of the object is that of
--mask, or else the alpha channel, or else an estimate, from a plain background or by a small
network, which is written as mask.png. Every image gets a folder DIR/NAME with mesh.glb, mesh.obj,
turntable.gif, overlay.png (the border of the silhouette in orange, that of the mask in blue) and
result.json. An existing result of the same image, mask and checkpoint is kept, and another one is
refused. Images that cannot be used are reported, the others are reconstructed, and the exit status
is then 1.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch

from recon.arguments import Steps, option_type
from recon.command_line import USER_ERRORS, CommandParser, concise_errors
from recon.formats.images import SUFFIXES
from recon.formats.plain_background import WEAKNESS
from recon.inference.files import find_result, save_reconstruction
from recon.inference.input_images import InputImage, take_image
from recon.inference.reconstruct import ImageReconstructor, Reconstruction
from recon.inference.refinement import Refinement
from recon.runs.shipped_models import DEFAULT_MODEL
from recon.runs.trained_models import load_trained_model
from recon.segmentation.estimate import GUESSED
from recon.threads import available_cores
from renderer_cuda import build

# Where results go when nothing is said.
OUTPUT = Path("outputs/reconstructions")
# Images in one call of the network.
BATCH = 8


@dataclass(frozen=True)
class Job:
    """One image to reconstruct, and where its result is written.

    Args:
        image: The path of the image.
        mask: The path of its mask, if one is given.
        folder: The folder that the result is written to.
    """

    image: Path
    mask: Path | None
    folder: Path


@dataclass(frozen=True)
class JobConfig:
    """The configuration that all images share.

    Args:
        checkpoint: The SHA-256 of the checkpoint file.
        turntable: Whether animations are drawn.
        overwrite: Whether results of other inputs are replaced.
        refine: The number of steps that fit each mesh to the mask of its image.
    """

    checkpoint: str
    turntable: bool = True
    overwrite: bool = False
    refine: int = 0


@dataclass(frozen=True)
class Outcome:
    """The outcome of the reconstruction of one image.

    Args:
        job: The job that this is the outcome of.
        error: The message of the error; "" if there was none.
        mask: The source of the mask; "" if the result existed already.
        notes: Sentences about the mask that the user must know.
        iou: The IoU of the silhouette and the mask.
        azimuth: The azimuth of the camera in which they overlap best, degrees.
        elevation: The elevation of that camera, degrees.
    """

    job: Job
    error: str = ""
    mask: str = ""
    notes: tuple[str, ...] = ()
    iou: float = 0.0
    azimuth: float = 0.0
    elevation: float = 0.0

    def line(self) -> str:
        """Returns the outcome in one line."""
        if self.error:
            return f"{self.job.image}: FAILED: {self.error}"
        if not self.mask:
            return f"{self.job.image}: done already in {self.job.folder}"
        return (
            f"{self.job.image}: mask: {self.mask}; outline IoU {self.iou:.2f}"
            f" from azimuth {self.azimuth:.0f}, elevation {self.elevation:.0f} -> {self.job.folder}"
        )


def plan_jobs(paths: Sequence[Path], output: Path, mask: Path | None = None) -> list[Job]:
    """Returns a job for each image, those of directories sorted by name.

    The folder has the name of the image without its suffix, or with it where that is not unique.

    Args:
        paths: The paths of images and of directories of images.
        output: The folder of the result folders.
        mask: The path of a mask file for one image, or of a directory with masks of the same names
            and any suffix.

    Raises:
        FileNotFoundError: There is no such mask.
        ValueError: A directory has no images, two images have the same name, or one mask is given
            for many images.
    """
    images: list[Path] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not found:
                raise ValueError(f"{path} has no images ({', '.join(SUFFIXES)})")
        images += found
    images = list(dict.fromkeys(images))
    stems = Counter(path.stem for path in images)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in images]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"two images are called {twice[0]}; reconstruct them to two outputs")
    masks = _masks(images, mask)
    return [Job(p, m, output / name) for p, m, name in zip(images, masks, names, strict=True)]


def _masks(images: Sequence[Path], mask: Path | None) -> list[Path | None]:
    if mask is None:
        return [None] * len(images)
    if mask.is_dir():
        by_stem = {path.stem: path for path in sorted(mask.iterdir())}
        return [by_stem.get(path.stem) for path in images]
    if not mask.is_file():
        raise FileNotFoundError(f"no such mask: {mask}")
    if len(images) > 1:
        raise ValueError(f"--mask {mask} is one file for {len(images)} images; give a directory")
    return [mask]


def reconstruct_all(
    reconstructor: ImageReconstructor, jobs: Sequence[Job], config: JobConfig
) -> Iterator[Outcome]:
    """Reconstructs images, some at once; yields the outcome of each in order."""
    count = max(2, available_cores())  # one computes while another waits for the disk
    # Images share the cores rather than the threads of one image.
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [
            pool.submit(_reconstruct_some, reconstructor, jobs[start : start + BATCH], config)
            for start in range(0, len(jobs), BATCH)
        ]
        try:
            for future in futures:
                yield from future.result()
        finally:  # what an interruption leaves undone
            for future in futures:
                future.cancel()


def _reconstruct_some(
    reconstructor: ImageReconstructor, jobs: Sequence[Job], config: JobConfig
) -> list[Outcome]:
    """Reconstructs images in one batch for the network."""
    outcomes = [Outcome(job) for job in jobs]
    images, facts, places = [], [], []
    for place, job in enumerate(jobs):
        try:
            made_from = _made_from(job, config)
            if config.overwrite or find_result(job.folder, made_from) is None:
                images.append(take_image(job.image, job.mask))
                facts.append({"image": str(job.image), "made_from": made_from})
                places.append(place)
        except USER_ERRORS as error:
            outcomes[place] = Outcome(job, error=str(error))
    for place, made, fact in zip(places, _each_alone(reconstructor, images), facts, strict=True):
        job = jobs[place]
        outcomes[place] = (
            Outcome(job, error=made) if isinstance(made, str) else _save(job, made, fact, config)
        )
    return outcomes


def _each_alone(
    reconstructor: ImageReconstructor, images: Sequence[InputImage]
) -> list[Reconstruction | str]:
    """Reconstructs images in one batch; if that fails, one by one, with the error of each."""
    try:
        return list(reconstructor(images))
    except Exception as error:  # whatever is odd about one image must not take the others along
        if len(images) == 1:
            return [f"{type(error).__name__}: {error}"]
    return [made for image in images for made in _each_alone(reconstructor, [image])]


def _made_from(job: Job, config: JobConfig) -> dict[str, Any]:
    return {
        "image": _digest(job.image),
        "mask": None if job.mask is None else _digest(job.mask),
        "checkpoint": config.checkpoint,
        "turntable": config.turntable,
        **({"refine": config.refine} if config.refine else {}),
    }


def _save(job: Job, made: Reconstruction, facts: Mapping[str, Any], config: JobConfig) -> Outcome:
    try:
        save_reconstruction(job.folder, made, facts, config.turntable)
    except OSError as error:
        return Outcome(job, error=str(error))
    azimuth, elevation = made.camera.orbit_parameters()[0, :2].tolist()
    image = made.image
    return Outcome(job, "", image.mask, image.notes, made.iou, azimuth, elevation)


def _digest(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="or a directory")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=Path(DEFAULT_MODEL),
        help=f"of a training run, or the name of a shipped model ({DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="DIR", help=f"for the results ({OUTPUT})"
    )
    parser.add_argument(
        "--mask",
        type=Path,
        help="white or opaque where the object is; for many images a directory",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (auto)")
    parser.add_argument("--no-turntable", action="store_true", help="draw no animations")
    parser.add_argument(
        "--refine",
        type=option_type(Steps),
        default=0,
        metavar="N",
        help="steps that fit each mesh to the mask, seen from the direction found for it; 15 are"
        " many (0)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace other results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reconstructs what the command line names."""
    options = parse(arguments)
    start = time.perf_counter()
    with concise_errors(raised_as=SystemExit):
        jobs = plan_jobs(options.images, options.output, options.mask)
        refinement = Refinement(options.refine) if options.refine else None
        trained = load_trained_model(options.checkpoint)
        reconstructor = ImageReconstructor(trained, options.device, refinement)
        build.load("cpu")  # the first time on a machine it may have to be compiled
        config = JobConfig(
            _digest(trained.path),
            not options.no_turntable,
            options.overwrite,
            options.refine,
        )
        loaded = time.perf_counter()
        outcomes = []
        for outcome in reconstruct_all(reconstructor, jobs, config):
            print(outcome.line(), flush=True)
            outcomes.append(outcome)
    done = time.perf_counter()
    print(summary(outcomes, reconstructor, done - loaded, loaded - start))
    if any(outcome.error for outcome in outcomes):
        raise SystemExit(1)


def summary(
    outcomes: Sequence[Outcome], reconstructor: ImageReconstructor, seconds: float, loading: float
) -> str:
    """Returns notes on the masks, the framing and the time as lines of text."""
    made = [outcome for outcome in outcomes if outcome.mask]
    lines = [
        f"{outcome.job.image}: {note}"
        for outcome in made
        for note in outcome.notes
        if note not in (WEAKNESS, GUESSED)
    ]
    for weakness in (WEAKNESS, GUESSED):
        if estimated := sum(weakness in outcome.notes for outcome in made):
            lines.append(f"{estimated} masks are estimated (look at mask.png): {weakness}")
    framing = reconstructor.framing
    lines += [
        "framing: outlines shifted, and scaled to the best of sizes from"
        f" {100 * framing.fill[0]:.0f} to {100 * framing.fill[2]:.0f} % of the image, as in"
        f" {framing.source}; the camera is unknown: overlays show the mesh from the direction found"
        " for it, shifted and scaled",
        f"{len(made)} of {len(outcomes)} images reconstructed in {seconds:.2f} s"
        f" (loading: {loading:.2f} s)",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
