"""Errors a user can mend, reported in one line instead of a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# What bad input raises throughout the library; anything else is a defect and keeps its traceback.
MENDABLE = (ValueError, OSError, FloatingPointError)


@contextmanager
def concise_errors(raised_as: type[BaseException]) -> Iterator[None]:
    """Raise the errors of the block which a user can mend as `raised_as("error: ...")`.

    An error is mendable when it, or one it was raised from, is one of `MENDABLE`.

    Args:
        raised_as: an exception type whose message the command line prints without a traceback.
            The environment variable HYDRA_FULL_ERROR=1 leaves every error as it is.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        mendable = next((link for link in _chain(error) if isinstance(link, MENDABLE)), None)
        if mendable is None:
            raise
        raise raised_as(f"error: {mendable}") from None


def _chain(error: BaseException) -> list[BaseException]:
    """An error and all it was raised from, outermost first."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain
