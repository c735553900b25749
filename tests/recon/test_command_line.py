"""Errors come in one line, and signals stop a run at the end of a step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch

from recon.command_line import CommandParser, Interruption, concise_errors


class OneLineError(Exception):
    pass


def test_a_command_uses_no_more_threads_than_it_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr("recon.threads.available_cores", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    CommandParser("A command.")
    assert chosen == [3]


def test_a_mendable_error_becomes_one_line() -> None:
    message = r"^error: data\.path: no such file$"
    with pytest.raises(OneLineError, match=message) as caught, concise_errors(OneLineError):
        raise FileNotFoundError("data.path: no such file")
    assert caught.value.__cause__ is None


def test_the_cause_is_found_below_the_wrapping_of_a_framework() -> None:
    def wrapped() -> None:
        try:
            raise ValueError("unknown category 'cheir'")
        except ValueError as error:
            raise RuntimeError("Error in call to target") from error

    message = r"^error: unknown category 'cheir'$"
    with pytest.raises(OneLineError, match=message), concise_errors(OneLineError):
        wrapped()


def test_a_defect_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), concise_errors(OneLineError):
        _ = 1 / 0


def test_the_environment_asks_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="bad"), concise_errors(OneLineError):
        raise ValueError("bad")


def test_a_number_which_is_not_finite_is_mendable() -> None:
    with pytest.raises(OneLineError, match="step 7"), concise_errors(OneLineError):
        raise FloatingPointError("the loss is not finite at step 7")


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
