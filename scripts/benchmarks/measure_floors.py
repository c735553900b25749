"""Scores perfect predictions: the value of every metric for the mesh that the truth was made from.

    python scripts/benchmarks/measure_floors.py [--points 100000] [--categories chair car ...]

A sphere and one generated object of each category are rendered as prepare_data.py does it, with
points of the surface and points with occupancies, and scored with their own mesh. The values differ
from perfect ones by what samples of both surfaces cannot tell. The table of docs/protocols.md is
what it prints; the time is per prediction, on one thread.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import recon.entry_point  # noqa: F401  (before torch)

import numpy as np
import torch
from torch import Tensor

from recon.arguments import PointCount, option_type
from recon.command_line import CommandParser, concise_errors
from recon.datasets.categories import CATEGORIES
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.frames import world_vertices
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import unpack_voxels
from recon.metrics import METRIC_SUITES, MetricSuite, Truth, object_seed
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.sources.shapes import make_shape

# Values by metric, of one object.
Values = dict[str, float]


def ball() -> TexturedMesh:
    """Returns a sphere of diameter 1 with 5120 faces."""
    mesh = icosphere(4)
    count = len(mesh.faces)
    return TexturedMesh(
        mesh.vertices.double().numpy() / 2,
        mesh.faces.numpy(),
        np.ones((count, 4), np.float32),
        np.zeros(count, np.int64),
    )


def own_truth(surface: TexturedMesh, name: str, points: int, image_size: int) -> Truth:
    """Returns what a data set would hold of a surface.

    Args:
        surface: The surface of the object.
        name: The name of the object, which seeds the choice of the points.
        points: The number of points of either kind.
        image_size: The number of pixels along each side of the images.
    """
    renderer = ObjectRenderer(image_size, num_points=points, num_surface_points=points)
    sample = {key: torch.from_numpy(value) for key, value in renderer(surface, name).items()}
    occupancies = np.unpackbits(sample["occupancies"].numpy(), count=points) > 0
    return Truth(
        voxels=unpack_voxels(sample["voxels_32"].numpy(), 32),
        surface_points=sample["pointcloud"],
        surface_normals=sample["pointcloud_normals"],
        points=sample["points"],
        occupancies=torch.from_numpy(occupancies),
        silhouettes=sample["images"][:, 3],
        cameras=sample["cameras"],
    )


def own_mesh(surface: TexturedMesh) -> tuple[Tensor, Tensor]:
    """Returns the vertices [1, V, 3] and faces [F, 3] of a surface in the world, faces outward."""
    mesh = surface.mesh()
    # The turn into the world mirrors; corners the other way round point outward again.
    return world_vertices(mesh.vertices)[None], mesh.faces[:, [0, 2, 1]]


def measure(
    surface: TexturedMesh, name: str, points: int, suites: Mapping[str, MetricSuite]
) -> dict[str, Values]:
    """Returns by suite the values of a surface scored with its own mesh, and seconds."""
    vertices, faces = own_mesh(surface)
    truth = own_truth(surface, name, points, image_size=64)
    large = own_truth(surface, name, 1, image_size=256)
    found = {}
    for key, suite in suites.items():
        seen = large if key == "silhouette_256" else truth
        start = time.perf_counter()
        scores = suite.score(vertices, faces, seen, [0], object_seed(0, name))
        seconds = time.perf_counter() - start
        found[key] = {**{k: v.item() for k, v in scores.items()}, "seconds": seconds}
    return found


def table(suites: Mapping[str, MetricSuite], rows: Mapping[str, Mapping[str, Values]]) -> str:
    """Returns a Markdown table of the sphere beside the mean and the range of the others.

    Args:
        suites: The metric suites by name.
        rows: The values by object and suite, the sphere first.
    """
    first, *others = rows.values()
    lines = [
        "| suite | metric | sphere | generated, mean | least | greatest |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, suite in suites.items():
        shown = [(m.key, m.label, 100 if m.percent else 1) for m in suite.metrics]
        shown.append(("seconds", "time in s", 1))
        for key, label, scale in shown:
            values = [scale * row[name][key] for row in others]
            numbers = [scale * first[name][key], np.mean(values), min(values), max(values)]
            cells = [name, label, *(f"{number:.4g}" for number in numbers)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what was asked for and prints the table."""
    parser = CommandParser(__doc__)
    names = [category.name for category in CATEGORIES]
    parser.add_argument(
        "--points", type=option_type(PointCount), default=100_000, help="of truth, of either kind"
    )
    parser.add_argument("--categories", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument(
        "--metrics", nargs="+", default=list(METRIC_SUITES), choices=list(METRIC_SUITES)
    )
    args = parser.parse_args(arguments)
    suites = {name: METRIC_SUITES[name]() for name in args.metrics}
    rows: dict[str, dict[str, Values]] = defaultdict(dict)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows["sphere"] = measure(ball(), "sphere", args.points, suites)
        for name in args.categories:
            surface = make_shape(name, seed=0, index=0)
            rows[name] = measure(surface, name, args.points, suites)
    finally:
        torch.set_num_threads(threads)
    print(table(suites, rows))


if __name__ == "__main__":
    with concise_errors(raised_as=SystemExit):
        main()
