"""Writes docs/configuration.md: every key of configs/ with its default and the comment beside it.

    python docs/document_configuration.py [OUTPUT]

A key without a comment is explained by the same key of another file of its group, or by the same
argument of the same class in its own file.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from commented_yaml import ConfigFile, Key, read_file

from recon.files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
PAGE = ROOT / "docs" / "configuration.md"

# Commands in the order of work, each with the groups its defaults choose from.
COMMANDS = {
    "train": (
        "model", "model/color_head", "model/camera_head", "model/backbone", "data", "renderer",
        "loss", "optimizer", "schedule", "trainer", "trainer/augmentation", "experiment", "search",
        "hydra/sweeper",
    ),
    "eval": (),
    "prepare_data": ("source", "rendering", "augmentation"),
    "fit_shape": (),
    "fit_pose": (),
    "fit_articulation": (),
    "fit_camera": (),
}  # fmt: skip

INTRODUCTION = """\
# Configuration

<!-- Written by docs/document_configuration.py out of the comments in configs/: edit those. -->

Every key below can be given on the command line: `python train.py trainer.max_steps=500 seed=3`.
A group is a folder of `configs/`, and `GROUP=FILE` chooses one of its files: `python train.py
model=small`. What a shell would read is quoted: `'data.categories=[chair,car]'`. With `--cfg job` a
command prints what it would run with, and does nothing else.

A file's **defaults list** names the files it starts from, the later over the earlier; `_self_` is
where its own keys come in, and `override` replaces a choice made before. The **package** of a file
is where its keys end up: by default its folder (`configs/model/small.yaml` gives `model.…`), else
what `# @package` names, as the whole configuration, `_global_`, in experiments and searches.

`_target_` names the class or function which gets the other keys as arguments, so your own is used
by naming it: [extending.md](extending.md). `${a.b}` repeats another key; `???` must be given. Left
out below are the keys of `hydra` which make `output_dir` the folder of the run.
"""

# Groups whose files set keys of other groups.
DIFFERENCES = ("experiment", "search")
# What a search draws, by the name of the key.
SEARCHED = "hydra.sweeper.params."


def read_group(group: str, configs: Path = CONFIGS) -> list[ConfigFile]:
    """Reads the files of a group in the order of their names."""
    package = group.replace("/", ".")
    return [read_file(path, package) for path in sorted((configs / group).glob("*.yaml"))]


class Explanations:
    """What explains a key: its own comment, or that of the same key elsewhere.

    Args:
        files: Of one command and its groups.
    """

    def __init__(self, files: Mapping[str, Sequence[ConfigFile]]) -> None:
        self._by_name: dict[str, str] = {}
        for group, options in files.items():
            # What these say is why they differ, not what a key means.
            for file in [] if group in DIFFERENCES else options:
                for key in file.keys:
                    if key.comment:
                        self._by_name.setdefault(key.name, key.comment)

    def of(self, key: Key, file: ConfigFile) -> str:
        """Returns the explanation of a key of a file, or nothing."""
        if key.comment or key.refers:
            return key.comment
        name = key.name.rpartition(".")[2]
        for other in file.keys if key.target else []:
            same = other.name.rpartition(".")[2] == name and other.target == key.target
            if same and other.comment:
                return other.comment
        return self._by_name.get(key.name.removeprefix(SEARCHED), "")


def read_command(command: str, configs: Path = CONFIGS) -> dict[str, list[ConfigFile]]:
    """Reads a command's file, under its name, and the files of its groups, likewise."""
    found = {command: [read_file(configs / f"{command}.yaml")]}
    return found | {group: read_group(group, configs) for group in COMMANDS[command]}


def unexplained(configs: Path = CONFIGS) -> list[str]:
    """Returns the keys, as FILE: KEY, which no comment explains."""
    found = []
    for command in COMMANDS:
        files = read_command(command, configs)
        explanations = Explanations(files)
        for group, options in files.items():
            for file in options:
                place = group if group == file.option else f"{group}/{file.option}"
                for key in file.keys:
                    if key.leaf and not key.refers and not explanations.of(key, file):
                        found.append(f"{place}: {key.name}")
    return found


def page(configs: Path = CONFIGS) -> str:
    """Returns the page."""
    parts = [INTRODUCTION]
    for command, groups in COMMANDS.items():
        files = read_command(command, configs)
        explanations = Explanations(files)
        (file,) = files[command]
        script = f"{command}.py" if command in ("train", "eval") else f"scripts/{command}.py"
        parts += [f"## {script}\n", _usage(file), _table(file, explanations)]
        for group in groups:
            parts.append(f"### Group {group}\n")
            choice = next((d for d in file.defaults if d.startswith(f"{group}=")), "")
            for option in files[group]:
                own = Explanations({}) if group in DIFFERENCES else explanations
                parts.append(_option(group, option, choice, own))
    return "\n".join(part for part in parts if part)


def _usage(file: ConfigFile) -> str:
    """Returns the header of a command: its first lines are command lines."""
    typed = [line for line in file.header if line.startswith(("python ", "["))]
    said = [line for line in file.header if line not in typed]
    block = "```text\n" + "\n".join(typed) + "\n```\n" if typed else ""
    return block + ("\n" + _sentence(said) + "\n" if said else "")


def _option(group: str, file: ConfigFile, choice: str, explanations: Explanations) -> str:
    chosen = " (default)" if choice == f"{group}={file.option}" else ""
    lines = [f"**`{group}={file.option}`**{chosen}"]
    if file.header:
        lines[0] += f": {_sentence(file.header)}"
    facts = [f"Builds `{file.target}`."] if file.target else []
    chosen_too = [name for name in file.defaults if "=" in name]
    started = [name for name in file.defaults if "=" not in name]
    if started:
        facts.append("Starts from " + ", ".join(f"`{name}`" for name in started) + ".")
    if chosen_too:
        texts = [name.removeprefix("override ").lstrip("/") for name in chosen_too]
        facts.append("Chooses " + ", ".join(f"`{text}`" for text in texts) + ".")
    return "\n\n".join([*lines, *([" ".join(facts)] if facts else [])]) + (
        "\n\n" + _table(file, explanations)
    )


def _sentence(lines: Sequence[str]) -> str:
    return " ".join(" ".join(lines).split())


def _table(file: ConfigFile, explanations: Explanations) -> str:
    rows = []
    for key in file.keys:
        explanation = explanations.of(key, file)
        if not key.leaf and not explanation and not key.value:
            continue
        if not key.leaf and key.value:
            explanation = f"{explanation + '; ' if explanation else ''}`{key.value}`"
        value = f"`{_cell(key.value)}`" if key.leaf else ""
        rows.append(f"| `{key.name}` | {value} | {_cell(explanation)} |")
    if not rows:
        return ""
    return "\n".join(["| key | default | |", "|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    """Returns text as a cell of a table takes it."""
    return text.replace("|", r"\|").replace("<", "&lt;")


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("output", nargs="?", type=Path, default=PAGE)
    output = parser.parse_args(arguments).output
    with atomic_file(output) as file:
        file.write(page().encode())
    for name in unexplained():
        print(f"without an explanation: {name}")


if __name__ == "__main__":
    main()
