"""Options of all commands without Hydra: nonsense is refused in one line, by name."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recon.arguments import PositiveInt, Seconds, option_type
from recon.command_line import CommandParser

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path
    for path in [*(ROOT / "scripts").rglob("*.py"), ROOT / "recon" / "inference" / "command.py"]
    if "CommandParser(" in path.read_text(encoding="utf-8")
)
# None of these is a value of any numeric option.
NONSENSE = ("-1", "1e30", "nan", "abc", "[]", "null", "true", "")


class ParserMade(BaseException):
    """Ends a command once it has made its parser."""


def parser_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    def end(self: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        raise ParserMade(self)

    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location(f"command_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", end)
        patch.setattr(argparse.ArgumentParser, "parse_intermixed_args", end)
        patch.setattr(sys, "argv", [str(path)])
        with pytest.raises(ParserMade) as made:
            module.main()
    parser = made.value.args[0]
    assert isinstance(parser, CommandParser)
    return parser


def test_every_command_takes_part() -> None:
    others = [
        path
        for folder in ("scripts", "recon")
        for path in (ROOT / folder).rglob("*.py")
        if "ArgumentParser(" in path.read_text(encoding="utf-8") and path.name != "command_line.py"
    ]
    assert not others
    assert len(SCRIPTS) > 10


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_nonsense_for_any_option_is_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = parser_of(path, monkeypatch)
    for action in parser._actions:
        # Texts, such as paths and names, are for the command itself to judge.
        if action.type in (None, Path, str) or not action.option_strings:
            continue
        option = action.option_strings[0]
        for value in NONSENSE:
            with pytest.raises(SystemExit) as refused:
                parser.parse_args([f"{option}={value}"])
            assert refused.value.code == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"error: argument {option}: must be ")
            assert line.endswith(f"got {value!r}")


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [(PositiveInt, "3", 3), (PositiveInt, "1e3", 1000), (Seconds, "2", 2)],
)
def test_numbers_are_read(hint: object, text: str, value: float) -> None:
    read: Callable[[str], float] = option_type(hint)
    assert read(text) == value


def test_what_an_option_requires_is_said() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"a whole number >= 1, got '0'"):
        option_type(PositiveInt)("0")
