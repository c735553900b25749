"""Errors a user can mend become one line; defects keep their traceback."""

from __future__ import annotations

import pytest

from recon.errors import concise_errors


class OneLineError(Exception):
    pass


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
