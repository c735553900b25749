"""The folder of a fit: who may write into it, and the files which every fit writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.evaluation.provenance import data_fingerprint, texts_fingerprint
from recon.files import locked
from recon.fitting.fit import Fit
from recon.fitting.history import joined_history, write_history
from recon.runs.directory import flatten_config, read_json, write_json
from recon.runs.results import OtherResultError, refuse_other_result
from recon.visualization.animation import save_animation
from recon.visualization.draw import save_png

# Keys that do not change the result of a fit.
FREE_KEYS = ("output_dir", "overwrite", "progress", "frames", "device")


@dataclass(frozen=True, eq=False)
class FitFolder:
    """The folder of one fit.

    Args:
        path: The path of the folder, which is created when writing begins.
        config: The resolved configuration as plain data; `result.json` holds it under the key
            `settings`.
        inputs: Keys of the configuration which name files or folders that the fit reads.
        result: The name of the file with the result.
        image: The name of the image that shows it.
    """

    path: Path
    config: Mapping[str, Any]
    inputs: Sequence[str] = ()
    result: str = "result.json"
    image: str = "comparison.png"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps other processes out of the folder during the block.

        The same fit may be written again; a fit to other inputs or with another configuration only
        where its key `overwrite` is true.

        Raises:
            OtherResultError: The folder holds another result; nothing in it was touched.
            ValueError: Another process is writing here.
            OSError: The folder is not writable.
        """
        if not self.config.get("overwrite", False):
            self._refuse_other()
        with locked(self.path, "fitting"):
            yield

    def _refuse_other(self) -> None:
        if not (self.path / self.result).exists():
            return
        before = read_json(self.path / self.result)
        stored, now = before.get("settings"), self._facts()
        if not isinstance(stored, Mapping) or not isinstance(before.get("inputs", {}), Mapping):
            raise OtherResultError(
                f"{self.path / self.result} is not the result of a fit; choose another output_dir"
            )
        # Results of earlier versions have no fingerprints; the names of their inputs count.
        kept = () if "inputs" in before else tuple(self.inputs)
        prints = now["inputs"] if "inputs" in before else {}
        refuse_other_result(
            self.path,
            {**_compared(stored, self.inputs, kept), **before.get("inputs", {})},
            {**_compared(now["settings"], self.inputs, kept), **prints},
            output="output_dir",
            overwrite="overwrite=true",
        )

    def _facts(self) -> dict[str, Any]:
        """Returns what a result was made from."""
        named = flatten_config(self.config)
        files = {key: named.get(key) for key in self.inputs}
        # What is no file, as the name of a category or a member of an archive, stands for itself.
        prints = {k: fingerprint(Path(str(name))) or str(name) for k, name in files.items() if name}
        return {"settings": dict(self.config), "inputs": prints}

    def write(
        self,
        result: Mapping[str, Any],
        fits: Sequence[Fit],
        image: Image.Image,
        frames: Sequence[NDArray[np.uint8]],
        seconds: float = 6.0,
    ) -> dict[str, Any]:
        """Writes the result, the losses, an image and an animation.

        Args:
            result: The result of the fit as plain data.
            fits: The fits of the stages, whose losses are written.
            image: An image of the result.
            frames: [H, W, 3] images of the states on the way to the result.
            seconds: The duration of the animation in seconds.

        Returns:
            The content of the file of the result: `result`, whether a signal ended the fit, the
            configuration, and fingerprints of the inputs.

        Raises:
            OSError: A file could not be written.
        """
        save_animation(self.path / "course.gif", frames, seconds)
        write_history(self.path, joined_history(fits))
        interrupted = fits[-1].stopped == "signal"
        return self.write_result({**result, "interrupted": interrupted}, image)

    def write_result(self, result: Mapping[str, Any], image: Image.Image) -> dict[str, Any]:
        """Writes the result with what it was made from, and an image of it."""
        save_png(self.path / self.image, image)
        content = {**result, **self._facts()}
        write_json(self.path / self.result, content)
        return content


def fingerprint(path: Path) -> str | None:
    """Returns a fingerprint of a file, or of all files below a folder; None where there is none."""
    if path.is_file():
        return data_fingerprint(path)
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return texts_fingerprint(
        [f"{file.relative_to(path)} {data_fingerprint(file)}" for file in files]
    )


def _compared(
    config: Mapping[str, Any], inputs: Sequence[str], kept: Sequence[str]
) -> dict[str, object]:
    """Returns what determines a result; of the keys that name inputs only the `kept` ones."""
    left_out = {*FREE_KEYS, *inputs} - {*kept}
    return {key: value for key, value in flatten_config(config).items() if key not in left_out}


def silhouette_iou(alpha: Tensor, mask: Tensor) -> float:
    """Returns the IoU of a rendered silhouette and a mask, both [H, W] and cut at one half."""
    rendered, given = alpha > 0.5, mask > 0.5
    return float((rendered & given).sum() / (rendered | given).sum().clamp(min=1))
