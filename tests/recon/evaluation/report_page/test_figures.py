from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from recon.evaluation.report_page.figures import (
    BINS,
    all_objects,
    bars,
    histogram,
    metric_sections,
    overview,
    round_up,
)
from recon.evaluation.result import EvaluationResult
from recon.evaluation.tables import value_text

Make = Callable[..., EvaluationResult]


def rows_of(text: str) -> list[list[str]]:
    """The cells of the rows of tables, without their tags."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub("<[^>]+>", "", cell) for cell in row] for row in cells]


def test_the_overview_has_each_metric_below_its_protocol(make_result: Make) -> None:
    result = make_result()
    rows = rows_of(overview(result))
    assert [row[0] for row in rows] == [
        "metric", "softras: voxels &amp; views.", "IoU % ↑", "onet: 100,000 samples.",
        "Chamfer-L1 ↓",
    ]  # fmt: skip
    mean = result.means["model"]["iou"]["mean"]
    iou = result.metric("iou")
    interval = f"{value_text(mean.low, iou)} to {value_text(mean.high, iou)}"
    assert rows[2][1] == f"{value_text(mean.mean, iou)} {interval}"
    assert rows[4][2] == "-"  # the template has no distance
    # The best of a row is strong: the model's IoU, and its distance as the only one.
    assert re.findall(r"<strong>(.*?)</strong>", overview(result)) == [
        value_text(mean.mean, iou),
        value_text(result.means["model"]["chamfer_l1"]["mean"].mean, result.metric("chamfer_l1")),
    ]


def test_all_metrics_but_the_first_are_hidden(make_result: Make) -> None:
    text = metric_sections(make_result())
    assert re.findall(r'<div data-metric="(\w+)"( hidden)?>', text) == [
        ("iou", ""), ("chamfer_l1", " hidden"),
    ]  # fmt: skip
    assert re.findall(r'<option value="(\w+)">([^<]+)', text) == [
        ("iou", "IoU %"), ("chamfer_l1", "Chamfer-L1"),
    ]  # fmt: skip
    assert "Higher is better." in text
    assert "Lower is better." in text


def test_bars_are_as_long_as_the_means(make_result: Make) -> None:
    result = make_result()
    text = bars(result, result.metric("iou"))
    lengths = [float(x) for x in re.findall(r'class="fill" style="width:([\d.]+)%', text)]
    names = [*(category.name for category in result.categories), "mean"]
    means = [result.means["model"]["iou"][name] for name in names]
    top = round_up(max(mean.high for mean in means))
    assert lengths == pytest.approx([100 * mean.mean / top for mean in means], abs=0.01)
    spans = re.findall(r'class="interval" style="left:([\d.]+)%;width:([\d.]+)%', text)
    ends = [(float(left), float(left) + float(width)) for left, width in spans]
    for (low, high), mean in zip(ends, means, strict=True):
        assert low == pytest.approx(100 * mean.low / top, abs=0.02)
        assert high == pytest.approx(100 * mean.high / top, abs=0.02)
    marks = re.findall(r'class="mark key1" style="left:([\d.]+)%" title="template 10.00"', text)
    assert [float(mark) for mark in marks] == pytest.approx([10 / top] * 4, abs=0.01)
    assert 'class="mark' not in bars(result, result.metric("chamfer_l1"))


def test_a_histogram_counts_every_object(make_result: Make) -> None:
    result = make_result()
    text = histogram(result, result.metric("iou"))
    counts = [int(count) for count in re.findall(r": (\d+) objects?\"", text)]
    assert len(counts) == BINS
    # The values are k / 20 for k in 0..17, each at the lower end of a bin of its own; those which
    # rounding puts below it are in the one before.
    assert sum(counts) == 18
    assert max(counts) <= 2
    assert sum(counts[18:]) == 0
    assert "mean of objects 42.50, median 42.50" in text
    ticks = re.search(r'class="axis">(.*?)</div>', text)
    assert ticks is not None
    assert re.findall(r"<span>([\d.]+)</span>", ticks[1]) == ["0", "25", "50", "75", "100"]


def test_undefined_values_are_not_counted(make_result: Make) -> None:
    result = make_result(undefined=tuple(range(1, 18)))
    assert "IoU % of 1 objects" in histogram(result, result.metric("iou"))
    nothing = make_result(undefined=tuple(range(18)))
    assert histogram(nothing, nothing.metric("iou")) == ""
    assert "width:0" in bars(nothing, nothing.metric("iou"))
    assert rows_of(overview(nothing))[2][1] == "-"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.93, 1), (1, 1), (1.01, 1.5), (0.3, 0.3), (0.31, 0.4), (7e-5, 8e-5), (61, 80), (0, 1),
     (-3, 1)],
)  # fmt: skip
def test_scales_end_at_round_numbers(value: float, expected: float) -> None:
    assert round_up(value) == pytest.approx(expected)


def test_every_object_has_a_row_and_failures_come_first(
    make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(undefined=(3,))
    header, *rows = rows_of(all_objects(result, "iou"))
    assert header == ["object", "category", "id", "IoU %", "Chamfer-L1"]
    # The k-th object has an IoU of k / 20.
    order = [3, 0, 1, 2, *range(4, len(result.objects))]
    assert [row[2] for row in rows] == [result.objects[k].id for k in order]
    assert [row[3] for row in rows[:3]] == ["-", "0.00", "5.00"]
    name = result.objects[3].name
    assert rows[0][0] == name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    monkeypatch.setattr("recon.evaluation.report_page.figures.MOST_ROWS", 2)
    assert [row[2] for row in rows_of(all_objects(result, "iou"))[1:]] == [
        result.objects[k].id for k in order[:2]
    ]
