"""Times every mode of the rasterizer against its default, and the baselines.

    python scripts/benchmarks/benchmark_modes.py \
        [--threads 1] [--only alpha= 'color=over window'] [--csv F]

A figure is the time of a mode over that of the default (color "softmax", alpha "product",
distribution "logistic"), which takes turns with it: the median over the turns, by the time that the
processor worked and by the clock, which other work on the machine disturbs. Silhouettes and colours
are timed, forward and forward + backward to all leaves. Modes are timed through the public
functions; the baselines through their renderers, against the soft renderer, with the projection of
the vertices. A pair is a pixel with coverage of a face, counted on the first image. A mode that
takes the processor more than three times as long as the default tells why.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from benchmark_cases import DIST_EPS, Case, make_meshes
from benchmark_rasterizer import (
    Columns,
    Row,
    describe,
    directions,
    measure,
    median_ratio,
    print_table,
    write_csv,
)
from torch import Tensor

from recon.arguments import PositiveInt, Seconds, ThreadCount, option_type
from recon.command_line import CommandParser, concise_errors
from recon.geometry.cameras import Cameras
from recon.rendering.dibr import DIBRenderer
from recon.rendering.edge import EdgeGradientRenderer
from recon.rendering.interface import Renderer
from recon.rendering.nmr import NeuralMeshRenderer
from recon.rendering.renderer import SoftRenderer
from renderer_cuda import gather_faces, soft_rasterize, soft_silhouette
from renderer_cuda.validation import LAYER_MODES, MODES

KINDS, WAYS = ("silhouette", "rgb"), ("forward", "both")
SCENE = Case("rgb", 8, 64, 1280, 1e-4)
QUICK_SCENE = Case("rgb", 2, 16, 80, 1e-3)
# The side R of the R * R texels of a face where `texture` is "surface".
TEXTURE_SIDE = 4
# Modes slower than the default by more than this have to say why.
LIMIT = 3.0

COLUMNS: Columns = {
    "mode": ("mode", 46, "s"),
    "pairs": ("pairs x", 7, ".2f"),
    **{
        f"{kind}_{way}_{clock}": (f"{short} {direction} {unit}", 10, ".2f")
        for clock, unit in (("cpu", "cpu"), ("wall", "x"))
        for kind, short in zip(KINDS, ("sil", "rgb"), strict=True)
        for way, direction in zip(WAYS, ("fwd", "both"), strict=True)
    },
    "silhouette_both_ms": ("sil ms", 7, ".3f"),
    "rgb_both_ms": ("rgb ms", 7, ".3f"),
    "reason": (f"beyond {LIMIT:g}x because of", 0, "s"),
}
CSV_COLUMNS = ("silhouette_forward_ms", "rgb_forward_ms")


# ---- modes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mode:
    """A way to render, told by how it differs from the default.

    Args:
        arguments: Arguments of `soft_rasterize`, and of `soft_silhouette` where that has them.
        of_faces: Which of "face_opacity" and "face_sigma" each face has.
        renderer: A key of `RENDERERS`, whose renderer is timed; None is the rasterizer itself.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    of_faces: tuple[str, ...] = ()
    renderer: str | None = None

    @property
    def name(self) -> str:
        """The words by which the command line chooses modes."""
        words = [f"{name}={value}" for name, value in self.arguments.items()]
        words += self.of_faces
        words += [f"renderer={self.renderer}"] if self.renderer else []
        return " ".join(words) or "default"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the mode renders: colours, and silhouettes unless it is one of colours only."""
        only_color = {
            *("color", "texture", "perspective_correct", "detach_barycentric"),
            *(*LAYER_MODES, "stop_transmittance"),
        }
        return KINDS[1:] if only_color & self.arguments.keys() else KINDS

    @property
    def default(self) -> Mode:
        """What the mode is compared with, which is called in the same way."""
        return Mode(renderer="color") if self.renderer else Mode()


def others(argument: str, **more: Any) -> Iterator[Mode]:
    """Yields a mode for each value of an argument but the default, which comes first."""
    for value in (MODES | LAYER_MODES)[argument][1:]:
        yield Mode({argument: value} | more)


def every_mode() -> Iterator[Mode]:
    """Yields all modes, in the order of the table."""
    yield Mode()
    yield from others("distance")
    yield from others("distribution")
    yield Mode({"squared": False})
    yield from others("distribution", squared=False)
    yield Mode({"distribution": "gamma_rev", "dist_shape": 1.3})
    # Heavy tails, cut where they cost about as much as the others.
    for distribution, dist_eps in (("cauchy", 0.01), ("reciprocal", 0.01), ("levy_rev", 0.05)):
        yield Mode({"distribution": distribution, "dist_eps": dist_eps})
    yield from others("alpha")
    yield Mode({"alpha": "schweizer_sklar", "alpha_parameter": -3.0})
    yield from others("texture")
    yield Mode({"perspective_correct": True})
    yield from others("texture", perspective_correct=True)
    yield Mode({"detach_barycentric": True})
    yield from others("color")
    yield from layered_modes()
    yield from (Mode(renderer=name) for name in RENDERERS if name != "color")


def layered_modes() -> Iterator[Mode]:
    """Yields the modes of color "over" and those in which faces have numbers of their own."""
    over: dict[str, Any] = {"color": "over"}
    yield Mode(over)
    for values in (
        {"order": "centroid"},
        {"stop_transmittance": 1e-4},
        {"perspective_correct": True},
        {"texture": "surface"},
        {"window": "exp_clipped"},
        {"window": "incenter", "sigma": 1.0},  # of these two sigma is a power
        {"window": "compact", "sigma": 1.0},
    ):
        yield Mode(over | values)
    opacity, sigma = "face_opacity", "face_sigma"
    for of_faces in ((opacity,), (sigma,), (opacity, sigma)):
        yield Mode(of_faces=of_faces)
    for color in ("hard", "over"):
        yield Mode({"color": color}, (opacity,))
    yield Mode(over | {"window": "exp_clipped"}, (opacity, sigma))


RENDERERS: dict[str, Callable[[Case], Renderer]] = {
    "color": lambda case: SoftRenderer(case.image_size, case.sigma, case.gamma, dist_eps=DIST_EPS),
    "nmr": lambda case: NeuralMeshRenderer(case.image_size),
    "dibr": lambda case: DIBRenderer(case.image_size, case.sigma, DIST_EPS),
    "edge": lambda case: EdgeGradientRenderer(case.image_size),
}


# ---- renders -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """The meshes of a case.

    Args:
        case: The case.
        vertices: [B, V, 3] object units.
        faces: [F, 3] int64.
        cameras: The B cameras.
        face_vertices: [B, F, 3, 3] NDC x, NDC y, view depth.
    """

    case: Case
    vertices: Tensor
    faces: Tensor
    cameras: Cameras
    face_vertices: Tensor


# A render as a function of its leaves by name, and the leaves.
Render = tuple[Callable[..., Tensor], dict[str, Tensor]]


def make_scene(case: Case) -> Scene:
    """Returns the scene of a case."""
    vertices, faces, cameras = make_meshes(case)
    corners = gather_faces(cameras.project(vertices, case.image_size), faces)
    return Scene(case, vertices, faces, cameras, corners)


def rasterizer_render(mode: Mode, kind: str, case: Case, face_vertices: Tensor) -> Render:
    """Returns a render through the public functions of the rasterizer."""
    arguments = {"sigma": case.sigma, "dist_eps": DIST_EPS} | mode.arguments
    shape = face_vertices.shape[:2]
    leaves = {"face_vertices": face_vertices}
    if "face_opacity" in mode.of_faces:
        leaves["face_opacity"] = torch.rand(shape)
    if "face_sigma" in mode.of_faces:
        leaves["face_sigma"] = arguments["sigma"] * (0.5 + torch.rand(shape))
    if kind == "silhouette":
        return functools.partial(soft_silhouette, image_size=case.image_size, **arguments), leaves
    samples = TEXTURE_SIDE**2 if arguments.get("texture") == "surface" else 3
    leaves["face_textures"] = torch.rand(*shape, samples, 3)
    arguments["gamma"] = case.gamma
    return functools.partial(soft_rasterize, image_size=case.image_size, **arguments), leaves


def renderer_render(name: str, kind: str, scene: Scene) -> Render:
    """Returns a render through a renderer, from the vertices of the meshes."""
    renderer = RENDERERS[name](scene.case)
    arguments = {"faces": scene.faces, "cameras": scene.cameras}
    leaves = {"vertices": scene.vertices}
    if kind == "silhouette":
        return functools.partial(renderer.silhouette, **arguments), leaves
    leaves["face_textures"] = torch.rand_like(scene.face_vertices)
    return functools.partial(renderer, **arguments), leaves


def runs_of(mode: Mode, kind: str, scene: Scene) -> dict[str, Callable[[], object]]:
    """Returns what is timed of a mode, by the names in `WAYS`."""
    if mode.renderer:
        render, leaves = renderer_render(mode.renderer, kind, scene)
    else:
        render, leaves = rasterizer_render(mode, kind, scene.case, scene.face_vertices)
    return directions(render, leaves, torch.randn_like(render(**leaves)))


# ---- figures -------------------------------------------------------------------------------------


def count_shown(mode: Mode, scene: Scene) -> int:
    """Counts the pairs of the first image: each face alone in an image shows where it has a part.

    How alpha is made of the coverages has no part in that, and is left at the default.
    """
    arguments = {k: v for k, v in mode.arguments.items() if k not in ("alpha", "alpha_parameter")}
    alone = scene.face_vertices[:1].transpose(0, 1)
    render, leaves = rasterizer_render(Mode(arguments, mode.of_faces), "rgb", scene.case, alone)
    return int((render(**leaves)[:, 3] > 0).sum())


def time_mode(mode: Mode, scene: Scene, threads: int, repeats: int, budget: float) -> Row:
    """Returns the times of a mode over those of the default, and its processor time per image."""
    runs = {}
    for kind in mode.kinds:
        own, default = runs_of(mode, kind, scene), runs_of(mode.default, kind, scene)
        for way in WAYS:
            runs[f"default {kind} {way}"] = default[way]
            runs[f"{kind} {way}"] = own[way]
    times = measure(runs, [threads], repeats, budget, "cpu")
    row: Row = {"mode": mode.name}
    for kind in mode.kinds:
        for way in WAYS:
            ours = times[threads, f"{kind} {way}"]
            theirs = times[threads, f"default {kind} {way}"]
            name = f"{kind}_{way}"
            processor = [t.processor for t in ours]
            row[f"{name}_cpu"] = median_ratio(processor, [t.processor for t in theirs])
            row[f"{name}_wall"] = median_ratio([t.wall for t in ours], [t.wall for t in theirs])
            row[f"{name}_ms"] = 1e3 * statistics.median(processor) / scene.case.images
    return row


def reason(mode: Mode, row: Row) -> str:
    """Tells why a mode takes more than `LIMIT` times the default; it is empty for one that is not.

    A mode whose pairs cost no more than `LIMIT` times those of the default is slow because a face
    reaches so many pixels.
    """
    slowest = max(row[f"{kind}_{way}_cpu"] for kind in mode.kinds for way in WAYS)
    if slowest <= LIMIT:
        return ""
    if mode.renderer:
        return "torch operations in place of kernels"
    if slowest <= LIMIT * row["pairs"]:
        return f"support: {row['pairs']:.3g} times the pairs"
    if mode.arguments.get("color") == "over":
        return f"layers: {row['pairs']:.3g} times the pairs, held and sorted"
    return f"arithmetic: a pair costs {slowest / row['pairs']:.3g} times as much"


def mode_rows(
    modes: Iterable[Mode], case: Case, threads: int, repeats: int, budget: float
) -> Iterator[Row]:
    """Yields a row for each mode."""
    torch.set_num_threads(threads)
    scene = make_scene(case)
    default_pairs = count_shown(Mode(), scene)
    for mode in modes:
        row = time_mode(mode, scene, threads, repeats, budget)
        if not mode.renderer:
            row["pairs"] = count_shown(mode, scene) / default_pairs
        yield row | {"reason": reason(mode, row)}


# ---- command line --------------------------------------------------------------------------------


def choose(parser: CommandParser, words: Sequence[str]) -> list[Mode]:
    """Returns the modes whose name contains one of the words; each word has to choose some."""
    modes = list(every_mode())
    for word in words:
        if not any(word in mode.name for mode in modes):
            parser.error(f"argument --only: must be in the name of a mode (--list), got {word!r}")
    return [mode for mode in modes if any(word in mode.name for word in words)]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; the modes that it chooses are in `modes`."""
    parser = CommandParser((__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=option_type(ThreadCount), default=1)
    parser.add_argument(
        "--repeats", type=option_type(PositiveInt), default=25, help="turns per mode, at most"
    )
    parser.add_argument(
        "--budget", type=option_type(Seconds), default=2.0, help="seconds per mode, about"
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="only modes whose name contains one of these"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny scene, to see that it works")
    parser.add_argument("--list", action="store_true", help="print the names of the modes")
    parser.add_argument("--csv", metavar="FILE", help="also write the rows, with more columns")
    args = parser.parse_args(arguments)
    args.modes = choose(parser, args.only)
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each mode."""
    args = parse_arguments(arguments)
    if args.list:
        print("\n".join(mode.name for mode in args.modes))
        return
    case = QUICK_SCENE if args.quick else SCENE
    print(f"{describe('cpu')}, threads={args.threads}, torch {torch.__version__}")
    print(
        f"size={case.image_size} faces={case.faces} B={case.images} sigma={case.sigma:.0e} "
        f"gamma={case.gamma:.0e} dist_eps={DIST_EPS:.0e}\n\n"
        "both = forward + backward; cpu = times the default by the processor, x = by the clock; "
        "ms = both, of the processor, per image"
    )
    threads = torch.get_num_threads()
    try:
        rows = mode_rows(args.modes, case, args.threads, args.repeats, args.budget)
        done = print_table(rows, COLUMNS)
    finally:
        torch.set_num_threads(threads)
    if args.csv:
        write_csv(args.csv, done, [*COLUMNS, *CSV_COLUMNS])


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
