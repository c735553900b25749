"""Functions that all command lines share: errors in one line, and signals that stop a run."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn

from recon.threads import limit_threads

# What bad input raises throughout the library; anything else is a defect and keeps its traceback.
USER_ERRORS = (ValueError, OSError, FloatingPointError)


def user_error(error: BaseException) -> BaseException | None:
    """Returns the first of `USER_ERRORS` among an error and those it was raised from, if any."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, USER_ERRORS):
        link = link.__cause__
    return link


class CommandParser(argparse.ArgumentParser):
    """Reads a command line; what is wrong with it is told in one line, without the usage.

    The process that makes one is a command, and uses as many threads as it has cores, see
    `limit_threads`.
    """

    def __init__(self, description: str | None) -> None:
        limit_threads()
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2 and the message."""
        self.exit(2, f"error: {message}\n")


@contextmanager
def concise_errors(raised_as: type[BaseException]) -> Iterator[None]:
    """Raises the errors of the block which a user can mend as `raised_as("error: ...")`.

    Args:
        raised_as: An exception type whose message the command line prints without a traceback.
            The environment variable HYDRA_FULL_ERROR=1 leaves every error as it is.
    """
    try:
        yield
    except Exception as error:
        mendable = user_error(error)
        if mendable is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise raised_as(f"error: {mendable}") from None


STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which SIGINT and SIGTERM set `signum` instead of ending the process.

    A second signal ends the process at once, as without this context. Outside the main thread,
    where Python delivers no signals, the context does nothing.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, object] = {}

    @property
    def exit_status(self) -> int:
        """128 + the number of the signal, the exit status that a shell reports after a signal."""
        return 128 + (self.signum or 0)

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for signum in STOPPING:
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]
        self._previous = {}


def ignore_stopping_signals(worker: int) -> None:
    """Makes a data worker outlive a signal sent to the whole process group.

    The main process still needs its workers for the step it is in, and stops them when it ends;
    a worker whose main process is gone ends by itself.

    Args:
        worker: The number of the worker; what `DataLoader` passes to its `worker_init_fn`.
    """
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)
