"""Published figures: complete, shown apart, and never without what is known of them."""

from __future__ import annotations

import pytest

from recon.evaluation.references import (
    REFERENCES,
    choose_references,
    reference_rows,
    reference_text,
)
from recon.evaluation.result import EvaluationResult, Metric, ObjectResult
from recon.evaluation.statistics import summarize


def result(key: str = "softras_iou") -> EvaluationResult:
    objects = [
        ObjectResult(name, name, synset, (0,), {"model": {key: value}}, {})
        for name, synset, value in (("a", "03001627", 0.25), ("b", "04379243", 0.5))
    ]
    metric = Metric(key, "voxel IoU", "p", percent=True)
    return summarize(objects, [metric], {}, {"p": ""}, [], seed=0)


def test_every_row_has_all_categories_and_gives_its_published_mean() -> None:
    for reference in (row for rows in REFERENCES.values() for row in rows):
        assert len(reference.values) == 13
        assert sum(reference.values) / 13 == pytest.approx(reference.mean, abs=0.005)
        assert reference.paper
        assert reference.protocol
        assert reference.checked


def test_references_stand_beside_ours() -> None:
    rows, notes = reference_rows(result(), choose_references("softras"))
    assert rows[0] == ["category", "objects", "ours", "NMR", "SoftRas silhouettes", "SoftRas full"]
    table = {row[0]: row[1:] for row in rows[1:]}
    assert len(table) == 14
    assert table["chair"] == ["1", "25.00", "49.90", "52.70", "54.70"]
    assert table["lamp"][:2] == ["0", "-"]
    assert table["mean"] == ["2", "37.50", "60.15", "62.34", "64.64"]
    assert "our mean is over 2 categories, theirs over 13" in notes
    assert any(
        note.startswith("SoftRas full: Liu et al.") and "val split" in note for note in notes
    )
    text = reference_text(rows, notes)
    assert text.splitlines()[0].split()[:3] == ["category", "objects", "ours"]
    assert text.endswith(notes[-1] + "\n")


def test_several_may_be_chosen_and_unknown_ones_are_refused() -> None:
    assert choose_references(None) == []
    labels = [reference.label for reference in choose_references(["vpl", "softras"])]
    assert labels == ["View priors", "NMR", "SoftRas silhouettes", "SoftRas full"]
    with pytest.raises(ValueError, match="reference must be among softras, vpl, got 'nmr'"):
        choose_references("nmr")
    with pytest.raises(ValueError, match="reference needs the metric softras_iou"):
        reference_rows(result("onet_iou"), choose_references("vpl"))
