from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from recon.preparation.sources.debian_packages import Package, PackageCache
from recon.preparation.sources.interface import SourceUnreachableError

APT_GET = """#!/bin/sh
# apt-get download -q [-o ...] NAME[=VERSION]: copies from the folder ARCHIVE
for last; do :; done
echo "$last" >> "{log}"
name=${{last%%=*}}
for deb in "{archive}"/${{name}}_*.deb; do
  [ -e "$deb" ] || {{ echo "E: Unable to locate package $name" >&2; exit 100; }}
  case "$last" in
    *=*) case "$deb" in *_$(echo "${{last#*=}}" | sed 's/:/%3a/')_*) ;;
         *) echo "E: Version '${{last#*=}}' for '$name' was not found" >&2; exit 100;; esac;;
  esac
  cp "$deb" .
done
"""
DPKG_DEB = '#!/bin/sh\nexec tar -xf "$2" -C "$3"\n'


class Archive:
    """A make-believe Debian archive: packages are tar files, the two commands are scripts."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.debs, self.bin, self.log = root / "archive", root / "bin", root / "log"
        self.debs.mkdir(), self.bin.mkdir()
        self.script("apt-get", APT_GET.format(archive=self.debs, log=self.log))
        self.script("dpkg-deb", DPKG_DEB)
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    def script(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def add(self, name: str, version: str, files: dict[str, bytes]) -> Package:
        source = self.debs.parent / f"files-{name}"
        for path, content in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(content)
        deb = self.debs / f"{name}_{version.replace(':', '%3a')}_all.deb"
        with tarfile.open(deb, "w") as archive:
            archive.add(source, ".")
        content = deb.read_bytes()
        return Package(name, version, len(content), hashlib.sha256(content).hexdigest())

    def downloads(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    return Archive(tmp_path, monkeypatch)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(tmp_path / "cache")


def test_packages_are_fetched_once(archive: Archive, cache: PackageCache) -> None:
    package = archive.add("toys", "1:2.0-1", {"usr/a.obj": b"v"})
    folder = cache.unpacked(package)
    assert (folder / "usr/a.obj").read_bytes() == b"v"
    assert cache.unpacked(package) == folder
    assert archive.downloads() == ["toys=1:2.0-1"]


def test_newest_version_of_an_unpinned_package(archive: Archive, cache: PackageCache) -> None:
    archive.add("toys", "3", {"usr/a.obj": b"v"})
    assert (cache.unpacked(Package("toys")) / "usr/a.obj").exists()
    cache.unpacked(Package("toys"))
    assert archive.downloads() == ["toys"]


def test_damaged_download_in_the_cache_is_fetched_again(
    archive: Archive, cache: PackageCache, tmp_path: Path
) -> None:
    package = archive.add("toys", "1", {"a": b"v"})
    (tmp_path / "cache/debs").mkdir(parents=True)
    (tmp_path / "cache/debs/toys_1_all.deb").write_bytes(b"half")
    assert (cache.unpacked(package) / "a").exists()


def test_wrong_checksum_is_refused_and_not_kept(
    archive: Archive, cache: PackageCache, tmp_path: Path
) -> None:
    package = archive.add("toys", "1", {"a": b"v"})
    (archive.debs / "toys_1_all.deb").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"toys 1: the file's sha256 is .* required is"):
        cache.unpacked(package)
    assert list((tmp_path / "cache/debs").iterdir()) == []


def test_unknown_package_advises_an_update(archive: Archive, cache: PackageCache) -> None:
    with pytest.raises(SourceUnreachableError, match=r"toys 1 cannot be fetched.*apt-get update"):
        cache.unpacked(Package("toys", "1", 0, "0"))


def test_version_that_is_gone_is_named(archive: Archive, cache: PackageCache) -> None:
    archive.add("toys", "2", {"a": b"v"})
    with pytest.raises(SourceUnreachableError, match=r"toys 1 cannot be fetched: .* no longer has"):
        cache.unpacked(Package("toys", "1", 0, "0"))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("E: Failed to fetch http://x 404  Not Found", "lists are stale"),
        ("E: Temporary failure resolving 'deb.example.org'", "Temporary failure resolving"),
        ("", "it gave no reason"),
    ],
)
def test_other_failures_give_apts_reason(
    archive: Archive, cache: PackageCache, output: str, message: str
) -> None:
    archive.script("apt-get", f'#!/bin/sh\necho "{output}" >&2\nexit 100\n')
    with pytest.raises(SourceUnreachableError, match=f"toys 1 cannot be fetched.*{message}"):
        cache.unpacked(Package("toys", "1"))


def test_a_full_disk_is_not_an_unreachable_archive(archive: Archive, cache: PackageCache) -> None:
    output = "E: You don't have enough free space in /tmp/."
    archive.script("apt-get", f'#!/bin/sh\necho "{output}" >&2\nexit 100\n')
    with pytest.raises(ValueError, match=r"toys 1 cannot be fetched.*free space"):
        cache.unpacked(Package("toys", "1"))


@pytest.mark.parametrize("command", ["apt-get", "dpkg-deb"])
def test_missing_commands_are_named(
    archive: Archive, cache: PackageCache, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    package = archive.add("toys", "1", {"a": b"v"})
    if command == "dpkg-deb":
        (archive.bin / "dpkg-deb").unlink()
        archive.script("cp", '#!/bin/sh\nexec /bin/cp "$@"\n')
        archive.script("sed", '#!/bin/sh\nexec /bin/sed "$@"\n')
    else:
        (archive.bin / "apt-get").unlink()
    monkeypatch.setenv("PATH", str(archive.bin))
    with pytest.raises(
        SourceUnreachableError, match=f"toys 1 is needed, but there is no {command}"
    ):
        cache.unpacked(package)


def test_failed_unpacking_leaves_no_folder(
    archive: Archive, cache: PackageCache, tmp_path: Path
) -> None:
    package = archive.add("toys", "1", {"a": b"v"})
    script = '#!/bin/sh\ntouch "$3/half"\necho "dpkg-deb: error: no space" >&2\nexit 2\n'
    archive.script("dpkg-deb", script)
    with pytest.raises(ValueError, match=r"toys 1 cannot be unpacked.*no space"):
        cache.unpacked(package)
    assert list((tmp_path / "cache/files").iterdir()) == []
