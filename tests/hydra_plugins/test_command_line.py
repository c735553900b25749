"""Paths go through as typed, values are checked before anything is written, errors are one line."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line._checking import check_config
from hydra_plugins.recon_command_line._paths import quote_paths, quoted, swept_keys

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]

# Scripts by the name of their configuration, and what each must be given.
COMMANDS = {
    "train": ("train.py", []),
    "eval": ("eval.py", ["checkpoint=a.pt"]),
    "prepare_data": ("scripts/prepare_data.py", ["output=a.h5"]),
    "fit_shape": ("scripts/fit_shape.py", []),
    "fit_pose": ("scripts/fit_pose.py", []),
    "fit_camera": ("scripts/fit_camera.py", []),
    "fit_articulation": ("scripts/fit_articulation.py", []),
}
# None of these is a value of any key that is neither a text nor a list nor a mapping.
WRONG = ("abc", math.nan, 1e300, [], {})


def config_of(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose(name, [*COMMANDS[name][1], *overrides])


def keys_of(name: str) -> Any:
    script = str(ROOT / COMMANDS[name][0])
    code = compile(Path(script).read_text(encoding="utf-8"), script, "exec")
    space: dict[str, Any] = {"__name__": "loaded", "__file__": script}
    sys.modules["loaded"] = type(sys)("loaded")
    sys.modules["loaded"].__file__ = script
    exec(code, space)
    return space["KEYS"]


def test_a_sweep_over_checkpoints_takes_names_of_shipped_models(
    shipped: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.pt").touch()
    given = f"checkpoint={tmp_path}/a.pt,objects13"
    assert quote_paths(["-m", given]) == ["-m", f"checkpoint='{tmp_path}/a.pt','objects13'"]
    with pytest.raises(ValueError, match="there is no objects99"):
        quote_paths(["-m", given.replace("13", "99")])


@given(st.text(st.characters(exclude_characters="\0$", exclude_categories=["Cs"]), min_size=1))
def test_quoted_texts_are_read_as_they_are(text: str) -> None:
    assert OverridesParser.create().parse_override(f"image={quoted(text)}").value() == text


@pytest.mark.parametrize("name", ["a=b", "a,b", "(a)", "#a", "a&b", "it's", "[1].png", "a b", "é"])
def test_paths_are_paths(name: str) -> None:
    (override,) = quote_paths([f"data.path={name}/x.h5"])
    assert OverridesParser.create().parse_override(override).value() == f"{name}/x.h5"


def test_what_is_no_path_stays() -> None:
    typed = ["seed=1,2", "-m", "data.path=[a.h5,b.h5]", "image=null", "mesh='a b'", "source=images"]
    assert quote_paths(typed) == typed


def test_existing_paths_are_swept_over_and_one_with_a_comma_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b c.png", "one,two.png"):
        (tmp_path / name).touch()
    assert quote_paths(["-m", "image=a.png,b c.png"]) == ["-m", "image='a.png','b c.png'"]
    assert quote_paths(["-m", "image=one,two.png"]) == ["-m", "image='one,two.png'"]
    assert quote_paths(["image=a.png,gone.png"]) == ["image='a.png,gone.png'"]
    with pytest.raises(ValueError, match=r"no gone.png.*choice\('a.png','gone.png'\)"):
        quote_paths(["-m", "image=a.png,gone.png"])


def test_keys_with_several_values_are_found() -> None:
    assert list(swept_keys(["-m", "image='a','b'", "seed=1", "size=choice(1,2)"])) == [
        "image",
        "size",
    ]


def leaves(node: Any, key: str = "") -> Iterator[str]:
    """The keys of all values of a configuration which are no mappings and no lists."""
    for name, child in node.items_ex(resolve=False):
        full = f"{key}.{name}" if key else str(name)
        if OmegaConf.is_dict(child):
            yield from leaves(child, full)
        elif not OmegaConf.is_config(child) and not str(name).startswith("_"):
            yield full


def refusal(config: DictConfig, keys: Any) -> str | None:
    try:
        check_config(config, keys)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_values_of_every_key_are_refused_by_name(name: str) -> None:
    """A value that means nothing is refused in one line; texts are left to who reads them."""
    config, keys = config_of(name), keys_of(name)
    check_config(config, keys)
    taken: dict[str, list[object]] = {}
    for key in leaves(config):
        if isinstance(OmegaConf.select(config, key), str):
            continue
        for wrong in WRONG:
            changed = config.copy()
            OmegaConf.update(changed, key, wrong, merge=False)
            message = refusal(changed, keys)
            if message is None:
                taken.setdefault(key, []).append(wrong)
                continue
            assert len(message.splitlines()) == 1
            assert key.rpartition(".")[2] in message
    silent = {key for key, values in taken.items() if "abc" in values and math.nan in values}
    assert not silent, taken


def test_words_and_whole_floats_are_converted_where_they_are_read() -> None:
    config = config_of("eval", "report=off", "save_meshes=2e0", "baselines=no")
    check_config(config, keys_of("eval"))
    assert config.assessment.report is False
    assert config.assessment.examples.count == 2
    assert type(config.assessment.examples.count) is int
    assert config.assessment.settings.baselines is False


def test_terms_and_groups_of_ones_own_are_taken_and_former_names_resolved() -> None:
    term = "+loss.terms.mine={_target_: recon.losses.smoothness.FlattenLoss, weight: 1}"
    groups = "optimizer.groups=[{match: encoder, lr: 1e-4}]"
    config = config_of("train", term, groups, "renderer._target_=recon.renderer.SoftRenderer")
    check_config(config, keys_of("train"))
    assert config.renderer._target_ == "recon.rendering.renderer.SoftRenderer"
    config.loss.terms.mine.weight = -1
    message = refusal(config, keys_of("train"))
    assert message == "loss.terms.mine.weight must be a finite number >= 0 and <= 1e+09, got -1"
    config.loss.terms.mine = {"_target_": "recon.losses.smoothness.FlattenLoss", "wait": 1}
    assert "loss.terms.mine.wait" in (refusal(config, keys_of("train")) or "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.max_step=3"], "trainer.max_step is unknown; did you mean trainer.max_steps?"),
        (["trainer.max_steps=abc"], "trainer.max_steps must be a whole number >= 1, got 'abc'"),
        (["experiment=smok"], "experiment=smok: there is "),
        (["loss.weights.laplacian=nan"], "loss.weights.laplacian must be a finite number >= 0"),
        (["seed=-1"], "seed must be a whole number >= 0"),
        (
            ["trainer.num_workers=1e9"],
            "trainer.num_workers must be a whole number >= 0 and <= 1024",
        ),
        (["model.decoder.subdivisions=9"], "model.decoder.subdivisions must be a whole number"),
        (["trainer._target_=recon.gone"], "trainer._target_=recon.gone cannot be imported"),
        (["data.path=???"], "give data.path=VALUE"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(
    run_script_here: Run, overrides: list[str], message: str, tmp_path: Path
) -> None:
    failed = run_script_here("train.py", f"output_dir={tmp_path / 'run'}", *overrides)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (tmp_path / "run").exists()


def test_jobs_that_differ_by_a_path_have_folders_of_their_own(
    run_script_here: Run, tmp_path: Path
) -> None:
    """The key is not in the names of folders else; both jobs fail, as both files are empty."""
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).touch()
    command = ["-m", f"data.path={tmp_path}/a.h5,{tmp_path}/b.h5", f"output_dir={tmp_path}/sweep"]
    failed = run_script_here("train.py", "experiment=smoke", *command)
    assert failed.returncode == 1
    assert len(list((tmp_path / "sweep").glob("*data.path*"))) == 2
