"""The decorator of a command line: Hydra's, with checked values and errors in one line."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.recon_command_line._checking import check_config, drop_color_head
from hydra_plugins.recon_command_line._messages import one_line
from hydra_plugins.recon_command_line._paths import is_override, quote_paths, swept_keys
from recon.command_line import user_error
from recon.runs.directory import write_json
from recon.threads import limit_threads

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], Any]
# Whether a configuration and the folder of its run are those of a run that was accepted before.
Known = Callable[[DictConfig, Path], bool]

# Shows every error with its traceback.
FULL_ERROR = "HYDRA_FULL_ERROR"
_EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"
_CHECK = "hydra_plugins.recon_command_line._command.CheckConfig"


@dataclass(frozen=True)
class _Running:
    """The running command, which the callback of Hydra has no other way to know."""

    configs: Path
    name: str
    keys: Mapping[str, Any]
    known: Known
    full_errors: bool
    typed: list[str]

    def default_config(self) -> DictConfig:
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(self.configs), version_base="1.3"):
            return hydra.compose(self.name, return_hydra_config=True)


_running: _Running | None = None


def _never(config: DictConfig, folder: Path) -> bool:
    return False


def command(
    name: str, keys: Mapping[str, Any], known: Known = _never
) -> Callable[[Task], Callable[[], None]]:
    """Makes a command line of a function which takes a configuration.

    Args:
        name: The name of the configuration file in `configs`, without its suffix.
        keys: The types of the keys which the function itself reads, by their full names.
        known: A function that tells whether a run of the same configuration was accepted before, so
            that its result is repeated without the seconds that importing for the check takes.

    Returns:
        A decorator. What it returns reads `sys.argv`, quotes paths for Hydra, checks all values
        before anything is written, and reports bad input in one line with exit status 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(config: DictConfig) -> Any:
            if _running is not None:  # not in a process that a launcher has started
                sys.argv = _running.typed  # what is recorded is what was typed
            # Only where a job runs: what starts jobs gives each of them its share of the cores.
            limit_threads()
            folder = HydraConfig.get().runtime.output_dir
            sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
            try:
                # `CheckConfig` has checked a single run before its folder was made.
                if sweeping:
                    drop_color_head(config, HydraConfig.get().overrides.task)
                    if not known(config, Path(folder)):
                        check_config(config, keys)
                return task(config)
            except Exception as error:
                if sweeping:
                    # The other jobs go on, and the sweep shows the first error at its end. Between
                    # processes an error loses those that it was raised from.
                    ours = user_error(error)
                    _record_refusal(config, Path(folder), ours or error)
                    log.error("%s failed: %s", folder, ours or error)
                    if ours is None:
                        raise
                    raise CompactHydraException(str(ours)) from None
                _end(error)

        configs = _configs(task)
        run = hydra.main(version_base="1.3", config_path=str(configs), config_name=name)(checked)

        @functools.wraps(task)
        def main() -> None:
            global _running
            full = os.environ.get(FULL_ERROR) == "1"
            _running = _Running(configs, name, keys, known, full, sys.argv)
            _run(run)

        return main

    return decorate


class CheckConfig(Callback):
    """Checks a configuration before Hydra makes the folder of the run."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the program where a value is bad; of exceptions in a callback Hydra only warns."""
        assert _running is not None
        try:
            drop_color_head(config, config.hydra.overrides.task)
            if not _running.known(_own(config), Path(config.hydra.run.dir)):
                check_config(config, _running.keys)
        except Exception as error:
            _end(error)


def _own(config: DictConfig) -> DictConfig:
    """Returns a configuration without Hydra's part, as the function of the command gets it."""
    own = config.copy()
    with open_dict(own):
        del own["hydra"]
    return own


def record_config(config: DictConfig) -> None:
    """Writes `.hydra/config.yaml` and `.hydra/overrides.yaml` into the folder of the run.

    Hydra would write them before the run could refuse to start in this folder.

    Args:
        config: The configuration that the run was started with.
    """
    runtime = HydraConfig.get()
    folder = Path(runtime.runtime.output_dir, ".hydra")
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "config.yaml")
    OmegaConf.save(runtime.overrides.task, folder / "overrides.yaml")


def _record_refusal(config: DictConfig, folder: Path, error: BaseException) -> None:
    """Records a job of a sweep that was refused before it began, so that the sweep shows it.

    The folder of a job that began before has its configuration already, and stays as it is.
    """
    if not (folder / ".hydra").exists():
        record_config(config)
        content = {"error": type(error).__name__, "message": str(error), "step": None}
        write_json(folder / "failure.json", content)


def _configs(task: Task) -> Path:
    folder = Path(inspect.getfile(task)).resolve().parent
    return next(path for path in (folder / "configs", folder.parent / "configs") if path.is_dir())


def _run(run: Callable[[], None]) -> None:
    full = os.environ.get(FULL_ERROR)
    typed = sys.argv
    try:
        sys.argv = [typed[0], *_overrides(typed[1:])]
        # So that Hydra passes errors on instead of printing them with a hint of its own.
        os.environ[FULL_ERROR] = "1"
        run()
    except Exception as error:
        _end(error)
    finally:
        sys.argv = typed
        if full is None:
            os.environ.pop(FULL_ERROR, None)
        else:
            os.environ[FULL_ERROR] = full


def _overrides(typed: list[str]) -> list[str]:
    """Returns the command line for Hydra, whose parser wants all overrides side by side."""
    assert _running is not None
    overrides = [one for one in quote_paths(typed) if is_override(one)]
    flags = [one for one in typed if not is_override(one)]
    overrides.append(f"+hydra.callbacks.check._target_={_CHECK}")
    if {"-m", "--multirun"}.isdisjoint(flags):
        return [*flags, *overrides]
    # A key which is not in the names of folders must be, once jobs differ by it.
    excluded = _excluded_keys(OmegaConf.load(_running.configs / f"{_running.name}.yaml"))
    left = [key for key in excluded if key not in set(swept_keys(overrides))]
    if left != excluded:
        overrides.append(f"{_EXCLUDED}=[{','.join(left)}]")
    return [*flags, *overrides]


def _excluded_keys(config: Any) -> list[str]:
    return list(OmegaConf.select(config, _EXCLUDED) or ())


def _end(error: Exception) -> NoReturn:
    """Ends the program with one line for an error of the user, or else with its traceback."""
    assert _running is not None
    full = _running.full_errors
    message = None if full else one_line(error, _running.default_config)
    if message is None:
        traceback.print_exception(error)
    else:
        print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)
