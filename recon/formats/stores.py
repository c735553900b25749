"""Read-only views of the files inside a folder or a zip archive, by their relative names."""

from __future__ import annotations

import os
import posixpath
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

# A member that claims more is refused: a few bytes of an archive can unpack to terabytes.
MAX_MEMBER_BYTES = 1 << 31


class Store(Protocol):
    """A tree of files addressed by relative names with forward slashes."""

    label: str

    def read(self, name: str) -> bytes:
        """Returns the bytes of the file `name`, matched as `find` does."""

    def find(self, name: str) -> str | None:
        """Returns the stored spelling of `name` (exact, else ignoring case), or None."""

    def find_leaf(self, leaf: str) -> str | None:
        """Returns the first stored name, in sorted order, whose last component is `leaf`."""


class NamedStore(Store, Protocol):
    """A store that knows the names of all its files."""

    names: tuple[str, ...]


class FileStore:
    """A single file; its folder is not listed.

    Args:
        path: The file.

    Attributes:
        label: The name of the folder.
        names: The name of the file.

    Raises:
        FileNotFoundError: If there is no such file.
    """

    names: tuple[str, ...]

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if not self._path.is_file():
            raise FileNotFoundError(f"file not found: {path}")
        self.label, self.names = str(self._path.parent), (self._path.name,)

    def read(self, name: str) -> bytes:
        """Returns the bytes of the file `name`.

        Raises:
            FileNotFoundError: If the name is another one.
        """
        if name not in self.names:
            raise FileNotFoundError(f"{self.label}: {name} is not {self.names[0]}")
        return self._path.read_bytes()

    def find(self, name: str) -> str | None:
        """Returns `name` if it is that of the file, else None."""
        return name if name in self.names else None

    def find_leaf(self, leaf: str) -> str | None:
        """Returns `leaf` if it is the name of the file, else None."""
        return self.find(leaf)


def join_name(base: str, relative: str) -> str:
    """Returns `relative`, as written in the file `base`, as a normalised name of the store."""
    relative = relative.replace("\\", "/").strip()
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), relative))


def full_name(store: Store, name: str) -> str:
    """Returns what a person calls a file of a store."""
    return f"{store.label}/{name}" if store.label else name


def _escapes(name: str) -> bool:
    """Tells whether a stored name points out of its tree."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":")


def _folded(name: str) -> str:
    """Returns a name for comparisons: systems differ in case and in how they write accents."""
    return unicodedata.normalize("NFC", name).casefold()


class _NameIndex:
    """Look-up of names which ignores case and the form of accents."""

    def __init__(self, names: list[str]) -> None:
        self._exact = set(names)
        self._by_folded = {_folded(name): name for name in sorted(names, reverse=True)}
        self._by_leaf = {_folded(name.rsplit("/", 1)[-1]): name for name in sorted(names)[::-1]}

    def find(self, name: str) -> str | None:
        return name if name in self._exact else self._by_folded.get(_folded(name))

    def find_leaf(self, leaf: str) -> str | None:
        return self._by_leaf.get(_folded(leaf))


class FolderStore:
    """The files below a folder; a link that leads out of the folder is not a file of it.

    Args:
        root: The folder.

    Attributes:
        label: The name of the folder.
        names: The names of all files, sorted.
        refused: The names of the links that lead out, to nowhere or to a folder, sorted.

    Raises:
        FileNotFoundError: If `root` is not a folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.label = str(root)
        if not os.path.isdir(root):
            raise FileNotFoundError(f"folder not found: {root}")
        self._root = os.path.realpath(root)
        names: list[str] = []
        refused: list[str] = []
        for folder, folders, leaves in os.walk(self._root):
            relative = os.path.relpath(folder, self._root).replace(os.sep, "/")
            prefix = "" if relative == "." else relative + "/"
            for leaf in leaves:
                (names if self._is_inside(folder, leaf) else refused).append(prefix + leaf)
            refused += [prefix + f for f in folders if os.path.islink(os.path.join(folder, f))]
        self.names, self.refused = tuple(sorted(names)), tuple(sorted(refused))
        self._index = _NameIndex(names)

    def _is_inside(self, folder: str, leaf: str) -> bool:
        path = os.path.join(folder, leaf)
        if not os.path.islink(path):
            return True
        target = os.path.realpath(path)
        return os.path.isfile(target) and target.startswith(self._root + os.sep)

    def find(self, name: str) -> str | None:
        """Returns the stored spelling of `name` (exact, else ignoring case), or None."""
        return self._index.find(name)

    def find_leaf(self, leaf: str) -> str | None:
        """Returns the first stored name, in sorted order, whose last component is `leaf`."""
        return self._index.find_leaf(leaf)

    def read(self, name: str) -> bytes:
        """Returns the bytes of the file `name`.

        Raises:
            FileNotFoundError: If the folder has no such file.
        """
        found = self.find(name)
        if found is None and name in self.refused:
            raise FileNotFoundError(f"{self.label}: {name} is a link that leads out of the folder")
        if found is None:
            raise FileNotFoundError(f"{self.label} has no file {name}")
        with open(os.path.join(self._root, found), "rb") as stream:
            return stream.read()

    def state(self, name: str) -> list[int]:
        """Returns numbers that change when the file `name`, one of `names`, may have changed.

        They are its size and time; none if it is gone.
        """
        try:
            status = os.stat(os.path.join(self._root, name))
        except OSError:
            return []
        return [status.st_size, status.st_mtime_ns]


