"""The CUDA kernels on the CPU: the tests of the ops run on them in the launch emulator.

And tests of the emulator: it runs barriers, votes, shuffles and atomics as the CUDA C++ programming
guide says, and finds mistakes that are planted.
"""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from emulator import compilation
from emulator.programs import BITS, ORACLE, SCENE
from emulator.running import run, run_tests, sanitizer_environment
from torch import Tensor

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator")

FOLDER = Path(__file__).parent
INPUT = torch.arange(128.0)  # of a planted kernel: a number for each thread of two blocks


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libraries are kept from one session to the next."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("emulator")) if cache else tmp_path_factory.mktemp("emulator")


# ---- the kernels of renderer_cuda ----------------------------------------------------------------

# A thread of the emulator is slow, and a watched one slower: chosen is what takes a few seconds.
RELEASED = "released and (float32 or not (sil_sphere or silsum))"
WATCHED = (
    "(equals_the_oracle and float32 and not family) or (texels_equal and not large) or bad_face"
    " or first_is_seen or empty_batches or trust or (first_has_the_gradient and small)"
    " or (family_equals and float32 and (gaussian or gamma or levy_rev or yager or dombi or frank))"
)
SANITIZED = "equals_the_oracle and float32 and euclidean or empty_batches"


def run_tests_of_ops(library: Path, selection: str, **environment: str) -> int:
    """Run tests of test_ops.py on a library of emulated kernels; returns how many passed."""
    passed, launches = run_tests(library, "test_ops.py", selection, **environment)
    assert launches >= 2 * passed
    return passed


def test_released_values_on_emulated_kernels(folder: Path) -> None:
    assert run_tests_of_ops(compilation.build("ops", "none", folder), RELEASED) >= 60


def test_ops_on_watched_kernels(folder: Path) -> None:
    assert run_tests_of_ops(compilation.build("ops", "accesses", folder), WATCHED) >= 80


def test_ops_under_the_sanitizers(folder: Path) -> None:
    library = compilation.build("ops", "sanitizers", folder)
    assert run_tests_of_ops(library, SANITIZED, **sanitizer_environment()) >= 20


RENDERS = (
    SCENE
    + """
# Sorted into bins; into bins that grow; cut into parts; into larger parts; and texels, of small
# faces and of some that are cut.
scenes = [
    (scene(1100, 0.3), [0, 300, 1100], (20, 37), {}),
    (scene(1100, 0.3), [0, 0, 1100], (20, 37), {"color": "hard"}),
    (scene(1200, 6.0), [0, 600, 1200], (33, 34), {}),
    (scene(11, 6.0), [0, 5, 11], (80, 70), {}),
    (scene(90, 6.0), [0, 30, 90], (80, 70), {"color": "hard"}),
    (scene(40, 1.0, 16), [0, 19, 40], (20, 37), {"texture": "surface"}),
    (scene(11, 6.0, 16), [0, 5, 11], (80, 70), {"texture": "surface"}),
]

def renders(function, dtype=torch.float32):
    for tensors, first_face, image_size, modes in scenes:
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in tensors]
        offsets = torch.tensor(first_face)
        image = function(*leaves, image_size, first_face=offsets, sigma=1e-3, gamma=1e-2, **modes)
        image.square().sum().backward()
        yield from (image.detach(), leaves[0].grad, leaves[1].grad)
"""
)

ON_DEVICE = """
expected = list(renders(soft_rasterize))
put_on_device = emulator.emulator_put_offsets_on_device
put_on_device(1, None)
print(all(torch.equal(a, b) for a, b in zip(renders(soft_rasterize), expected, strict=True)))
ends = torch.tensor([0] + 600 * [0] + [3])
image = soft_rasterize(*scene(3, 1.0), (3, 5), first_face=ends, sigma=0.1)  # wide enough to reach
print(image.shape[0], image[:-1, 3].max().item(), image[-1, 3].max().item() > 0)

# Wrong ones, which the host does not see: nothing is read outside of the faces.
faces = scene(40, 1.0)[0]
for numbers in ([0, 50, 20, 40], [7, -3, 90, 1 << 62], [5, 5, 5, 5]):
    wrong, right = torch.tensor(numbers), torch.tensor([0, *numbers[1:3], 40])
    raised = right.clamp(0, 40).cummax(0).values
    put_on_device(1, None)
    expected = soft_silhouette(faces, 9, first_face=raised, sigma=1e-4)
    put_on_device(1, ctypes.c_void_p(wrong.data_ptr()))
    print(torch.equal(soft_silhouette(faces, 9, first_face=raised, sigma=1e-4), expected))
"""

