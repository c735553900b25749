"""What a training set is mixed from: files with weights and, for some, a last step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recon.arguments import NonNegativeInt, PositiveFloat, check_arguments
from recon.datasets.storage.shards import Paths


@dataclass(frozen=True)
class MixtureFile:
    """One entry of a mixture: a file, or several that count as one.

    Args:
        path: The file, a list of files or a pattern; None is the file of the data set itself.
        weight: How often its objects are drawn, relative to the weights of the other entries.
        until: The step from which on nothing is drawn from it; None draws from it at every step.
    """

    path: Paths | None = None
    weight: PositiveFloat = 1.0
    until: NonNegativeInt | None = None

    def weight_at(self, step: int) -> float:
        """Returns the weight at a step: 0 from `until` on."""
        return 0.0 if self.until is not None and step >= self.until else float(self.weight)


def read_mixture(mixture: Mapping[str, Mapping[str, Any]], path: Paths) -> list[MixtureFile]:
    """Returns the entries of a mixture, each with a path.

    Args:
        mixture: The arguments of `MixtureFile` by the name of the entry.
        path: The file of entries that name none.

    Raises:
        ValueError: If an entry is not a mapping or has an unknown or bad value, there is no entry,
            or all entries have an `until`, so that nothing would be left to draw from.
    """
    entries = [_read_entry(f"mixture.{name}", entry, path) for name, entry in mixture.items()]
    if not entries:
        raise ValueError("mixture must have at least one entry, got none")
    if all(entry.until is not None for entry in entries):
        raise ValueError(
            "mixture must have an entry without until, else no object is left from step"
            f" {max(entry.until or 0 for entry in entries)} on; got {', '.join(mixture)}"
        )
    return entries


def _read_entry(name: str, entry: object, path: Paths) -> MixtureFile:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{name} must be a mapping with path, weight and until, got {entry!r}")
    names = {str(key): f"{name}.{key}" for key in entry}
    values = check_arguments(MixtureFile, dict(entry), names)
    return MixtureFile(**{**values, "path": values.get("path") or path})


def weights_at(entries: Sequence[MixtureFile], step: int) -> list[float]:
    """Returns the weight of every entry at a step."""
    return [entry.weight_at(step) for entry in entries]
