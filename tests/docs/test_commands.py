"""The commands of the pages name scripts, keys and options that exist."""

from __future__ import annotations

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from document_configuration import COMMANDS, ROOT, read_command, read_group

PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Generated out of comments, among which are what another script wants.
PAGES.remove(ROOT / "docs" / "configuration.md")
EXAMPLES = ROOT / "docs" / "examples" / "configs"
COMMAND = re.compile(
    r"(?<!\w)python ((?:scripts/(?:benchmarks/)?|docs/)?\w+\.py)\b((?:\\\n|[^`\n])*)"
)
INLINE = re.compile(r"`([^`]*)`")
FENCED = re.compile(r"^```.*?\n(.*?)^```|((?:^    .*\n)+)", re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The scripts which a page calls in its code, with their arguments."""
    blocks = [first or second for first, second in FENCED.findall(text)]
    # Code in a line may be broken like words; comments end a command in a block.
    spans = [" ".join(span.split()) for span in INLINE.findall(FENCED.sub("", text))]
    found = [match for code in [*blocks, *spans] for match in COMMAND.findall(code)]
    return [(script, arguments(rest)) for script, rest in found]


def arguments(text: str) -> list[str]:
    try:
        return shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError:  # a quote in words beside the command
        return text.split()


@cache
def known_keys(command: str) -> set[str]:
    """The keys and groups of a command, and what keys lie in."""
    files = [file for options in read_command(command).values() for file in options]
    files += [file for group in COMMANDS[command] for file in read_group(group, EXAMPLES)]
    keys = {key.name for file in files for key in file.keys}
    if command == "train":  # which can prepare its data itself
        keys |= {f"data.preparation.{name}" for name in known_keys("prepare_data")}
        keys |= {name.replace("preparation.rendering", "preparation.renderer") for name in keys}
    return keys | set(COMMANDS[command])


def unknown_arguments(script: str, given: list[str]) -> list[str]:
    """The arguments of a call that its script does not know; words in capitals stand for others."""
    path = ROOT / script
    if not path.is_file():
        return [script]
    if path.stem in COMMANDS:
        typed = [re.match(r"(~?)([\w./]+)(?:=|$)", text) for text in given if "=" in text]
        keys = [match[2] for match in typed if match and not match[2].startswith("hydra")]
        keys = [re.sub(r"\.\d+\.", ".N.", key) for key in keys if not re.search(r"[A-Z]{2}", key)]
        return [key for key in keys if not key.endswith("_target_")
                and key not in known_keys(path.stem)]  # fmt: skip
    source = path.read_text(encoding="utf-8")
    for name in re.findall(r"from recon\.([\w.]*command) import", source):
        source += (ROOT / "recon" / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    options = [text.partition("=")[0] for text in given if re.match(r"--[a-z]", text)]
    return [option for option in options if f'"{option}"' not in source]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_name_what_exists(page: Path) -> None:
    unknown = {
        f"{script} {name}"
        for script, given in commands(page.read_text(encoding="utf-8"))
        for name in unknown_arguments(script, given)
    }
    assert unknown == set()


def unknown_keys(text: str) -> list[str]:
    """The keys given in the words of a page, such as `optimizer.lr=1e-3`, that no command has."""
    words = [word for span in INLINE.findall(FENCED.sub("", text)) for word in span.split()]
    typed = [re.match(r"'?[+~]*([a-z_]+(?:[./][a-z_0-9]+)+)=", word) for word in words]
    known = set().union(*(known_keys(command) for command in COMMANDS))
    keys = [match[1] for match in typed if match and not match[1].startswith("hydra")]
    return [key for key in keys if key not in known and not key.endswith("_target_")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_named_in_passing_exist(page: Path) -> None:
    assert unknown_keys(page.read_text(encoding="utf-8")) == []


def test_keys_that_no_command_has_are_found() -> None:
    text = "`optimizer.lr=1` and `seed=0 optimizer.gone=2`, x.y=3, `model._target_=a.B`"
    assert unknown_keys(text) == ["optimizer.gone"]


def test_pages_have_commands() -> None:
    found = [call for page in PAGES for call in commands(page.read_text(encoding="utf-8"))]
    assert len(found) > 40
    assert {"train.py", "eval.py", "scripts/prepare_data.py"} <= {script for script, _ in found}


def test_commands_are_found_in_code_alone() -> None:
    text = (
        "python train.py not=code and `python eval.py checkpoint=x\nsplit=val` or\n\n"
        "    python scripts/fit_pose.py image=a  # a comment\n\n"
        "```bash\npython train.py model=small \\\n    'data.categories=[a,b]'\n```\n"
    )
    assert sorted(commands(text)) == [
        ("eval.py", ["checkpoint=x", "split=val"]),
        ("scripts/fit_pose.py", ["image=a"]),
        ("train.py", ["model=small", "data.categories=[a,b]"]),
    ]


@pytest.mark.parametrize(
    ("script", "given", "unknown"),
    [
        ("train.py", ["model=small", "model/color_head=vertex", "source.KEY=1"], []),
        ("train.py", ["optimizer.rate=1", "data.preparation.source.seed=1"], ["optimizer.rate"]),
        ("train.py", ["-m", "hydra/sweeper=optuna", "model.encoder._target_=a.B", "x=1"], ["x"]),
        ("scripts/fit_shape.py", ["stages.2.steps=1", "stages.2.gone=1"], ["stages.N.gone"]),
        ("scripts/inspect_data.py", ["FILE", "--sample", "3", "--gone"], ["--gone"]),
        ("scripts/gone.py", [], ["scripts/gone.py"]),
    ],
)
def test_what_does_not_exist_is_found(script: str, given: list[str], unknown: list[str]) -> None:
    assert unknown_arguments(script, given) == unknown
