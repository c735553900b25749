from __future__ import annotations

import pytest

from recon.datasets.categories import CATEGORIES, category_of, find_category, present_categories


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


def test_a_word_of_ones_own_is_name_and_synset() -> None:
    assert category_of("03001627").name == "chair"
    assert category_of("mug") == ("mug", "mug")


def test_present_categories_are_the_thirteen_in_order_and_then_words() -> None:
    found = present_categories(["mug", "04530566", "02691156", "ant", "mug"])
    assert [category.name for category in found] == ["airplane", "vessel", "ant", "mug"]
    assert present_categories([]) == []
