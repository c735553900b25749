"""The folder of a job as a function of its overrides."""

from __future__ import annotations

import hashlib
import re

# What needs no quotes in a shell and is no pattern to it.
_UNSAFE = re.compile(r"[^\w.,=+@~-]")
# File systems allow 255 bytes; a temporary name beside the folder is a little longer.
LONGEST = 180
_DIGITS = 8


def job_folder(overrides: str) -> str:
    """Returns the name of the folder of a job: its overrides, where they are short and plain.

    Other characters become `_`, and what is too long is cut; eight digits of a hash of the
    overrides then keep different jobs apart.

    Args:
        overrides: The overrides `KEY=VALUE,...` sorted by the key, as Hydra's
            `hydra.job.override_dirname`.

    Returns:
        The name of one folder; `default` without overrides.
    """
    if not overrides:
        return "default"
    name = _UNSAFE.sub("_", overrides)
    if name == overrides and len(name.encode()) <= LONGEST and not name.startswith("."):
        return name
    digits = hashlib.sha256(overrides.encode()).hexdigest()[:_DIGITS]
    short = name.encode()[: LONGEST - _DIGITS - 1].decode(errors="ignore").lstrip(".")
    return f"{short}-{digits}"
