"""Finds the files that a mesh file names: textures, libraries of materials and buffers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from recon.formats.stores import Store, join_name

# Folders beside a model in which programs and archives keep textures.
FOLDERS = ("", "textures", "texture", "images", "maps")
# A path of one machine: C:\..., //server/..., /home/...
_ABSOLUTE = re.compile(r"[A-Za-z]:|[/\\]")


def find_companion(
    store: Store, name: str, written: str, folders: Sequence[str] = FOLDERS
) -> str | None:
    r"""Returns the file of a store that another one names.

    It is looked for as written, then by its last name beside the file that names it, since many
    files hold paths of the machine which wrote them (C:\Users\me\wood.png).

    Args:
        store: The store that has both files.
        name: The file that names the other one.
        written: The name of the other file as it is written, with slashes of either kind.
        folders: The folders in which it may be, besides that of the file that names it.

    Returns:
        Its name in the store; None if it is not there.
    """
    for words in dict.fromkeys((_bare(written), _bare(unquote(written)))):
        if not words:
            continue
        if not _ABSOLUTE.match(words) and (found := store.find(join_name(name, words))):
            return found
        leaf = words.rsplit("/", 1)[-1]
        for folder in folders:
            if leaf and (found := store.find(join_name(name, f"{folder}/{leaf}".lstrip("/")))):
                return found
    return None


def _bare(written: str) -> str:
    """Returns a name with slashes, and without quotes around it."""
    return written.strip().strip("\"'").strip().replace("\\", "/")
