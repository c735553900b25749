"""Parametric objects of the thirteen categories, front +X, up +Y, in arbitrary units.

Each model draws one object's style, proportions and colours and returns coloured solids.
"""

from __future__ import annotations

from recon.preparation.sources.shape_models.aircraft import airplane
from recon.preparation.sources.shape_models.devices import display, speaker, telephone
from recon.preparation.sources.shape_models.lamps import lamp
from recon.preparation.sources.shape_models.parts import Model
from recon.preparation.sources.shape_models.rifles import rifle
from recon.preparation.sources.shape_models.road import car
from recon.preparation.sources.shape_models.seats import bench, chair, sofa
from recon.preparation.sources.shape_models.ships import vessel
from recon.preparation.sources.shape_models.tables import cabinet, table

MODELS: dict[str, Model] = {
    "airplane": airplane,
    "bench": bench,
    "cabinet": cabinet,
    "car": car,
    "chair": chair,
    "display": display,
    "lamp": lamp,
    "speaker": speaker,
    "rifle": rifle,
    "sofa": sofa,
    "table": table,
    "telephone": telephone,
    "vessel": vessel,
}
