"""Lets `make wheel` put compiled kernels into the wheel; pyproject.toml says everything else.

Without $RENDERER_CUDA_PREBUILT the wheel is py3-none-any and carries sources only: the kernels are
built where it is installed, at first use. With it the wheel is py3-none-<platform>: the kernels use
the stable ABI of torch and nothing of Python, so one file serves every Python and torch. The
platform is plain linux_x86_64; `make wheel` has auditwheel put the manylinux tag in its place.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

# The folder which `python -m renderer_cuda prebuild` has written.
PREBUILT = os.environ.get("RENDERER_CUDA_PREBUILT")


class BuildWithKernels(build_py):
    def run(self) -> None:
        # What an earlier build left there would get into the wheel.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        target = Path(self.build_lib, "renderer_cuda", "_native")
        target.mkdir()
        libraries = sorted(Path(PREBUILT or "").glob("*.so"))
        if not libraries:
            raise FileNotFoundError(f"RENDERER_CUDA_PREBUILT={PREBUILT} holds no library")
        for library in libraries:
            shutil.copy2(library, target)


class NativeDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


if PREBUILT:
    setup(
        distclass=NativeDistribution,
        cmdclass={"build_py": BuildWithKernels, "bdist_wheel": PlatformWheel},
    )
else:
    setup()
