from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import METRIC_SUITES, MetricSuite, Truth, object_seed
from recon.metrics.fscore import FScore
from recon.metrics.meshrcnn import MeshRCNN
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.silhouette import mesh_silhouettes
from tests.recon.metrics.solids import box, cube_points, truth_of

COUNT = 2000
SIZE = (0.8, 0.5, 0.3)
# With few samples; what does not sample is as it is.
QUICK: Mapping[str, MetricSuite] = {
    **{name: make() for name, make in METRIC_SUITES.items()},
    "onet": OccupancyNetworks(COUNT),
    "meshrcnn": MeshRCNN(COUNT),
    "fscore": FScore(COUNT, threshold=0.05),
}


def whole_truth(vertices: Tensor, faces: Tensor) -> Truth:
    """Everything that a data set could hold of a box of this size."""
    cameras = shapenet_cameras([0, 5, 10])
    inside = (cube_points(COUNT).abs() < torch.tensor(SIZE) / 2).all(1)
    masks = mesh_silhouettes(vertices, faces, cameras, (256, 256))
    return replace(
        truth_of(vertices, faces, COUNT, inside),
        voxels=voxelize_mesh(vertices[None], faces)[0],
        silhouettes=masks.to(torch.uint8) * 255,
        cameras=cameras.rows(),
    )


VERTICES, FACES = box(SIZE)
TRUTH = whole_truth(VERTICES, FACES)
EVERYTHING = Layout((256, 256), 3, (32,), (), 100_000, 100_000)


def score(
    suite: MetricSuite, *meshes: Tensor, views: list[int], seed: int = 0
) -> dict[str, Tensor]:
    return suite.score(torch.stack(meshes), FACES, TRUTH, views, seed)


def test_names() -> None:
    assert list(METRIC_SUITES) == [
        "softras", "onet", "meshrcnn", "fscore", "silhouette", "silhouette_256",
    ]  # fmt: skip
    for name, make in METRIC_SUITES.items():
        assert make().name == name
    keys = [(suite.name, metric.key) for suite in QUICK.values() for metric in suite.metrics]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_a_suite_says_what_it_is(name: str) -> None:
    suite = METRIC_SUITES[name]()
    statement = suite.statement()
    assert statement.startswith(f"{name}: ")
    assert "\n" not in statement
    suite = suite.for_layout(EVERYTHING)
    assert set(suite.fields) <= set(EVERYTHING.fields())
    with pytest.raises(ValueError, match=f"metric suite {name} needs"):
        suite.for_layout(Layout((32, 32), 1))


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_measures_are_those_that_are_announced_and_the_truth_is_best(name: str) -> None:
    suite = QUICK[name]
    worse, worst = VERTICES + 0.03, VERTICES * 0.3 + torch.tensor([0.2, 0.1, 0.0])
    found = score(suite, VERTICES, worse, worst, views=[0, 0, 0])
    assert set(found) == {metric.key for metric in suite.metrics}
    for metric in suite.metrics:
        values = found[metric.key]
        assert values.dtype == torch.float64
        assert values.shape == (3,)
        best, middle, last = values.tolist() if metric.higher_is_better else (-values).tolist()
        assert best > last
        # A box that is shifted a little has the normals of one that is not.
        assert best >= middle - (0.02 if "normal" in metric.key else 0)


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_a_score_depends_on_the_prediction_and_its_view_alone(name: str) -> None:
    suite = QUICK[name]
    other = VERTICES * 0.9 + 0.02
    together = score(suite, other, VERTICES, other, views=[2, 1, 0], seed=7)
    turned = score(suite, other, VERTICES, other, views=[0, 1, 2], seed=7)
    alone = score(suite, other, views=[2], seed=7)
    for metric in suite.metrics:
        values = together[metric.key]
        assert values[0] == alone[metric.key]
        assert torch.equal(values.flip(0), turned[metric.key])


@pytest.mark.parametrize("name", ["onet", "meshrcnn", "fscore"])
def test_another_seed_draws_other_samples(name: str) -> None:
    suite, other = QUICK[name], VERTICES * 0.9 + 0.02
    first, second = (score(suite, other, views=[0], seed=object_seed(0, key)) for key in ("a", "b"))
    key = suite.metrics[0].key
    assert first[key] != second[key]
    assert first[key].item() == pytest.approx(second[key].item(), rel=0.2)


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_no_value_is_nan_whatever_is_predicted(name: str) -> None:
    suite = QUICK[name]
    spoiled = VERTICES.clone()
    spoiled[0] = torch.nan
    meshes = [VERTICES * 0, VERTICES * torch.nan, spoiled, VERTICES * 1e30, VERTICES * 1e-30]
    found = score(suite, *[mesh.float() for mesh in meshes], views=[0] * 5)
    for values in found.values():
        assert bool(torch.isfinite(values).all())


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_no_predictions(name: str) -> None:
    found = QUICK[name].score(VERTICES[None][:0], FACES, TRUTH, [], 0)
    assert all(values.shape == (0,) for values in found.values())
    assert set(found) == {metric.key for metric in QUICK[name].metrics}
