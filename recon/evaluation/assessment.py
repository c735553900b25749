"""The evaluation of one trained model: tables, comparisons and images of its predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recon.compute import choose_device
from recon.datasets.storage.shards import Paths
from recon.evaluation.comparison import (
    Comparison,
    compare,
    require_same_views,
    require_shared_protocol,
)
from recon.evaluation.corruption_table import CorruptionTable, write_corruptions
from recon.evaluation.examples import ExampleFiles
from recon.evaluation.model_evaluation import EvaluationConfig, ModelEvaluation
from recon.evaluation.references import (
    choose_references,
    reference_rows,
    reference_text,
    require_reference_metric,
)
from recon.evaluation.result import EvaluationResult
from recon.evaluation.robustness import measure_corruptions
from recon.evaluation.tables import main_result, summary_text, write_tables
from recon.files import csv_text, locked, text_table, write_text
from recon.runs.checkpoints import ALLOWED_TARGETS
from recon.runs.directory import read_config, write_json
from recon.runs.trained_models import TrainedModel, load_trained_model

RESULT = "result.json"


class Assessment:
    """Evaluates a model and writes tables, comparisons and images.

    Args:
        settings: The configuration of the evaluation: what is scored, and by which metrics.
        examples: How many predictions are written as meshes and images, and in which formats; None
            writes none.
        against: The evaluation to compare with, object by object: another checkpoint, a
            `result.json`, or the folder of an earlier evaluation; None compares with nothing.
        reference: The names of published results that are shown beside ours, see
            `recon.evaluation.references`.
        report: Whether `report.html` is written.
        corruptions: Whether the model is scored on corrupted images, too, see
            `recon.evaluation.robustness`.
        device: The device of the model: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` chooses a GPU
            when there is one.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        allowed_targets: The packages whose classes the checkpoint in `against` may name as its
            model, each with a dot at its end.

    Raises:
        ValueError: There is no such device or reference.
    """

    def __init__(
        self,
        settings: EvaluationConfig | None = None,
        examples: ExampleFiles | None = None,
        against: str | Path | None = None,
        reference: str | Sequence[str] | None = None,
        report: bool = False,
        corruptions: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        allowed_targets: Sequence[str] = ALLOWED_TARGETS,
    ) -> None:
        self.config = settings or EvaluationConfig()
        self.examples = examples or ExampleFiles()
        self.against = None if against is None else Path(against)
        self.references = choose_references(reference)
        self.report, self.corruptions, self.progress = report, corruptions, progress
        self.device = choose_device(device)
        self.allowed_targets = tuple(allowed_targets)

    def run(
        self, trained: TrainedModel, folder: Path, data_path: Paths | None = None
    ) -> EvaluationResult:
        """Evaluates a model, continues an interrupted evaluation, or repeats a finished one.

        Everything that can be checked is checked before anything is written.

        Args:
            trained: The trained model that is evaluated.
            folder: The folder that everything is written to; it is created if it does not exist.
            data_path: The path or paths of the prepared files; the baselines learn from their
                training split. None uses the files that the model was trained on.

        Raises:
            ValueError, OSError: The data or a file cannot be used, another process is writing in
                the folder, or the folder is that of a training run.
            SystemExit: A signal asked to stop; the same call continues the evaluation.
        """
        _refuse_run_directory(folder)
        data_path = data_path or trained.data_path()
        shows = self.report or self.examples.count > 0
        evaluation = self._evaluation(self.config, trained, data_path, folder, shows)
        self.examples.require_room_for_texels(evaluation.blank)
        against = self._against(evaluation, trained.path, data_path, folder)
        require_reference_metric(self.references, evaluation.metrics)
        with locked(folder, "evaluating"), log_file(folder / "eval.log"):
            other = None if against is None else against()
            result = evaluation.run()
            write_tables(folder, result)
            print(summary_text(result))
            if other is not None:
                self._compare(result, other, trained.path, folder)
            self._show_references(result, folder)
            corrupted = self._measure_corruptions(evaluation, folder)
            self._show_objects(result, evaluation, folder, corrupted)
            print(f"tables: {folder / 'table.txt'}\n\n{main_result(result)}")
        return result

    def _evaluation(
        self,
        config: EvaluationConfig,
        trained: TrainedModel,
        data_path: Paths,
        folder: Path,
        keep_predictions: bool = False,
    ) -> ModelEvaluation:
        device, progress = self.device, self.progress
        return ModelEvaluation(
            config, trained, data_path, folder, device, progress, keep_predictions=keep_predictions
        )

    def _against(
        self, evaluation: ModelEvaluation, path: Path, data_path: Paths, folder: Path
    ) -> Callable[[], EvaluationResult] | None:
        """Returns what gives the evaluation to compare with.

        Whether the two can be compared is known before any of them is run.
        """
        if self.against is None:
            return None
        if self.against.is_dir() or self.against.suffix == ".json":
            file = self.against / RESULT if self.against.is_dir() else self.against
            other = EvaluationResult.read(file)
            names = (str(path), str(self.against))
            require_same_views(dict.fromkeys(evaluation.data.ids, evaluation.views), other, names)
            require_shared_protocol(evaluation.protocols, other, names)
            return lambda: other
        trained = load_trained_model(self.against, allowed_targets=self.allowed_targets)
        config, own_folder = self.config.without_baselines(), folder / "against"
        other_evaluation = self._evaluation(config, trained, data_path, own_folder)

        def evaluate() -> EvaluationResult:
            result = other_evaluation.run()
            result.write(own_folder / RESULT)
            return result

        return evaluate

    def _compare(
        self, result: EvaluationResult, other: EvaluationResult, path: Path, folder: Path
    ) -> None:
        names = (str(path), str(self.against))
        comparison = compare(result, other, names, self.config.seed)
        write_comparison(folder, comparison)
        print(f"\n{comparison.summary()}\n\ncomparison: {folder / 'comparison.txt'}")

    def _show_references(self, result: EvaluationResult, folder: Path) -> None:
        if not self.references:
            return
        rows, notes = reference_rows(result, self.references)
        write_text(folder / "reference.txt", reference_text(rows, notes))
        write_text(folder / "reference.csv", csv_text(rows))
        print(f"\n{text_table(rows, total=True)}\n\nreference: {folder / 'reference.txt'}")

    def _measure_corruptions(
        self, evaluation: ModelEvaluation, folder: Path
    ) -> CorruptionTable | None:
        if not self.corruptions:
            return None
        table = measure_corruptions(evaluation, self.progress)
        write_corruptions(folder, table)
        path = folder / "corruptions.txt"
        print(f"\n{text_table(table.table(), total=True)}\n\ncorruptions: {path}")
        return table

    def _show_objects(
        self,
        result: EvaluationResult,
        evaluation: ModelEvaluation,
        folder: Path,
        corruptions: CorruptionTable | None = None,
    ) -> None:
        paths = self.examples.save(evaluation.predictions, folder)
        if paths:
            print(f"images: {paths[0]}\nmeshes: {paths[1].parent} ({len(paths) - 1} objects)")
        if self.report:
            # Only here: what it draws with takes a while to import.
            from recon.evaluation.report_page import write_report_page

            path = folder / "report.html"
            write_report_page(result, evaluation.predictions, path, corruptions=corruptions)
            print(f"report: {path}")


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Appends the log of the block to a file, which is made with the first message."""
    handler = logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Writes `comparison.txt`, `comparison.csv` and `comparison.json`.

    Raises:
        OSError: A file could not be written; nothing half-written keeps its final name.
    """
    write_text(folder / "comparison.txt", comparison.text())
    write_text(folder / "comparison.csv", csv_text(comparison.table()))
    write_json(folder / "comparison.json", comparison.json())


def _refuse_run_directory(folder: Path) -> None:
    """Keeps `result.json` of a training run from being overwritten.

    Raises:
        ValueError: The folder is that of a training run.
    """
    if read_config(folder) is not None or (folder / "checkpoints").exists():
        raise ValueError(
            f"{folder} is the folder of a training run, whose result.json would be lost; choose "
            f"another output_dir, as {folder / 'evaluation'}"
        )
