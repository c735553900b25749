"""The Hydra sweeper which searches with Optuna: python train.py -m hydra/sweeper=optuna ..."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:  # Hydra imports all plug-ins at every start: Optuna only where it is used
    from optuna.distributions import BaseDistribution

    from recon.runs.sweeps.search import Proposal, Search

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Runs the trials of a study as jobs of any launcher.

    Args:
        n_trials: The number of trials of the whole study, failed and pruned ones included.
        n_jobs: The number of trials that are proposed together and launched together.
        seed: The seed of the search.
        storage: The address of the study, as Optuna writes it; None means `study.db` in the folder
            of the sweep.
        study_name: The name of the study.
        sampler: The configuration of the sampler; it is called with a `seed`.
        pruner: The configuration of the pruner, which ends hopeless trials; None ends none.
        params: The values to search over, by key, as on a command line.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        seed: int,
        storage: str | None,
        study_name: str,
        sampler: DictConfig,
        pruner: DictConfig | None,
        params: DictConfig | None,
    ) -> None:
        if n_trials < 1 or n_jobs < 1:
            raise ValueError(f"n_trials and n_jobs must be >= 1, got {n_trials} and {n_jobs}")
        self.n_trials, self.n_jobs, self.seed = n_trials, n_jobs, seed
        self.storage, self.study_name = storage, study_name
        self.sampler, self.pruner, self.params = sampler, pruner, dict(params or {})

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keeps the configuration and the launcher, as Hydra requires of every sweeper."""
        self.config, self.hydra_context = config, hydra_context
        self.folder = Path(config.hydra.sweep.dir).resolve()
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs trials until the study has `n_trials`; unfinished ones of an earlier start first.

        Raises:
            CompactHydraException: The space or the study does not fit, another process searches in
                the folder, or every trial failed.
        """
        from recon.files import locked
        from recon.runs.sweeps.search import storage_errors

        try:
            space, fixed = self._space(arguments)
            with locked(self.folder, "searching"):
                OmegaConf.save(self.config, self.folder / "multirun.yaml")
                search = self._search(space, fixed)
                with storage_errors(str(self.storage)):
                    for batch in self._batches(search):
                        self._run(search, batch)
                        self._report(search)
        except (ValueError, OSError) as error:
            raise CompactHydraException(f"error: {error}") from error

    def _space(self, arguments: Sequence[str]) -> tuple[dict[str, BaseDistribution], list[str]]:
        """Splits what to search over from what all trials share; the command line wins."""
        from hydra_plugins.recon_sweeps.search_space import distribution

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{key}={value}" for key, value in self.params.items()] + list(arguments)
        overrides = {line.get_key_element(): line for line in parser.parse_overrides(lines)}
        space = {k: distribution(o) for k, o in overrides.items() if o.is_sweep_override()}
        fixed = [_line(o) for k, o in overrides.items() if k not in space]
        return space, fixed

    def _search(self, space: dict[str, BaseDistribution], fixed: list[str]) -> Search:
        import optuna

        from recon.runs.sweeps.search import Search

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.storage = self.storage or f"sqlite:///{self.folder / 'study.db'}"
        sampler = instantiate(self.sampler, _partial_=True)
        return Search(
            storage=self.storage,
            study=self.study_name,
            space=space,
            fixed=fixed,
            sampler=lambda seed: sampler(seed=seed),
            seed=self.seed,
        )

    def _batches(self, search: Search) -> Iterator[list[Proposal]]:
        from recon.runs.sweeps.search import ENDED

        broken = search.unfinished()
        log.info(
            "study %s: %d trials ended, %d to be continued, up to %d",
            self.storage, len(search.trials(*ENDED)), len(broken), self.n_trials,
        )  # fmt: skip
        for start in range(0, len(broken), self.n_jobs):
            yield broken[start : start + self.n_jobs]
        while (left := self.n_trials - len(search.trials())) > 0:
            yield [search.propose() for _ in range(min(left, self.n_jobs))]

    def _run(self, search: Search, batch: Sequence[Proposal]) -> None:
        """Launches the trials which compose; two equal ones share a job, as they share a folder."""
        jobs: dict[tuple[str, ...], list[int]] = {}
        for proposal in batch:
            error = self._composition_error(proposal.overrides)
            if error is None:
                jobs.setdefault(proposal.overrides, []).append(proposal.number)
            else:
                search.fail(proposal.number, error)
                log.warning("trial %d failed: %s", proposal.number, error)
        if not jobs:
            return
        lines = [[*line, self._stopping(numbers[0])] for line, numbers in jobs.items()]
        returns = self.launcher.launch(lines, initial_job_idx=batch[0].number)
        for numbers, returned in zip(jobs.values(), returns, strict=True):
            for number in numbers:
                tell(search, number, returned)

    def _composition_error(self, overrides: Sequence[str]) -> str | None:
        try:
            self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        except Exception as error:  # of whatever kind: the other trials go on
            return str(error).strip()
        return None

    def _stopping(self, number: int) -> str:
        """Returns the override which tells a run of its trial."""
        if self.pruner is None:
            return "trainer.stopping=null"
        target = {"_target_": "recon.runs.sweeps.stopping.StudyStopping", "storage": self.storage}
        pruner = OmegaConf.to_container(self.pruner, resolve=True)
        trial = {**target, "study": self.study_name, "trial": number, "pruner": pruner}
        return f"trainer.stopping={literal(trial)}"

    def _report(self, search: Search) -> None:
        """Writes `trials.csv` and `search.json`, and tells the best so far."""
        from recon.files import csv_text, write_text
        from recon.runs.directory import write_json

        rows = search.rows()
        write_text(self.folder / "trials.csv", csv_text(rows))
        states = [row[1] for row in rows[1:]]
        counts = {str(state): states.count(state) for state in dict.fromkeys(states)}
        best = search.best()
        if best is None and len(states) >= self.n_trials and "pruned" not in counts:
            raise ValueError(f"all {len(states)} trials failed; see {self.folder / 'trials.csv'}")
        value = None if best is None else search.trials()[best.number].value
        found = best and {"trial": best.number, "iou": value, "overrides": best.overrides}
        about = {"study": self.study_name, "storage": self.storage, "trials": counts}
        write_json(self.folder / "search.json", {**about, "best": found})
        if best is not None:
            line = " ".join(best.overrides)
            log.info("%d trials, best: trial %d, %.4f: %s", len(states), best.number, value, line)


def tell(search: Search, number: int, returned: JobReturn) -> None:
    """Tells a search how the job of a trial ended."""
    from recon.runs.directory import read_json

    try:
        value = returned.return_value
        result = Path(str(returned.hydra_cfg.hydra.runtime.output_dir)) / "result.json"  # type: ignore
        stopped = read_json(result).get("stopped")
    except Exception as error:  # a job which failed gives its own error here
        search.fail(number, str(error))
        log.warning("trial %d failed: %s", number, error)
        return
    if stopped is not None:
        search.prune(number, str(stopped))
        log.info("trial %d: %s", number, stopped)
    else:
        search.complete(number, value)
        log.info("trial %d: IoU %s", number, value)


def literal(value: object) -> str:
    """Returns plain data as it stands on a command line of Hydra.

    Raises:
        ValueError: The value is none of dict, list, str, int, float, bool and None.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError(f"cannot stand on a command line: {value!r}")


def _line(override: Override) -> str:
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"
