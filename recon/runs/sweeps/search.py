"""A search for the best configuration: a study of Optuna in a database, asked for overrides.

A search which broke goes on where it stood: trials it was running are proposed again first, and
what comes next depends only on the seed and on the trials so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# Digits of a proposed number on the command line: enough to train with, short enough to read.
_DIGITS = 6


@dataclass(frozen=True)
class Proposal:
    """A trial that a search proposes.

    Args:
        number: The number of the trial in its study.
        overrides: The overrides `KEY=VALUE`, those that all trials share first.
    """

    number: int
    overrides: tuple[str, ...]


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Raises what goes wrong with the database of a study as an error in one line.

    Args:
        storage: The address of the study, as Optuna writes it: sqlite:///FILE.

    Raises:
        OSError: The database is locked, damaged or cannot be written; the message names it.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", cause) or error).strip().splitlines()[0]
        raise OSError(f"the database of the study, {storage}, cannot be used: {reason}") from error


class Search:
    """Maximises the validation IoU over values of keys.

    Args:
        storage: The address of the study, as Optuna writes it: sqlite:///FILE.
        study: The name of the study.
        space: The distributions of the values, by key.
        fixed: The overrides `KEY=VALUE` which all trials share.
        sampler: A function that makes the sampler of Optuna from a seed.
        seed: The seed of the search.

    Raises:
        ValueError: The space is empty, or the study has another space or other overrides.
        OSError: The database cannot be used.
    """

    def __init__(
        self,
        storage: str,
        study: str,
        space: Mapping[str, BaseDistribution],
        fixed: Sequence[str],
        sampler: Callable[[int], BaseSampler],
        seed: int = 0,
    ) -> None:
        if not space:
            raise ValueError(
                "a search needs settings to search over, such as 'optimizer.lr=interval(1e-4,1e-2)'"
            )
        self.space, self.fixed = dict(space), tuple(fixed)
        self._sampler, self._seed = sampler, seed
        with storage_errors(storage):
            self._study = optuna.create_study(
                storage=storage, study_name=study, direction="maximize", load_if_exists=True
            )
            self._claim(study)

    def _claim(self, study: str) -> None:
        """Records what the study is about, or refuses another one."""
        about = {"space": {key: repr(value) for key, value in sorted(self.space.items())}}
        current = {**about, "overrides": sorted(self.fixed)}
        for name, value in current.items():
            stored = self._study.user_attrs.get(name, value)
            if stored != value:
                raise ValueError(
                    f"study {study!r} is of other {name}; choose another output_dir or "
                    f"hydra.sweeper.study_name. Changed: {stored} -> {value}"
                )
            self._study.set_user_attr(name, value)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Returns the trials in some states, or all, by their numbers."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def unfinished(self) -> list[Proposal]:
        """Returns the trials which nobody ended: those of a search which broke, before new ones.

        One which was killed while it was being proposed is ended as failed.
        """
        proposals = []
        for trial in self.trials(TrialState.RUNNING):
            if trial.params.keys() == self.space.keys():
                proposals.append(self._proposal(trial.number, trial.params))
            else:
                self.fail(trial.number, "the search ended while this trial was being proposed")
        return proposals

    def propose(self) -> Proposal:
        """Begins a trial."""
        # A sampler drawn anew goes on as one would have which had proposed all trials so far.
        self._study.sampler = self._sampler(self._seed + len(self.trials()))
        trial = self._study.ask(self.space)
        return self._proposal(trial.number, trial.params)

    def _proposal(self, number: int, params: Mapping[str, Any]) -> Proposal:
        chosen = [f"{key}={_text(params[key])}" for key in self.space]
        return Proposal(number, (*self.fixed, *chosen))

    def complete(self, number: int, value: float | None) -> None:
        """Ends a trial with its IoU; without a finite one it has failed."""
        if value is None or not math.isfinite(value):
            self.fail(number, f"the best validation IoU is {value}")
        else:
            self._study.tell(number, value)

    def prune(self, number: int, reason: str) -> None:
        """Ends a trial as pruned; its IoU is the last it reported."""
        self._note(number, reason)
        self._study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """Ends a trial as failed."""
        self._note(number, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def _note(self, number: int, reason: str) -> None:
        trial_id = self.trials()[number]._trial_id
        self._study._storage.set_trial_user_attr(trial_id, "reason", reason)

    def best(self) -> Proposal | None:
        """Returns the complete trial with the highest IoU; None when there is none."""
        complete = self.trials(TrialState.COMPLETE)
        if not complete:
            return None
        best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number))
        return self._proposal(best.number, best.params)

    def rows(self) -> list[list[object]]:
        """Returns a row per trial below a header: number, state, IoU, last step, keys, reason."""
        rows: list[list[object]] = [["trial", "state", "iou", "step", *self.space, "reason"]]
        for trial in self.trials():
            value = "" if trial.value is None else f"{trial.value:.6f}"
            step = "" if trial.last_step is None else trial.last_step
            chosen = [_text(trial.params[key]) if key in trial.params else "" for key in self.space]
            reason = trial.user_attrs.get("reason", "")
            rows.append([trial.number, trial.state.name.lower(), value, step, *chosen, reason])
        return rows


def _text(value: object) -> str:
    """A chosen value as it stands on a command line; categories are texts already."""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)