# As they are, and with thresholds so small that the paths of many faces are taken: warps of four
# faces, sums of cells over several blocks, lists of few faces, parts of 64 pixels.
THRESHOLDS = pytest.mark.parametrize("library", ["ops", "small"])


@THRESHOLDS
def test_bits_do_not_depend_on_the_order_of_threads(folder: Path, library: str) -> None:
    done = run(["-c", RENDERS + BITS, str(compilation.build(library, "accesses", folder))])
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_offsets_may_lie_on_the_device(folder: Path) -> None:
    done = run(["-c", RENDERS + ON_DEVICE, str(compilation.build("ops", "accesses", folder))])
    assert done.stdout.split() == ["True", "601", "0.0", *["True"] * 4], done.stdout + done.stderr


@THRESHOLDS
def test_bins_and_parts_of_all_sizes_equal_the_oracle(folder: Path, library: str) -> None:
    done = run(["-c", RENDERS + ORACLE, str(compilation.build(library, "accesses", folder))])
    assert done.stdout.split() == ["tensor(True)"] * 21, done.stdout + done.stderr


# ---- crowded tiles, whose faces are cut into parts -----------------------------------------------

# The images and gradients of all modes, of faces that crowd a few tiles: written to the file that
# the second argument names, and whether they are the same when they are computed again.
CROWDED = (
    SCENE
    + """
from renderer_cuda.validation import MODES

crowd = [tensor[None] for tensor in scene(70, 0.4)]
texels = scene(70, 0.4, 16)[1][None]
cases = [
    {"color": color, "alpha": alpha, "distance": distance}
    for color in MODES["color"] for alpha in MODES["alpha"] for distance in MODES["distance"]
]
cases += [{"color": color, "texture": "surface"} for color in MODES["color"]]
cases += [{"color": color, "perspective_correct": True} for color in MODES["color"]]

def crowded(dtype):
    for modes in cases:
        colors = texels if modes.get("texture") == "surface" else crowd[1]
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in (crowd[0], colors)]
        image = soft_rasterize(*leaves, (20, 13), sigma=1e-3, gamma=1e-2, **modes)
        if image.requires_grad:
            image.square().sum().backward()
        yield [image.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

found = {str(dtype): list(crowded(dtype)) for dtype in (torch.float32, torch.float64)}
torch.save(found, sys.argv[2])
again = list(crowded(torch.float32))
pairs = zip(again, found["torch.float32"], strict=True)
print(all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True)))
"""
)

# Of two results that differ by rounding alone; steps of the hard modes are the same in both.
CROWDED_TOLERANCE = {"torch.float32": 1e-4, "torch.float64": 1e-10}


def test_tiles_that_are_cut_equal_whole_ones_in_every_mode(folder: Path, tmp_path: Path) -> None:
    found = {}
    for library in ("ops", "small"):
        path = tmp_path / f"{library}.pt"
        done = run(["-c", CROWDED, str(compilation.build(library, "none", folder)), str(path)])
        assert done.stdout.split() == ["True"], done.stdout + done.stderr
        found[library] = torch.load(path)
    for dtype, tolerance in CROWDED_TOLERANCE.items():
        pairs = list(zip(found["ops"][dtype], found["small"][dtype], strict=True))
        assert len(pairs) > 60
        for whole, cut in pairs:
            for a, b in zip(whole, cut, strict=True):
                assert b.isfinite().all()
                assert (a - b).abs().max() <= tolerance * a.abs().max().clamp_min(1.0)
        # Products of parts are rounded otherwise than products of faces: tiles were cut.
        assert not all(torch.equal(whole[0], cut[0]) for whole, cut in pairs)


