from __future__ import annotations

import pytest

from recon.datasets.categories import CATEGORIES, find_category


def test_thirteen_distinct_categories_in_synset_order() -> None:
    synsets = [category.synset for category in CATEGORIES]
    assert len(set(CATEGORIES)) == 13
    assert synsets == sorted(set(synsets))


@pytest.mark.parametrize("category", CATEGORIES)
def test_found_by_name_and_by_synset(category) -> None:
    assert find_category(category.name) is find_category(category.synset) is category


def test_unknown_category_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'spoon'.*airplane \(02691156\).*vessel"):
        find_category("spoon")
