"""Templates of the page, filled with data; every text in them is escaped."""

from __future__ import annotations

import json
import re
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recon.datasets.categories import category_of
from recon.evaluation.report_page.charts import (
    bars,
    best_mean,
    corruption_bars,
    estimate_of,
    histogram,
    key_color,
)
from recon.evaluation.tables import unit_label, value_text

# Whatever a page shows lies in it: the browser may not load anything.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_ASSETS = (("style", "css"), ("viewer", "js"), ("controls", "js"))

_loader = PackageLoader("recon.evaluation.report_page")
_environment = Environment(
    loader=_loader,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "bars": bars,
    "best_mean": best_mean,
    "corruption_bars": corruption_bars,
    "category_name": lambda synset: category_of(synset).name,
    "estimate": estimate_of,
    "groupby_suite": lambda metrics: [
        (suite, list(group)) for suite, group in groupby(metrics, lambda metric: metric.suite)
    ],
    "histogram": histogram,
    "key_color": key_color,
    "suffixed": lambda text, suffix: f"{text} {suffix}",
    "unit_label": unit_label,
    "value": value_text,
}
# What the layout of a template puts between two elements; texts have no < and > of their own.
_BETWEEN = re.compile(r">\s*\n\s*<")


def render(template: str, **values: object) -> Markup:
    """Returns a template filled with values, without white space between its elements.

    Args:
        template: The name of a file in `templates`.
        values: The values of the variables of the template; texts are escaped unless they are
            `Markup`.
    """
    text = _environment.get_template(template).render(**values)
    return Markup(_BETWEEN.sub("><", text).strip())


def render_page(template: str, shapes: object, **values: object) -> str:
    """Returns a whole page: a template filled with values, the policy, styles and scripts.

    Args:
        template: The name of a file in `templates`.
        shapes: Plain data for the viewer; None makes a page without meshes.
        **values: The values of the other variables of the template, see `render`.
    """
    assets = {name: Markup(_source(f"{name}.{kind}")) for name, kind in _ASSETS}
    # Without any "<", which could end the script element or begin a comment in it.
    text = json.dumps(shapes, separators=(",", ":")).replace("<", "\\u003c")
    data = None if shapes is None else Markup(text)
    page = _environment.get_template(template)
    return page.render(policy=Markup(POLICY), shapes=data, **assets, **values) + "\n"


def _source(name: str) -> str:
    source, _, _ = _loader.get_source(_environment, name)
    return source
