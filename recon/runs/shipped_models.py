"""The models that come with the package: files of weights which commands take by their name."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Of files of weights.
SUFFIX = ".safetensors"
# Names another folder of models than that of the package.
VARIABLE = "RECON_WEIGHTS"
# The model that is taken where none is named.
DEFAULT_MODEL = "objects13"
# A word that can be the name of a model; anything else is the path of a file.
_NAME = re.compile(r"[\w-]+")


def weights_folder() -> Path:
    """Returns the folder of the models: that of the package, or what $RECON_WEIGHTS names."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path(__file__).resolve().parents[1] / "weights"


def shipped_models() -> list[str]:
    """Returns the names of the models that there are."""
    return sorted(path.stem for path in weights_folder().glob(f"*{SUFFIX}"))


def find_model(name: str | Path) -> Path:
    """Returns the file of a model.

    Args:
        name: A path, or the name of a model that comes with the package. A file of that name in the
            working directory is preferred.

    Returns:
        The path as it is, or that of the shipped file.

    Raises:
        FileNotFoundError: There is neither a file nor a model of such a name; the message lists the
            models that there are.
    """
    path = Path(name)
    if path.is_file() or not _NAME.fullmatch(str(name)):
        return path
    models = shipped_models()
    if str(name) in models:
        return weights_folder() / f"{name}{SUFFIX}"
    there = f"the models are {', '.join(models)}" if models else "no weights are in this package"
    raise FileNotFoundError(
        f"checkpoint {name}: no such file or model; {there}; pass checkpoint=FILE"
    )
