"""Folders of results: a folder keeps one result, and a result of other inputs is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class OtherResultError(ValueError):
    """A folder holds a result of other inputs, or of another configuration."""


def refuse_other_result(
    folder: Path,
    before: Mapping[str, object],
    now: Mapping[str, object],
    *,
    output: str,
    overwrite: str,
) -> None:
    """Refuses a folder whose result was made from something else.

    Args:
        folder: The folder of the result, for the message.
        before: Everything that determined the result in the folder, by name.
        now: Everything that determines the new result, by name.
        output: The key or option by which the user chooses the folder, for the message.
        overwrite: The key or option that replaces an existing result, for the message.

    Raises:
        OtherResultError: The two differ; the message names what does.
    """
    names = sorted({*before, *now})
    if differing := [name for name in names if before.get(name) != now.get(name)]:
        raise OtherResultError(
            f"{folder} holds another result ({', '.join(differing)} differ); choose another "
            f"{output}, or replace it with {overwrite}"
        )
