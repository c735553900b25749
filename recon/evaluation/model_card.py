"""The card of shared weights: what a model was trained on, how, and how good it is, as Markdown.

Everything in it is read from files: the checkpoint, the labels of the training data, and the
result of an evaluation.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.datasets.categories import present_categories
from recon.datasets.licences import has_licence
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import open_dataset
from recon.datasets.storage.shards import Paths
from recon.evaluation.provenance import file_fingerprint
from recon.evaluation.result import MACRO, MODEL, EvaluationResult
from recon.evaluation.tables import estimate_text, unit_label
from recon.runs.trained_models import TrainedModel

# Licences under which weights may be shared with attribution alone; see `has_licence`.
SHAREABLE = ("CC0", "CC-BY", "CC-BY-SA", "WTFPL")
# Names in the labels end in who made the object: 'Chair (dining-chair; by Kator Legaz)'.
_AUTHOR = re.compile(r"\bby ([^();]+)\)?$")
# What `recon.preparation.augmentation` adds to the name of an object.
_COPY = re.compile(r" \(deformed \d+\)$")
# Objects of the evaluation that are shown as failures, the worst of each category at most.
FAILURES = 6


@dataclass(frozen=True)
class TrainingFile:
    """The training objects of one file.

    Args:
        name: Name of the file, without its folder.
        source: Name of the source that the file was prepared from.
        command: The command that prepared the file.
        names: The name of each object.
        synsets: The synset of each object.
        licences: The licence of each object.
    """

    name: str
    source: str
    command: str
    names: Sequence[str]
    synsets: Sequence[str]
    licences: Sequence[str]


def training_paths(config: Mapping[str, Any]) -> list[Paths]:
    """Returns the files that a configuration trains on: those of its mixture, else `data.path`."""
    data = config.get("data") or {}
    mixture = data.get("mixture") or {}
    paths = [entry.get("path") or data.get("path") for entry in mixture.values()]
    return list(dict.fromkeys(path for path in paths or [data.get("path")] if path))


def read_training_files(
    paths: Iterable[Paths], config: Mapping[str, Any], allowed: Sequence[str] = SHAREABLE
) -> list[TrainingFile]:
    """Reads the labels of the objects that a run was trained on.

    Args:
        paths: The files.
        config: The configuration of the run, whose `data.categories` and `data.licences` say which
            of the training objects were used.
        allowed: Licences that these objects may have; see `has_licence`.

    Raises:
        ValueError: A file is not readable, or an object has another licence; the message counts
            them.
        OSError: A file is not there.
    """
    data = config.get("data") or {}
    files = []
    for path in paths:
        labels = MultiViewDataset(path, "train", data.get("categories"))
        used = data.get("licences")
        kept = [
            index
            for index, licence in enumerate(labels.licences)
            if used is None or has_licence(licence, used)
        ]
        _require_licences(str(labels.paths[0]), [labels.licences[i] for i in kept], allowed)
        with open_dataset(labels.paths[0]) as file:
            source, command = str(file.attrs["source"]), str(file.attrs["command"])
        texts = (labels.names, labels.synsets, labels.licences)
        columns = [[column[index] for index in kept] for column in texts]
        files.append(TrainingFile(labels.paths[0].name, source, _portable(command), *columns))
    return files


def _require_licences(path: str, licences: Sequence[str], allowed: Sequence[str]) -> None:
    other = Counter(one for one in licences if not has_licence(one, allowed))
    if other:
        found = ", ".join(f"{name or 'none'} ({count})" for name, count in other.most_common())
        raise ValueError(
            f"{path}: weights may be shared only if all training objects are under "
            f"{', '.join(allowed)}; got {found}"
        )


def _portable(command: str) -> str:
    """Returns a command without the folders of one machine."""
    return re.sub(r"(?<![\w.])/[^\s'\"]*/", "", command)


def worst_objects(result: EvaluationResult, data: MultiViewDataset) -> list[int]:
    """Returns the objects with the lowest scores, at most one of each category, worst first.

    Args:
        result: The evaluation, whose first metric counts.
        data: The objects of the evaluation.

    Raises:
        ValueError: An object of the result is not in the data.
    """
    metric = result.metrics[0]
    sign = 1 if metric.higher_is_better else -1
    scores = zip(result.values(MODEL, metric.key), result.objects, strict=True)
    found: dict[str, str] = {}
    for _, row in sorted(scores, key=lambda pair: (sign * pair[0], pair[1].id)):
        found.setdefault(row.synset, row.id)
    chosen = list(found.values())[:FAILURES]
    if missing := [id_ for id_ in chosen if id_ not in data.ids]:
        raise ValueError(f"{data.paths[0]} has no object {missing[0]}, which the result names")
    return [data.ids.index(id_) for id_ in chosen]


def require_result_of(result: EvaluationResult, files: Sequence[Path]) -> Path:
    """Returns which of some files an evaluation is of.

    Raises:
        ValueError: It is of none of them, told by their content.
    """
    wanted = result.about.get("checkpoint_fingerprint")
    for path in files:
        if file_fingerprint(path) == wanted:
            return path
    raise ValueError(
        f"the result must be of {' or '.join(map(str, files))}, got one of "
        f"{result.about.get('checkpoint')}, whose content differs"
    )


def model_card(
    name: str,
    trained: TrainedModel,
    command: str,
    files: Sequence[TrainingFile],
    result: EvaluationResult | None = None,
    failures: str | None = None,
) -> str:
    """Returns the card of shared weights.

    Args:
        name: The name of the model.
        trained: The model of the exported file, not of the checkpoint it was made from.
        command: The command that trained it, or a line for each of several; folders of the machine
            are left out.
        files: What it was trained on.
        result: The evaluation; None says that there is none.
        failures: The name of an image of the worst objects, beside the card; None for none.
    """
    sections = [
        f"# {name}\n\nWeights of a network that predicts a mesh from one image of an object.",
        _facts(trained),
        f"## Training\n\n```\n{_portable(command)}\n```",
        f"## Training data\n\n{_data_section(files)}",
        f"## Attributions\n\n{_attributions(files)}",
        f"## Evaluation\n\n{_evaluation_section(result)}",
    ]
    if result is not None and failures is not None:
        text = (
            f"![The worst objects of the evaluation]({failures})\n\nThe objects with the lowest "
            f"{result.metrics[0].label}, at most one of each category. The number below an image "
            "is that of the one input shown."
        )
        sections.append(f"## Failures\n\n{text}")
    return "\n\n".join(sections) + "\n"


def _facts(trained: TrainedModel) -> str:
    checkpoint, config = trained.checkpoint, trained.checkpoint["config"]
    best = checkpoint.get("best_iou")
    rows = {
        "file": f"`{trained.path.name}`, {trained.path.stat().st_size:,} bytes",
        "parameters": f"{sum(p.numel() for p in trained.model.parameters()):,}, stored in float16",
        "SHA-256 of the content": f"`{checkpoint['sha256']}`",
        "SHA-256 of the file": f"`{file_fingerprint(trained.path).removeprefix('sha256:')}`",
        "seed": str((config.get("trainer") or {}).get("seed", config.get("seed", "unknown"))),
        "optimiser steps of the last command": f"{checkpoint['step']:,}",
        "best voxel IoU on the validation split": "-" if best is None else f"{100 * best:.2f} %",
    }
    return _table(["fact", "value"], rows.items())


def _data_section(files: Sequence[TrainingFile]) -> str:
    rows = [
        (
            f"`{file.name}`",
            f"`{file.command}`",
            f"{len(file.names):,}",
            ", ".join(
                f"{licence} ({count:,})" for licence, count in Counter(file.licences).most_common()
            ),
        )
        for file in files
    ]
    synsets = [synset for file in files for synset in file.synsets]
    counts = Counter(synsets)
    categories = ", ".join(
        f"{category.name} ({counts[category.synset]:,})" for category in present_categories(synsets)
    )
    table = _table(["file", "made by", "training objects", "licences"], rows)
    return f"{table}\n\nCategories: {categories}."


def _attributions(files: Sequence[TrainingFile]) -> str:
    """Returns who made the objects, by licence, but for those that the library generated."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    generated = copies = 0
    for file in files:
        if file.source == "shapes":
            generated += len(file.names)
            continue
        copies += sum(bool(_COPY.search(name)) for name in file.names)
        for copy, licence in zip(file.names, file.licences, strict=True):
            name = _COPY.sub("", copy)
            author = _AUTHOR.search(name)
            maker = author[1].strip() if author else "author not named in the data"
            found[licence, maker].append(name)
    lines = [
        f"- **{licence}**, {maker}: {'; '.join(dict.fromkeys(names))}"
        for (licence, maker), names in sorted(found.items())
    ]
    if copies:
        lines.append(f"- {copies:,} objects are deformed copies of these, of the same licences.")
    if generated:
        lines.append(f"- {generated:,} objects were generated by this library (CC0-1.0).")
    return "\n".join(lines)


def _evaluation_section(result: EvaluationResult | None) -> str:
    if result is None:
        return "Not evaluated."
    metric = result.metrics[0]
    means = result.means[MODEL][metric.key]
    rows = [
        (category.name, str(category.objects), estimate_text(means[category.name], metric))
        for category in result.categories
    ]
    rows.append(("**mean**", str(len(result.objects)), estimate_text(means[MACRO], metric)))
    data = ", ".join(f"`{Path(path).name}`" for path in result.about.get("data", []))
    split = (result.about.get("settings") or {}).get("split") or "all"
    table = _table(["category", "objects", f"{unit_label(metric)} [95 % interval]"], rows)
    return (
        f"{result.protocols[metric.suite]}\n\nOf the objects of the split `{split}` of {data}, "
        f"by the file `{Path(str(result.about['checkpoint'])).name}`:\n\n{table}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