# Of many faces in few pixels: alone, and in a batch whose bins are wider than those of one alone.
ALONE = (
    SCENE
    + """
def strip(faces):
    vertices, colors = scene(faces, 2.0)
    vertices[..., 0] *= 8
    return vertices, colors

def render(color, vertices, colors, first_face):
    leaves = [tensor.clone().requires_grad_() for tensor in (vertices, colors)]
    offsets = torch.tensor(first_face)
    modes = {"sigma": 1e-2, "gamma": 1e-1, "color": color, "first_face": offsets}
    image = soft_rasterize(*leaves, (1, 32000), **modes)
    image.square().sum().backward()
    return image.detach(), *(leaf.grad for leaf in leaves)

meshes = [strip(600), strip(30), strip(14000)]
batch = [torch.cat(tensors) for tensors in zip(*meshes)]
for color in ("softmax", "hard"):
    image, *grads = render(color, *batch, [0, 600, 630, 14630])
    begin = 0
    for i, (vertices, colors) in enumerate(meshes[:2]):
        alone, *own = render(color, vertices, colors, [0, len(vertices)])
        end = begin + len(vertices)
        print(torch.equal(alone[0], image[i]))
        print(*(torch.equal(a, b[begin:end]) for a, b in zip(own, grads, strict=True)))
        begin = end
"""
)


def test_a_tile_is_cut_in_the_same_places_in_every_batch(folder: Path) -> None:
    done = run(["-c", ALONE, str(compilation.build("small", "none", folder))])
    assert done.stdout.split() == ["True"] * 12, done.stdout + done.stderr


# With the thresholds of the library: launches for few faces and for many, all in one tile or two.
LAUNCHES = (
    SCENE
    + """
def launches():
    counts = (ctypes.c_long * 3)()
    emulator.emulator_counts(counts)
    return counts[0]

for faces in (1100, 33000):
    vertices, colors = (tensor[None] for tensor in scene(faces, 0.05))
    for color in ("softmax", "hard"):
        modes = {"sigma": 1e-4, "gamma": 1e-1, "color": color}
        before = launches()
        image = soft_rasterize(vertices, colors, (8, 12), **modes)
        count = launches() - before
        expected = soft_rasterize_reference(vertices.double(), colors.double(), (8, 12), **modes)
        print(count, ((image - expected).abs() > 1e-4).sum().item())
        alpha = soft_silhouette(vertices, (8, 12), sigma=1e-4)
        print(launches() - before - count, (alpha != image[:, 3]).sum().item())
"""
)


def test_only_meshes_of_many_faces_are_looked_through_for_crowded_tiles(folder: Path) -> None:
    """Set-up and render, of an image of one bin; of many faces also a count, a cut and a join."""
    done = run(["-c", LAUNCHES, str(compilation.build("ops", "none", folder))])
    assert done.stdout.split() == ["2", "0"] * 4 + ["5", "0"] * 4, done.stdout + done.stderr


# ---- kernels of different modes ------------------------------------------------------------------

# Alpha and its gradient as kernels of other modes compute them: with a colour that has no part in
# the loss, and in the kernels for every mode, which correct perspective asks for. First the bits of
# colours, which tell whether products and sums are fused.
INSTANCES = (
    SCENE
    + """
import hashlib

def alpha_of(function, sigma, *colors, **modes):
    leaf = vertices.clone().requires_grad_()
    image = function(leaf, *colors, (40, 37), sigma=sigma, **modes)
    alpha = image[:, 3] if colors else image
    alpha.square().sum().backward()
    return alpha.detach(), leaf.grad

scenes = [scene(90, 0.3), scene(12, 2.0)]
images = [soft_rasterize(v[None], c[None], 30, sigma=1e-3, gamma=1e-2) for v, c in scenes]
print(hashlib.sha256(torch.cat(images).numpy().tobytes()).hexdigest())
for vertices, colors in ([tensor[None] for tensor in each] for each in scenes):
    for sigma in (1e-2, 1e-4):
        expected = alpha_of(soft_silhouette, sigma)
        for color in ("softmax", "hard"):
            for every_mode in (False, True):
                modes = {"color": color, "perspective_correct": every_mode}
                actual = alpha_of(soft_rasterize, sigma, colors, **modes)
                print(all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True)))
"""
)


