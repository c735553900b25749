"""Material libraries (.mtl) of Wavefront OBJ files."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recon.formats.meshes.reading.companions import find_companion
from recon.formats.meshes.reading.materials import DEFAULT_COLOR, Material, UvTransform
from recon.formats.meshes.reading.textured_mesh import CLAMP, REPEAT, MeshWarning
from recon.formats.stores import Store
from recon.formats.text import read_lines

# How many words follow the options of a map; of numbers there may be fewer.
WORDS = {"-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-type": 1}
NUMBERS = {"-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-bm": 1, "-boost": 1, "-texres": 1}
# Colours up to this are black: the light that such a material gives off is its colour.
BLACK = 1e-3


@dataclass
class Map:
    """A map statement: an image and where it lies.

    Attributes:
        name: The image's name as it is written.
        options: The words that follow each option.
    """

    name: str
    options: dict[str, list[str]] = field(default_factory=dict)

    def transform(self) -> UvTransform:
        """Returns where the image lies: coordinates are scaled (-s), then shifted (-o)."""
        scale, shift = self._pair("-s", 1.0), self._pair("-o", 0.0)
        return UvTransform(((scale[0], 0.0), (0.0, scale[1])), shift)

    def wrap(self) -> tuple[int, int]:
        """Returns how the image goes on beyond its sides."""
        mode = CLAMP if self.options.get("-clamp") == ["on"] else REPEAT
        return mode, mode

    def gain(self) -> tuple[float, float]:
        """Returns base and gain of the colours (-mm)."""
        base, gain = [*map(float, self.options.get("-mm", [])), 0.0, 1.0][:2]
        return (base, gain) if len(self.options.get("-mm", [])) == 2 else (0.0, 1.0)

    def _pair(self, option: str, default: float) -> tuple[float, float]:
        u, v = [*map(float, self.options.get(option, [])), default, default][:2]
        return u, v


def parse_map(words: str) -> Map:
    """Parses what follows the keyword of a map: options, and a file name that may have spaces."""
    rest, options = words.strip(), {}
    while rest.startswith("-"):
        option, _, following = rest.partition(" ")
        option = option.lower()
        if option not in WORDS and option not in NUMBERS:
            break  # a file name that begins so
        taken = following.split()[: WORDS.get(option, NUMBERS.get(option, 0))]
        if option in NUMBERS:
            taken = taken[: next((k for k, w in enumerate(taken) if not _is_number(w)), 3)]
        for _ in taken:
            following = following.lstrip().partition(" ")[2]
        options[option] = taken
        rest = following.lstrip()
    return Map(rest, options)


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def read_mtl(store: Store, name: str) -> dict[str, Material]:
    """Reads a material library; statements it cannot understand keep their defaults."""
    statements: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in read_lines(store.read(name)):
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        if keyword.lower() == "newmtl":
            current = statements.setdefault(rest.strip(), {})
        elif keyword and not keyword.startswith("#"):
            current[keyword.lower()] = rest.strip()
    inverse = _tr_is_opacity(statements)
    if inverse:
        words = f"{posixpath.basename(name)}: Tr of its materials is taken for opacity, not for"
        warnings.warn(f"{words} transparency", MeshWarning, stacklevel=2)
    return {
        label: _material(store, name, label, words, inverse) for label, words in statements.items()
    }


def _tr_is_opacity(statements: Mapping[str, Mapping[str, str]]) -> bool:
    """Tells whether `Tr 1` means opaque, as older programs (MeshLab, openMVS) write it.

    So it does where no material has a `d`, all have a `Tr`, some of them 1, and none of them 0.
    """
    values = [_floats(words.get("tr", ""))[:1] for words in statements.values()]
    if not values or not all(values) or any("d" in words for words in statements.values()):
        return False
    numbers = [number for value in values for number in value]
    return max(numbers) == 1 and min(numbers) > 0


def _material(
    store: Store, library: str, name: str, words: Mapping[str, str], tr_is_opacity: bool
) -> Material:
    color = _color(words.get("kd", ""))
    source = parse_map(words.get("map_kd", ""))
    light = _color(words.get("ke", ""))
    if not source.name and color is not None and light is not None and max(color) <= BLACK:
        # It gives off light and reflects none.
        source = parse_map(words.get("map_ke", ""))
        color = light if max(light) > BLACK else color
    mask = parse_map(words.get("map_d", ""))
    found = _find(store, library, source)
    alpha = _opacity(words, bool(mask.name), tr_is_opacity)
    found_mask = _find(store, library, mask)
    own = found_mask is not None and found_mask == found
    if color is None:
        color = (1.0, 1.0, 1.0) if found else DEFAULT_COLOR
    return Material(
        name=name,
        color=color,
        alpha=alpha,
        texture=found,
        mask=None if own else found_mask,
        opacity="alpha" if own or alpha < 1 else "guess",
        transform=(source if source.name else mask).transform(),
        wrap=(source if source.name else mask).wrap(),
        gain=source.gain(),
        missing=tuple(
            f"no file {image.name} (of material {name} in {posixpath.basename(library)})"
            for image, there in ((source, found), (mask, found_mask))
            if image.name and there is None
        ),
    )


def _find(store: Store, library: str, image: Map) -> str | None:
    """Returns the stored image of a map; options or a comment may follow, or words stand before."""
    if not image.name:
        return None
    bare = image.name.split(" #")[0]  # before a comment
    candidates = (image.name, bare, bare.split(" -")[0], bare.split(" ")[-1])
    found = (find_companion(store, library, words) for words in dict.fromkeys(candidates))
    return next(filter(None, found), None)


def _opacity(words: Mapping[str, str], masked: bool, tr_is_opacity: bool) -> float:
    """Returns the opacity that `d` or `Tr` give; `d` counts before `Tr`, which is its opposite."""
    solid = _floats(words.get("d", "").rsplit(" ", 1)[-1])  # after `-halo`
    clear = _floats(words.get("tr", ""))
    opposite = (clear[0] if tr_is_opacity else 1 - clear[0]) if clear else 1.0
    alpha = solid[0] if solid else opposite
    if alpha == 0 and (masked or (solid and clear)):
        # A map of opacities would have nothing to say, or the two contradict each other.
        alpha = 1.0 if masked else opposite
    return alpha


def _color(words: str) -> tuple[float, float, float] | None:
    """Returns red, green and blue; a single number stands for all three."""
    rgb = _floats(words)
    if not rgb:
        return None
    return (rgb[0], rgb[1], rgb[2]) if len(rgb) >= 3 else (rgb[0], rgb[0], rgb[0])


def _floats(words: str) -> list[float]:
    try:
        return [float(word) for word in words.split("#")[0].split()]
    except ValueError:
        return []
