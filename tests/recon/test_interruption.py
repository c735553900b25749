"""Stopping signals are noted in the block and have their usual effect outside it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from recon.interruption import Interruption


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """The handlers of a program in the foreground; a shell makes background jobs ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_noted(signum: int, status: int) -> None:
    before = signal.getsignal(signum)
    with Interruption() as interruption:
        assert interruption.signum is None
        os.kill(os.getpid(), signum)
        assert interruption.signum == signum
        assert interruption.exit_status == status
    assert signal.getsignal(signum) == before


def test_a_second_signal_has_its_usual_effect() -> None:
    def twice() -> None:
        with Interruption():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with Interruption() as interruption:
            seen.extend([interruption.signum, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [None, before]