@pytest.mark.skipif(
    platform.machine() == "x86_64" and torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="the processor fuses no products and sums",
)
def test_kernels_of_all_modes_have_one_alpha_also_where_products_are_fused(folder: Path) -> None:
    digests = set()
    for library in ("ops", "fused"):
        done = run(["-c", INSTANCES, str(compilation.build(library, "none", folder))])
        digest, *equal = done.stdout.split()
        assert equal == ["True"] * 16, done.stdout + done.stderr
        digests.add(digest)
    assert len(digests) == 2


# ---- the emulator --------------------------------------------------------------------------------


class Planted:
    """The library of planted.cu."""

    def __init__(self, library: Path) -> None:
        self._library: Any = ctypes.CDLL(str(library))
        self._library.planted.restype = ctypes.c_char_p

    def run(self, kernel: str, seed: int = 0) -> tuple[str, Tensor]:
        """Return what the emulator found, and what the kernel wrote."""
        output = torch.zeros_like(INPUT)
        self._library.emulator_seed(ctypes.c_uint64(seed))
        pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (INPUT, output))
        return self._library.planted(kernel.encode(), *pointers).decode(), output


@pytest.fixture(scope="module")
def plain(folder: Path) -> Planted:
    return Planted(compilation.build("planted", "none", folder))


@pytest.fixture(scope="module")
def watched(folder: Path) -> Planted:
    return Planted(compilation.build("planted", "accesses", folder))


CORRECT = {
    "reverse": INPUT.view(2, 64).flip(1).flatten(),
    "count": torch.full((128,), 64.0),
    "neighbours": INPUT.view(64, 2).flip(1).flatten(),
    "cleared": INPUT * (INPUT < 64),
}


@pytest.mark.parametrize("kernel", CORRECT)
@pytest.mark.parametrize("seed", range(3))
def test_runs_correct_kernels(plain: Planted, watched: Planted, kernel: str, seed: int) -> None:
    for library in (plain, watched):
        message, output = library.run(kernel, seed)
        assert message == ""
        assert torch.equal(output, CORRECT[kernel])


