"""Calls the brute-force kernels (brute_force.cu), the baseline of the benchmark."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import torch
from torch import Tensor

from renderer_cuda.compilers import find_compiler, find_nvcc, run

SOURCE = Path(__file__).with_name("brute_force.cu")


def compile_library(folder: Path, capability: tuple[int, int]) -> Path:
    """Compile the kernels for one device by nvcc, into a folder."""
    library = folder / "brute_force.so"
    architecture = f"-arch=sm_{capability[0]}{capability[1]}"
    flags = ["-O3", "-std=c++17", "-shared", "-Xcompiler=-fPIC", "-ccbin", find_compiler()]
    run([find_nvcc(), *flags, architecture, str(SOURCE), "-o", str(library)])
    return library


class BruteForce:
    """Silhouettes by a loop over all faces in every pixel.

    Args:
        library: The compiled kernels.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def silhouettes(self, faces: Tensor, size: int, sigma: float, dist_eps: float) -> Tensor:
        """Return alpha [B, size, size].

        Args:
            faces: [B, F, 3, 3] float32, contiguous.
            size: Pixels of a side.
            sigma: Softness of the edges, in squared NDC units.
            dist_eps: Coverage outside of a face counts down to this value.
        """
        alpha = faces.new_empty((len(faces), size, size))
        call = self._library.brute_force_forward
        self._check(call(*_scene(faces, size, sigma, dist_eps), _address(alpha), _stream(faces)))
        return alpha

    def gradient(
        self, faces: Tensor, sigma: float, dist_eps: float, alpha: Tensor, grad_alpha: Tensor
    ) -> Tensor:
        """Return the gradient of the faces; arguments as for `silhouettes`, which made alpha."""
        grad = torch.zeros_like(faces)
        scene = _scene(faces, alpha.shape[-1], sigma, dist_eps)
        arrays = map(_address, (alpha, grad_alpha, grad))
        self._check(self._library.brute_force_backward(*scene, *arrays, _stream(faces)))
        return grad

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(f"brute_force: CUDA error {status}")


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _stream(tensor: Tensor) -> ctypes.c_void_p:
    on_gpu = tensor.device.type == "cuda"
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream if on_gpu else None)


def _scene(faces: Tensor, size: int, sigma: float, dist_eps: float) -> tuple[object, ...]:
    reach = math.sqrt(sigma * math.log(1 / dist_eps - 1))
    counts = (ctypes.c_int(number) for number in (*faces.shape[:2], size))
    return (_address(faces), *counts, ctypes.c_float(sigma), ctypes.c_float(reach))
