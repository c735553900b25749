"""Ends a run early when a search finds it hopeless."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import optuna
from optuna.pruners import BasePruner

from recon.runs.sweeps.search import storage_errors

log = logging.getLogger(__name__)


class StudyStopping:
    """Reports the validations of one trial to its study, and stops it where the pruner says so.

    Args:
        storage: The address of the study, as Optuna writes it: sqlite:///FILE.
        study: The name of the study.
        trial: The number of the trial in the study.
        pruner: The pruner of Optuna, which compares the trial with the others.

    Raises:
        ValueError: There is no such study or trial.
        OSError: The database cannot be used.
    """

    def __init__(self, storage: str, study: str, trial: int, pruner: BasePruner) -> None:
        self._storage = storage
        with storage_errors(storage):
            try:
                self._study = optuna.load_study(study_name=study, storage=storage, pruner=pruner)
            except KeyError as error:
                raise ValueError(f"{storage} holds no study {study!r}") from error
            trials = self._study.get_trials(deepcopy=False)
        if not 0 <= trial < len(trials):
            raise ValueError(f"study {study!r} has {len(trials)} trials, got trial {trial}")
        self._number = trial
        self._trial = optuna.trial.Trial(self._study, trials[trial]._trial_id)

    def __call__(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Reports a validation; returns why the run must end here, or None.

        Args:
            step: The number of optimiser steps done.
            metrics: The metrics of the validation, of which `iou` is compared.
        """
        with storage_errors(self._storage):
            reported = self._study.get_trials(deepcopy=False)[self._number].intermediate_values
            if step not in reported:  # a resumed run validates again
                self._trial.report(float(metrics["iou"]), step)
            if not self._trial.should_prune():
                return None
        return f"pruned at step {step}: other trials were better there (trial {self._number})"
