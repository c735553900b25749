"""The wheel of `make wheel`: installed in fresh environments, it renders without a compiler.

One environment borrows the torch of this one. The others have the oldest torch the kernels are made
for with the oldest Python found, and the newest torch: pip installs torch (several GB) and all the
wheel asks for into build/venvs, where they stay for the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from renderer_cuda import build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[1]
TARGET = int(build.TORCH_TARGET, 16)
OLDEST_TORCH = f"{TARGET >> 56}.{TARGET >> 48 & 255}.{TARGET >> 40 & 255}"
OLDEST_PYTHON = "python3.10"

# Renders with the kernels and with the oracle; prints what served, and how far they are apart.
RENDER = """
import hashlib, json, platform, shutil, torch
import recon.models, recon.rendering.renderer
from renderer_cuda import (
    build, soft_rasterize, soft_rasterize_reference, voxelize, voxelize_reference
)

assert not [name for name in ("c++", "g++", "clang++", "nvcc") if shutil.which(name)]
generator = torch.Generator().manual_seed(0)
vertices = torch.rand(2, 30, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
vertices[..., 2] += 3
colors = torch.rand(2, 30, 3, 3, generator=generator, dtype=torch.float64)

def render(function):
    leaf = vertices.clone().requires_grad_()
    image = function(leaf, colors, (20, 24), sigma=1e-3, gamma=1e-2)
    image.square().sum().backward()
    return torch.cat([image.detach().flatten(), leaf.grad.flatten()])

def kernels(key):
    names = [n for n in torch._C._dispatch_get_all_op_names() if n.startswith("renderer_cuda::")]
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return sum(has(name, key) for name in names)

difference = (render(soft_rasterize) - render(soft_rasterize_reference)).abs().max().item()
boxes = vertices * 0.1 + 0.3
voxels_equal = torch.equal(voxelize(boxes, 16), voxelize_reference(boxes, 16))
found = {name: build.find_prebuilt(name) for name in build.BACK_ENDS}
if found["cuda"]:  # its symbols are all resolved now, with or without a device
    torch.ops.load_library(found["cuda"])
print(json.dumps({
    "python": platform.python_version(),
    "torch": torch.__version__,
    "reason": build.load("cpu"),
    "package": build.__file__,
    "digests": {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in found.items() if f},
    "kernels": {"cpu": kernels("CPU"), "cuda": kernels("CUDA")},
    "difference": difference,
    "voxels_equal": voxels_equal,
}))
"""

Report = dict[str, Any]


def run(command: list[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def make_wheel(folder: Path) -> Path:
    """Makes the wheel as `make wheel` does, in the environment the tests run in."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-o", "install", "wheel", f"VENV={sys.prefix}", f"WHEELS={folder}"]
    run(command, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = build.load("cpu")
    if reason:
        pytest.skip(f"no CPU kernels: {reason}")
    return make_wheel(tmp_path_factory.mktemp("dist"))


def make_environment(folder: Path, python: str = sys.executable) -> Path:
    """Makes a virtual environment, if it is not there; returns its Python."""
    if not (folder / "bin" / "python").exists():
        run([python, "-m", "venv", str(folder)])
    return folder / "bin" / "python"


def find_oldest_python() -> str:
    path = shutil.which(OLDEST_PYTHON)
    works = (
        path and subprocess.run([path, "-c", "import venv"], capture_output=True).returncode == 0
    )
    return path if path and works else sys.executable


def render(python: Path, home: Path) -> Report:
    """Renders with an environment's Python, as on a machine with nothing else."""
    (home / "bin").mkdir(parents=True)
    environment = {"PATH": str(home / "bin"), "HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [str(python), "-W", "error:renderer_cuda", "-c", RENDER]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    report: Report = json.loads(done.stdout)
    print({name: value for name, value in report.items() if name != "digests"})
    return report


@pytest.fixture(scope="module")
def borrowed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What a fresh environment with the torch of this one reports."""
    folder = tmp_path_factory.mktemp("borrowed")
    python = make_environment(folder / "venv")
    run([str(python), "-m", "pip", "install", "--no-deps", str(wheel)])
    (site_packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # After its own packages, so that renderer_cuda is the wheel's.
    (site_packages / "borrowed.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return render(python, folder / "home")


def render_with_torch(version: str, interpreter: str, wheel: Path, home: Path) -> Report:
    """What an environment with a version of torch, all of it installed by pip, reports."""
    folder = ROOT / "build" / "venvs" / f"torch-{version}-{Path(interpreter).name}"
    python = make_environment(folder, interpreter)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    torch_there = subprocess.run(
        [*pip, f"torch=={version}"], capture_output=True, text=True, cwd=ROOT
    )
    if torch_there.returncode:
        pytest.skip(f"torch {version} cannot be had: {torch_there.stderr.strip()[-300:]}")
    run([*pip, f"torch=={version}", str(wheel)])
    run([*pip, "--force-reinstall", "--no-deps", str(wheel)])  # the version alone says nothing
    return render(python, home)


@pytest.fixture(scope="module")
def oldest(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What an environment with the oldest torch reports."""
    home = tmp_path_factory.mktemp("oldest") / "home"
    return render_with_torch(OLDEST_TORCH, find_oldest_python(), wheel, home)


def find_newest_torch() -> str:
    """Return the version that pip would install, skipping the test where pip cannot tell."""
    command = [sys.executable, "-m", "pip", "index", "versions", "torch"]
    done = subprocess.run(command, capture_output=True, text=True)
    match = re.match(r"torch \((\S+)\)", done.stdout)
    if match is None:
        pytest.skip(f"the newest torch is unknown: {done.stderr.strip()[-300:]}")
    return match[1]


def check(report: Report, wheel: Path) -> None:
    assert report["reason"] == ""
    assert not Path(report["package"]).is_relative_to(ROOT / "renderer_cuda")
    assert report["digests"] == digests(wheel)
    assert report["kernels"]["cpu"] > 0
    assert (report["kernels"]["cuda"] > 0) == ("cuda" in report["digests"])
    assert report["difference"] < 1e-9
    assert report["voxels_equal"]


def digests(wheel: Path) -> dict[str, str]:
    """The libraries in the wheel: back end -> SHA-256."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            Path(name).name.split("_")[2]: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.endswith(".so")
        }


def test_the_wheel_is_for_every_python_of_one_platform(wheel: Path) -> None:
    platform_tag = wheel.name.removeprefix("recon-0.1.0-py3-none-").removesuffix(".whl")
    assert platform_tag.startswith("manylinux_")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("recon-0.1.0.dist-info/METADATA").decode()
        tags = archive.read("recon-0.1.0.dist-info/WHEEL").decode()
        names = set(archive.namelist())
        for source in (ROOT / "renderer_cuda" / "csrc").iterdir():
            if source.suffix in build.SOURCE_SUFFIXES:
                assert archive.read(f"renderer_cuda/csrc/{source.name}") == source.read_bytes()
    for tag in platform_tag.split("."):
        assert f"Tag: py3-none-{tag}" in tags
    assert "Root-Is-Purelib: false" in tags
    assert f"Requires-Dist: torch>={OLDEST_TORCH.removesuffix('.0')}\n" in metadata
    assert f"Requires-Python: >={OLDEST_PYTHON.removeprefix('python')}\n" in metadata
    assert f"renderer_cuda/_native/{build.prebuilt_name('cpu')}" in names
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"recon", "renderer_cuda", "hydra_plugins", "recon-0.1.0.dist-info"}


def test_without_libraries_the_wheel_is_of_no_platform(tmp_path: Path) -> None:
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), "."])
    (wheel,) = tmp_path.iterdir()
    assert wheel.name == "recon-0.1.0-py3-none-any.whl"
    assert digests(wheel) == {}


def test_renders_in_a_fresh_environment(borrowed: Report, wheel: Path) -> None:
    check(borrowed, wheel)
    assert borrowed["torch"] == torch.__version__


def test_one_file_serves_the_oldest_torch_as_well(
    oldest: Report, borrowed: Report, wheel: Path
) -> None:
    check(oldest, wheel)
    assert oldest["torch"].split("+")[0] == OLDEST_TORCH
    assert oldest["torch"] != borrowed["torch"]
    assert oldest["digests"] == borrowed["digests"]


def test_one_file_serves_the_newest_torch_as_well(
    wheel: Path, borrowed: Report, tmp_path: Path
) -> None:
    newest = find_newest_torch()
    if borrowed["torch"].split("+")[0] == newest:
        return  # `borrowed` has rendered with it
    report = render_with_torch(newest, sys.executable, wheel, tmp_path / "home")
    check(report, wheel)
    assert report["torch"].split("+")[0] == newest
