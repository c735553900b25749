"""Signals which ask a run to stop: noted at once, obeyed at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

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
        """128 + the signal's number, what a shell reports of a process which a signal ended."""
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
    """Make a data worker outlive a signal sent to the whole process group.

    The main process still needs its workers for the step it is in, and stops them when it ends;
    a worker whose main process is gone ends by itself.

    Args:
        worker: the number of the worker; what `DataLoader` passes to its `worker_init_fn`.
    """
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)