def test_warp_operations_follow_the_guide(plain: Planted) -> None:
    message, output = plain.run("warp operations")
    assert message == ""
    lane = torch.arange(16)
    value = 100.0 + torch.arange(32)
    expected = [
        value[5].expand(16),
        value[lane // 8 * 8 + 3],  # lane 11 of segments of 8 is lane 3 of one's own
        value[torch.where(lane < 3, lane, lane - 3)],
        value[torch.where(lane % 8 + 3 >= 8, lane, lane + 3)],
        value[lane ^ 5],
        torch.tensor(float(sum(1 << i for i in range(0, 32, 3)))).expand(16),
        torch.tensor(1.0 + 4.0 + 8.0 * 32.0).expand(16),
        torch.tensor([float(sum(1 << i for i in range(r, 32, 3))) for r in range(3)])[lane % 3],
    ]
    assert torch.equal(output.view(8, 16), torch.stack(expected))


@pytest.mark.parametrize("kernel", ["no barrier", "slots by chance"])
def test_what_is_left_to_chance_shows_between_orders(plain: Planted, kernel: str) -> None:
    """What holds for the kernels of renderer_cuda above does not hold for these."""
    outputs = [plain.run(kernel, seed)[1] for seed in range(3)]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
    assert torch.equal(plain.run(kernel, 1)[1], outputs[1])  # a seed gives one order


# What is found in any build, by where the threads wait and by looking at memory afterwards.
FOUND = {
    "barrier for some": r"is stuck: 48 threads .* returned already; 16 threads .* __syncthreads",
    "two barriers": r"is stuck: 16 threads .* planted.cu:\d+; 48 threads .* planted.cu:\d+",
    "vote of some": r"returned already; 32 threads .* wait in __ballot_sync at planted.cu:\d+",
    "two masks": r"is stuck: .* wait in __any_sync",
    "unnamed lane": r"reads a lane that the mask does not name in __shfl_down_sync",
    "half a warp": r"names lanes beyond the block in __syncwarp",
    "large block": r"invalid grid or block size",
    "overrun": r"out: a kernel wrote after its end",
    "underrun": r"out: a kernel wrote before its begin",
    "changed input": r"in: a kernel changed an input",
    "missed write": r"out: no kernel wrote number 127",
    "not staged": r"out: no kernel wrote number 0",
    "overread": r"out: no kernel wrote number 127",
    "much shared memory": r"needs 65536 bytes of static shared memory",
    "copied input": r"in: a kernel changed an input",
    "long copy": r"cudaMemcpyAsync: not from memory of the host to memory of the device",
    "copy from device": r"cudaMemcpyAsync: not from memory of the host to memory of the device",
    "long clear": r"cudaMemsetAsync: not all is memory of the device",
}

# What is found by watching each access.
FOUND_BY_ACCESS = {
    "no barrier": r"bytes at byte \d+ of staged, which thread .* with no barrier between",
    "not staged": r"reads 4 bytes at byte \d+ of staged, which no thread has written",
    "lost update": r"4 bytes at byte 0 of count, which thread .* with no barrier between",
    "blocks race": r"writes 4 bytes at byte \d+ of out, which thread .* of block .* wrote",
    "overread": r"thread \(63,0,0\) of block \(1,0,0\) reads 4 bytes at byte 512 of in",
    "overrun": r"thread \(63,0,0\) of block \(1,0,0\) writes 4 bytes at byte 512 of out",
    "underrun": r"thread \(0,0,0\) of block \(0,0,0\) writes 4 bytes at byte -4 of out",
}

# What ends the process under the sanitizers.
FOUND_BY_SANITIZERS = {
    "overread": r"use-after-poison.*\n.*READ of size 4",
    "overrun": r"use-after-poison.*\n.*WRITE of size 4",
    "underrun": r"use-after-poison.*\n.*WRITE of size 4",
    "shared overrun": r"global-buffer-overflow|insufficient space for an object",
    "stack overrun": r"stack-buffer-overflow|index 4 out of bounds",
    "conversion": r"outside the range of representable values of type 'int'",
}


@pytest.mark.parametrize("kernel", FOUND)
@pytest.mark.parametrize("seed", range(3))
def test_finds_what_is_planted(plain: Planted, kernel: str, seed: int) -> None:
    assert re.search(FOUND[kernel], plain.run(kernel, seed)[0])
    assert plain.run("reverse")[0] == ""  # the next launch is not harmed


@pytest.mark.parametrize("kernel", FOUND_BY_ACCESS)
@pytest.mark.parametrize("seed", range(3))
def test_finds_wrong_accesses(watched: Planted, kernel: str, seed: int) -> None:
    assert re.search(FOUND_BY_ACCESS[kernel], watched.run(kernel, seed)[0])


RUN_PLANTED = """
import ctypes, sys
numbers = (ctypes.c_float * 128)(), (ctypes.c_float * 128)()
library = ctypes.CDLL(sys.argv[1])
library.planted.restype = ctypes.c_char_p
print(library.planted(sys.argv[2].encode(), *numbers).decode())
"""


@pytest.mark.parametrize("kernel", FOUND_BY_SANITIZERS)
def test_sanitizers_find_what_is_planted(folder: Path, kernel: str) -> None:
    library = str(compilation.build("planted", "sanitizers", folder))
    environment = sanitizer_environment()
    assert run(["-c", RUN_PLANTED, library, "reverse"], **environment).stdout == "\n"
    done = run(["-c", RUN_PLANTED, library, kernel], **environment)
    assert done.returncode != 0
    assert re.search(FOUND_BY_SANITIZERS[kernel], done.stderr)


def test_translation_keeps_lines() -> None:
    cuda = "__shared__ Pair<int, T> a[2][3];\nsum<4, T><<<blocks(n),\n  32>>>(a, f(b));\n"
    assert compilation.translate(cuda) == (
        'static Pair<int, T> a[2][3]; emulator::share("a", a);\n'
        'emulator::launch("sum<4, T>", [&] { sum<4, T>(a, f(b)); }, blocks(n),\n  32);\n'
    )