class ZipStore:
    """The members of a zip archive, read in memory; nothing is ever extracted to disk.

    Args:
        path: The zip archive, whatever its suffix (.zip, .jar, .pk3, .sh3f).

    Attributes:
        label: The name of the archive.
        names: The names of all members that are files, sorted.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a zip archive or a member's name leads out of it.
    """

    def __init__(self, path: str | Path) -> None:
        self.label = str(path)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"archive not found: {path}")
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{path} is not a readable zip archive: {error}") from error
        self.names = tuple(sorted({n for n in self._zip.namelist() if not n.endswith("/")}))
        for name in self.names:
            if _escapes(name):
                raise ValueError(f"{path} is refused: the member {name!r} leads out of the archive")
        self._index = _NameIndex(list(self.names))

    def find(self, name: str) -> str | None:
        """Returns the stored spelling of `name` (exact, else ignoring case), or None."""
        return self._index.find(name)

    def find_leaf(self, leaf: str) -> str | None:
        """Returns the first stored name, in sorted order, whose last component is `leaf`."""
        return self._index.find_leaf(leaf)

    def state(self, name: str) -> list[int]:
        """Returns numbers that change when the member `name` changes: its size and checksum."""
        member = self._zip.getinfo(name)
        return [member.file_size, member.CRC]

    def read(self, name: str) -> bytes:
        """Returns the bytes of the member `name`.

        Raises:
            FileNotFoundError: If the archive has no such member.
            ValueError: If the member is corrupt, encrypted or too large.
        """
        found = self.find(name)
        if found is None:
            raise FileNotFoundError(f"{self.label} has no member {name}")
        size = self._zip.getinfo(found).file_size
        if size > MAX_MEMBER_BYTES:
            raise ValueError(
                f"{self.label}: member {found} is refused: it claims {size} bytes, more than"
                f" {MAX_MEMBER_BYTES}"
            )
        try:
            return self._zip.read(found)
        except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{self.label}: member {found} is unreadable: {error}") from error


class DiskStore:
    """Files on disk by their paths, looked up when they are asked for; nothing is listed before.

    It serves a single file with what lies around it, which may be in a sister folder.

    Attributes:
        label: An empty text, as names are paths.
    """

    label = ""

    def find(self, name: str) -> str | None:
        """Returns the spelling on disk of the path `name` (exact, else ignoring case), or None."""
        if os.path.isfile(name):
            return name
        found = "/" if name.startswith("/") else ""
        for part in filter(None, name.split("/")):
            spelled = self._entry(found, part)
            if spelled is None:
                return None
            found = posixpath.join(found, spelled)
        return found if os.path.isfile(found) else None

    @staticmethod
    def _entry(folder: str, part: str) -> str | None:
        """Returns how a folder spells one of its entries."""
        if os.path.lexists(os.path.join(folder, part)):
            return part
        try:
            entries = sorted(os.listdir(folder or "."))
        except OSError:
            return None
        return next((entry for entry in entries if _folded(entry) == _folded(part)), None)

    def find_leaf(self, leaf: str) -> str | None:
        """Returns None: what lies anywhere on a disk does not belong to a file of it."""
        return None

    def read(self, name: str) -> bytes:
        """Returns the bytes of the file at the path `name`.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        found = self.find(name)
        if found is None:
            raise FileNotFoundError(f"no file {name}")
        with open(found, "rb") as stream:
            return stream.read()


def open_store(path: str | Path) -> FolderStore | ZipStore:
    """Returns the store for a folder or a zip archive."""
    return FolderStore(path) if os.path.isdir(path) else ZipStore(path)
