"""The schedule of a run that is continued for more steps than it was started with.

A schedule such as a cosine depends on `trainer.max_steps`. A start with more of them says by
`extend` what the schedule does:

- `keep`: it is that of the first start; from its end on it stays at its last value.
- `stretch`: it is that of the new length, as if the run had been begun with it; the factor jumps.
- `restart`: it runs once more over the added steps (a warm restart: Loshchilov and Hutter, SGDR,
  arXiv 1608.03983).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXTENSIONS = ("keep", "stretch", "restart")


def extended_config(stored: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a start with the schedule that its `extend` asks for.

    Args:
        stored: The configuration of the start before.
        current: The configuration of this start.

    Raises:
        ValueError: `extend` is none of these words.
    """
    extend = current.get("extend")
    if extend is not None and extend not in EXTENSIONS:
        raise ValueError(f"extend must be one of {', '.join(EXTENSIONS)} or null, got {extend!r}")
    before, now = stored.get("schedule"), current.get("schedule")
    if extend is None or before == now or not (isinstance(before, dict) and isinstance(now, dict)):
        return dict(current)
    steps, max_steps = stored["trainer"]["max_steps"], current["trainer"]["max_steps"]
    if extend == "keep" or max_steps <= steps:  # it was extended by an earlier start already
        return {**current, "schedule": before}
    if extend == "stretch":
        return dict(current)
    restarted = {
        name: part if part == before.get(name) else _restarted(before[name], part, steps)
        for name, part in now.items()
    }
    return {**current, "schedule": restarted}


def extension_hint(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Returns what to type where a run was given more steps and only its schedule forbids it."""
    try:
        longer = stored["trainer"]["max_steps"] < current["trainer"]["max_steps"]
    except (KeyError, TypeError):
        return ""
    if not longer or stored.get("schedule") == current.get("schedule"):
        return ""
    return f"; a longer run says by extend={'|'.join(EXTENSIONS)} what its schedule does"


def _restarted(before: Mapping[str, Any], part: Any, steps: int) -> dict[str, Any]:
    then = {**part, "max_steps": part["max_steps"] - steps} if "max_steps" in part else part
    return {"_target_": "recon.schedules.Chain", "first": before, "steps": steps, "then": then}
