"""Paths go through as typed, values are checked before anything is written, errors are one line."""

from __future__ import annotations

import math
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line._checking import check_config, drop_color_head
from hydra_plugins.recon_command_line._paths import quote_paths, quoted, swept_keys
from recon.arguments import argument_hints
from recon.command_line import user_error

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
# Options of groups that have keys which the defaults have not.
OPTIONS = {
    "train": [
        ["data=shapes", "model/color_head=palette", "loss=color", "renderer=color"],
        ["data=shapes", "model/color_head=vertex", "schedule=cosine"],
        ["data=shapes", "model/camera_head=directions", "loss=camera"],
    ],
    "prepare_data": [
        ["rendering=random"],
        *(
            [
                f"source={path.stem}",
                *(
                    f"source.{key}=x"
                    for key in re.findall(r"^(\w+): \?{3}", path.read_text(), re.M)
                ),
            ]
            for path in sorted((ROOT / "configs" / "source").glob("*.yaml"))
        ),
    ],
}
# What a user may type by mistake for any key.
NONSENSE = (-1, 0, 1e30, math.nan, "abc", [], {}, None, True, 1.5)


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
    """The keys of all values of a configuration which are no mappings; lists of mappings are."""
    for name, child in node.items_ex(resolve=False):
        full = f"{key}.{name}" if key else str(name)
        if OmegaConf.is_dict(child):
            yield from leaves(child, full)
        elif OmegaConf.is_list(child) and any(map(OmegaConf.is_dict, child)):
            for index, one in enumerate(child):
                yield from leaves(one, f"{full}.{index}")
        elif not str(name).startswith("_"):
            yield full


def refusal(config: DictConfig, keys: Any) -> str | None:
    try:
        check_config(config, keys)
    except ValueError as error:
        return str(error)
    return None


def accepted(config: DictConfig, key: str, keys: Any) -> list[object]:
    """Which of `NONSENSE` a key takes; the others are refused in one line that names the key."""
    taken = []
    for value in NONSENSE:
        changed = config.copy()  # a check replaces what it converts
        OmegaConf.update(changed, key, value, merge=False)
        message = refusal(changed, keys)
        if message is None:
            taken.append(value)
        else:
            assert len(message.splitlines()) == 1
            assert key.rpartition(".")[2] in message, (key, value, message)
    return taken


def require_sense(key: str, default: object, taken: list[object]) -> None:
    """A number is taken in its range, a text where there may be one, and nothing else."""
    assert {} not in taken, key
    assert not any(isinstance(value, float) and math.isnan(value) for value in taken), key
    assert not isinstance(default, str) or "abc" in taken or len(taken) < 3, key
    # A number is also the text of a name, but no number is without a bound.
    assert ("abc" in taken) == (1e30 in taken), key
    booleans = [value for value in taken if value is True]
    assert not booleans or isinstance(default, bool) or key.endswith("progress"), key


def error_of(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


def require_errors_of_users(config: DictConfig, key: str, taken: list[object]) -> None:
    """What is built of a value which was taken is built, or refused by a message."""
    parent = key
    while parent and not (
        OmegaConf.is_dict(node := OmegaConf.select(config, parent)) and "_target_" in node
    ):
        parent = parent.rpartition(".")[0]
    if not parent or parent.startswith(("trainer", "assessment", "loss", "source", "data")):
        return  # which need data: see the tests of these
    for value in taken:
        OmegaConf.update(config, key, value, merge=False)
        node = OmegaConf.to_container(OmegaConf.select(config, parent), resolve=True)
        error = error_of(partial(instantiate, node))
        assert error is None or user_error(error) is not None, (key, value)


@pytest.mark.parametrize("name", COMMANDS)
def test_nonsense_for_any_key_is_refused_by_name(name: str) -> None:
    keys, seen = keys_of(name), set()
    for options in OPTIONS.get(name, [[]]):
        config = config_of(name, *options)
        for key in leaves(config):
            if key not in seen:
                seen.add(key)
                default = OmegaConf.select(config, key)
                taken = accepted(config, key, keys)
                require_sense(key, default, taken)
                if not isinstance(default, str):
                    require_errors_of_users(config.copy(), key, taken)
    assert len(seen) > 10


def bare_numbers(hint: Any) -> bool:
    """Whether a type has a number without a range."""
    if get_origin(hint) is Annotated or get_origin(hint) is Callable:
        return False
    return hint in (int, float) or any(map(bare_numbers, get_args(hint)))


def targets() -> set[str]:
    texts = [path.read_text() for path in (ROOT / "configs").rglob("*.yaml")]
    return {name for text in texts for name in re.findall(r"_target_: (recon\.[\w.]+)", text)}


@pytest.mark.parametrize("target", sorted(targets()))
def test_every_number_of_a_signature_has_a_range(target: str) -> None:
    hints = argument_hints(pkgutil.resolve_name(target))
    assert not [name for name, hint in hints.items() if name != "return" and bare_numbers(hint)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_that_a_command_reads_has_a_range(name: str) -> None:
    hints = keys_of(name).items()
    assert not [key for key, hint in hints if bare_numbers(hint)]
    made = [hint for _, hint in hints if is_dataclass(hint)]
    assert not [hint for one in made for hint in argument_hints(one).values() if bare_numbers(hint)]


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
    assert message == "loss.terms.mine.weight must be a finite number >= 0 and <= 1e+25, got -1"
    config.loss.terms.mine = {"_target_": "recon.losses.smoothness.FlattenLoss", "wait": 1}
    assert "loss.terms.mine.wait" in (refusal(config, keys_of("train")) or "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.max_step=3"], "trainer.max_step is unknown; did you mean trainer.max_steps?"),
        (
            ["experiment=open", "data.mixture={mine: {path: a.h5}}"],
            "data.mixture.mine is unknown; +data.mixture.mine=VALUE adds it",
        ),
        (["trainer={max_step: 3}"], "trainer.max_step is unknown; did you mean trainer.max_steps?"),
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


class _PlainModel:
    def __init__(self, width: int = 8) -> None: ...


class _ModelWithHead(_PlainModel):
    def __init__(self, color_head: Any = None, width: int = 8) -> None: ...


def with_own_model(tmp_path: Path, name: str, *overrides: str) -> DictConfig:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(f"_target_: {__name__}.{name}\nwidth: 8\n")
    more = [f"hydra.searchpath=[file://{tmp_path}]", "model=mine", "data.path=a.h5", *overrides]
    return config_of("train", *more)


@pytest.mark.parametrize("experiment", ["softras_color", "demo"])
def test_a_colour_experiment_takes_a_model_of_ones_own(experiment: str, tmp_path: Path) -> None:
    config = with_own_model(tmp_path, "_PlainModel", f"experiment={experiment}")
    drop_color_head(config, ["model=mine", f"experiment={experiment}"])
    assert config.model == {"_target_": f"{__name__}._PlainModel", "width": 8}
    check_config(config, keys_of("train"))
    assert config.loss.texels == 0


def test_a_colour_head_which_is_typed_or_taken_stays(tmp_path: Path) -> None:
    config = with_own_model(tmp_path, "_PlainModel", "model/color_head=palette")
    drop_color_head(config, ["model/color_head=palette", "model.color_head.latent=8"])
    assert "color_head" in config.model
    config.model._target_ = f"{__name__}._ModelWithHead"
    drop_color_head(config, [])
    assert "color_head" in config.model
    ours = config_of("train", "data.path=a.h5", "experiment=demo")
    drop_color_head(ours, ["experiment=demo"])
    assert ours.model.color_head._target_ == "recon.models.PaletteHead"
