"""Charts of the page: bars as long as the means, histograms which count everything, tables."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from recon.evaluation.report_page.charts import (
    BINS,
    bars,
    best_mean,
    histogram,
    key_color,
    round_up,
)
from recon.evaluation.report_page.page import details
from recon.evaluation.report_page.rendering import render
from recon.evaluation.result import EvaluationResult
from recon.evaluation.tables import value_text

Make = Callable[..., EvaluationResult]


def rows_of(text: str) -> list[list[str]]:
    """The cells of the rows of tables, without their tags."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub("<[^>]+>", "", cell) for cell in row] for row in cells]


def summary(result: EvaluationResult) -> str:
    return render("summary.html", result=result, main_metric=result.metrics[0])


def test_the_overview_has_each_metric_below_its_protocol(make_result: Make) -> None:
    result = make_result()
    text = summary(result).partition('id="metrics"')[2].partition("</section>")[0]
    rows = rows_of(text)
    assert [row[0] for row in rows] == [
        "metric", "softras: voxels &amp; views.", "IoU % ↑", "onet: 100,000 samples.",
        "Chamfer-L1 ↓",
    ]  # fmt: skip
    mean, iou = result.means["model"]["iou"]["mean"], result.metric("iou")
    interval = f"{value_text(mean.low, iou)} to {value_text(mean.high, iou)}"
    assert rows[2][1] == f"{value_text(mean.mean, iou)} {interval}"
    assert rows[4][2] == "-"  # the template has no distance
    # The best of a row is strong: the model's IoU, and its distance as the only one.
    distance = result.means["model"]["chamfer_l1"]["mean"].mean
    assert re.findall(r"<strong>(.*?)</strong>", text) == [
        value_text(mean.mean, iou),
        value_text(distance, result.metric("chamfer_l1")),
    ]
    assert best_mean(result, iou) == mean.mean
    assert best_mean(result, result.metric("chamfer_l1")) == distance


def test_the_first_metric_stands_in_large_letters(make_result: Make) -> None:
    result = make_result()
    text = summary(result).partition("</section>")[0]
    assert "IoU %, mean over 3 categories" in text
    mean = value_text(result.means["model"]["iou"]["mean"].mean, result.metric("iou"))
    assert f'<div class="tile"><strong>{mean}</strong><span>model</span><small>' in text
    assert "<strong>10.00</strong><span>template</span>" in text
    assert "<li>a &lt;note&gt;</li>" in text


def test_all_metrics_but_the_first_are_hidden(make_result: Make) -> None:
    text = summary(make_result())
    assert re.findall(r'<div data-metric="(\w+)"( hidden)?>', text) == [
        ("iou", ""), ("chamfer_l1", " hidden"),
    ]  # fmt: skip
    assert re.findall(r'<option value="(\w+)">([^<]+)', text) == [
        ("iou", "IoU %"), ("chamfer_l1", "Chamfer-L1"),
    ]  # fmt: skip
    assert "Higher is better." in text
    assert "Lower is better." in text


def test_the_table_of_categories_ends_with_their_mean(make_result: Make) -> None:
    text = summary(make_result()).partition('data-metric="iou"')[2]
    table = text[: text.index("</table>")]
    heads, *rows = rows_of(table)
    assert heads == ["category", "objects", "model IoU %", "template IoU %"]
    assert [row[:2] for row in rows] == [
        ["airplane", "6"], ["lamp", "6"], ["table", "6"], ["mean", "18"],
    ]  # fmt: skip
    assert rows_of(table[table.index("<tfoot>") :])[0] == rows[-1]


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_bars_are_as_long_as_the_means(make_result: Make) -> None:
    result = make_result()
    chart = bars(result, result.metric("iou"))
    names = [*(category.name for category in result.categories), "mean"]
    means = [result.means["model"]["iou"][name] for name in names]
    top = round_up(max(mean.high for mean in means))
    assert [bar.name for bar in chart] == names
    assert [bar.is_mean for bar in chart] == [False, False, False, True]
    for bar, mean in zip(chart, means, strict=True):
        assert percent(bar.width) == pytest.approx(100 * mean.mean / top, abs=0.01)
        assert bar.interval is not None
        low, width = percent(bar.interval.left), percent(bar.interval.width)
        assert low == pytest.approx(100 * mean.low / top, abs=0.02)
        assert low + width == pytest.approx(100 * mean.high / top, abs=0.02)
        (mark,) = bar.marks
        assert (mark.title, mark.color) == ("template 10.00", 1)
        assert percent(mark.left) == pytest.approx(10 / top, abs=0.01)
    assert not any(bar.marks for bar in bars(result, result.metric("chamfer_l1")))
    text = summary(result)
    assert f'<span class="fill" style="width:{chart[0].width}"></span>' in text
    assert f'<span class="mark key1" style="left:{chart[0].marks[0].left}" title="template' in text


def test_a_histogram_counts_every_object(make_result: Make) -> None:
    result = make_result()
    chart = histogram(result, result.metric("iou"))
    assert chart is not None
    counts = [int(column.title.split()[3]) for column in chart.columns]
    assert len(counts) == BINS
    # The values are k / 20 for k in 0..17, each at the lower end of a bin of its own; those which
    # rounding puts below it are in the one before.
    assert sum(counts) == 18
    assert max(counts) == chart.highest <= 2
    assert sum(counts[18:]) == 0
    assert "mean of objects 42.50, median 42.50" in chart.caption
    assert chart.ticks == ("0", "25", "50", "75", "100")
    text = summary(result)
    for column in chart.columns:
        assert f'<i style="height:{column.height}" title="{column.title}"></i>' in text
    assert chart.caption in text


def test_undefined_values_are_not_counted(make_result: Make) -> None:
    result = make_result(undefined=tuple(range(1, 18)))
    chart = histogram(result, result.metric("iou"))
    assert chart is not None
    assert "IoU % of 1 objects" in chart.caption
    nothing = make_result(undefined=tuple(range(18)))
    assert histogram(nothing, nothing.metric("iou")) is None
    assert {bar.width for bar in bars(nothing, nothing.metric("iou"))} == {"0"}
    overview = summary(nothing).partition('id="metrics"')[2]
    assert rows_of(overview)[2][1] == "-"


def test_the_model_and_four_baselines_have_colors_of_their_own() -> None:
    assert [key_color(index) for index in range(6)] == [0, 1, 2, 3, 4, 1]


def objects_table(result: EvaluationResult) -> str:
    return details(result, "iou").partition("</table>")[0]


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
    header, *rows = rows_of(objects_table(result))
    assert header == ["object", "category", "id", "IoU %", "Chamfer-L1"]
    # The k-th object has an IoU of k / 20.
    order = [3, 0, 1, 2, *range(4, len(result.objects))]
    assert [row[2] for row in rows] == [result.objects[k].id for k in order]
    assert [row[3] for row in rows[:3]] == ["-", "0.00", "5.00"]
    name = result.objects[3].name
    assert rows[0][0] == name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    monkeypatch.setattr("recon.evaluation.report_page.page.MOST_ROWS", 2)
    assert [row[2] for row in rows_of(objects_table(result))[1:]] == [
        result.objects[k].id for k in order[:2]
    ]
