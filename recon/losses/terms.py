"""Terms of an objective: functions or modules which name what they need by their parameters.

A term is called with those of the following that are parameters of it without a default:

| parameter | what it is | shape |
|---|---|---|
| `alpha` | rendered silhouettes: every mesh in every camera of its object | [K, H, W] |
| `rgba` | renderings in the predicted colours, without light, over the background | [K, 4, H, W] |
| `shading` | renderings of a white mesh in the light of the data, over black | [K, 4, H, W] |
| `mask` | the alpha of the true images | [K, H, W] |
| `image` | the true images, sRGB in [0, 1] not multiplied by alpha, and alpha | [K, 4, H, W] |
| `photograph` | the true images over the background of the objective | [K, 3, H, W] |
| `shading_map` | the true images of a white surface in the light of the data | [K, H, W] |
| `vertices` | predicted vertices, object units | [B, V, 3] |
| `faces` | faces of every predicted mesh, int64 | [F, 3] |
| `colors` | predicted colours of the vertices, or R * R texels of the faces | [B, V, 3] or [B, F, R * R, 3] |
| `direction_logits` | logits of the directions from which each image may have been taken | [B, D] |
| `directions` | those directions, unit vectors from the object to the camera | [D, 3] |
| `true_directions` | the directions from which the images were taken | [B, 3] |

B is the number of images of a batch, K that number times the views of each object; see `Objective`.
Only what some term needs is rendered.
"""  # noqa: E501 - rows of a table

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import Any

from torch import Tensor, nn

INPUTS = (
    "alpha",
    "rgba",
    "shading",
    "mask",
    "image",
    "photograph",
    "shading_map",
    "vertices",
    "faces",
    "colors",
    "direction_logits",
    "directions",
    "true_directions",
)


@dataclass(frozen=True)
class Term:
    """A loss and its weight.

    Args:
        loss: A function of some of `INPUTS` that returns a scalar; or a class whose instances are
            called so. The constructor of a class is given those of `faces`, `num_vertices` and
            `texels` that it has as parameters; they describe the mesh that the model deforms.
        weight: The factor of the loss, finite and >= 0; a term of weight 0 is not computed.
        options: Further keyword arguments of the function or the constructor.
    """

    loss: Callable[..., Any]
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, mesh: Mapping[str, Any]) -> Callable[..., Tensor]:
        """Returns what computes the loss.

        Args:
            mesh: The mesh that the model deforms: `faces` [F, 3], `num_vertices` and `texels`.
        """
        if not inspect.isclass(self.loss):
            return partial(self.loss, **self.options)
        taken = inspect.signature(self.loss).parameters
        arguments = {name: value for name, value in mesh.items() if name in taken}
        make: Callable[..., Any] = self.loss
        return make(**{**arguments, **self.options})


def read_terms(
    terms: Mapping[str, Term | Mapping[str, Any]], weights: Mapping[str, float] | None = None
) -> dict[str, Term]:
    """Returns the terms that a configuration describes.

    Args:
        terms: The terms by their names: each a `Term`; or `_target_`, the dotted name of its
            loss, with `weight` and further options of the loss.
        weights: The weights by the names of the terms; they replace those of the terms.

    Raises:
        ValueError: A weight belongs to no term, is not a number, negative or not finite, or no
            weight is positive; or there is no such target.
    """
    weights = weights or {}
    found = {name: _read_term(name, term, weights.get(name)) for name, term in terms.items()}
    given = {name: term.weight for name, term in found.items()}
    numbers = [weight for weight in given.values() if _is_weight(weight)]
    if set(weights) - set(terms) or len(numbers) < len(given) or not any(numbers):
        raise ValueError(
            f"loss.weights takes {', '.join(terms)}; each must be a finite number >= 0 and one > 0,"
            f" got {given | dict(weights)}"
        )
    return found


def needs_of(name: str, loss: Callable[..., Any]) -> tuple[str, ...]:
    """Returns which of `INPUTS` a loss is called with.

    Args:
        name: The name of the term, for the message.
        loss: The loss that `Term.build` returned.

    Raises:
        ValueError: A parameter of the loss is none of `INPUTS`, or it has no parameters.
    """
    called = loss.forward if isinstance(loss, nn.Module) else loss
    needs = tuple(
        parameter.name
        for parameter in inspect.signature(called).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )
    if not needs or set(needs) - set(INPUTS):
        raise ValueError(
            f"the loss of loss.terms.{name} may need {', '.join(INPUTS)}; its parameters without a "
            f"default are {', '.join(needs) or 'none'}"
        )
    return needs


def _read_term(name: str, term: Term | Mapping[str, Any], weight: float | None) -> Term:
    if isinstance(term, Term):
        return term if weight is None else Term(term.loss, weight, term.options)
    options = {key: value for key, value in term.items() if key not in ("_target_", "weight")}
    if "_target_" not in term:
        raise ValueError(f"loss.terms.{name} has no _target_, the dotted name of its loss")
    if weight is None:
        weight = term.get("weight", 1.0)
    return Term(_resolve(name, term["_target_"]), weight, options)


def _resolve(name: str, target: object) -> Callable[..., Any]:
    if callable(target):
        return target
    try:
        loss = resolve_name(str(target))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"loss.terms.{name}._target_={target}: {error}") from error
    if not callable(loss):
        raise ValueError(f"loss.terms.{name}._target_={target} must be a function or a class")
    return loss


def _is_weight(weight: object) -> bool:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return number and math.isfinite(weight) and weight >= 0  # type: ignore[arg-type, operator]
