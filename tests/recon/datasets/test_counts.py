from __future__ import annotations

from recon.datasets.counts import counts_table


def test_counts_per_category_and_split() -> None:
    counts = {
        ("mug", "odd"): 2,
        ("03001627", "train"): 10,
        ("02958343", "test"): 3,
        ("03001627", "odd"): 1,
    }
    assert counts_table(counts).splitlines() == [
        "category  train  test  odd  all",
        "car           0     3    0    3",
        "chair        10     0    1   11",
        "mug           0     0    2    2",
        "all          10     3    3   16",
    ]
    assert counts_table({}).splitlines() == ["category  all", "all         0"]
