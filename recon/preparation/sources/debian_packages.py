"""Fetches and unpacks Debian packages without installing them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recon.preparation.sources.interface import SourceUnreachableError

log = logging.getLogger(__name__)

# Messages of apt-get that name a reason on this machine, not in the archive.
LOCAL_PROBLEMS = ("No space left", "enough free space", "Permission denied", "Read-only file")


@dataclass(frozen=True)
class Package:
    """A Debian package, pinned to one file when its version and checksum are known."""

    name: str
    version: str = ""
    size_bytes: int = 0
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else f"{self.name} (newest)"


class PackageCache:
    """A folder of downloaded packages (`debs/`) and their files (`files/`)."""

    def __init__(self, folder: str | Path) -> None:
        self._debs = Path(folder) / "debs"
        self._files = Path(folder) / "files"

    def unpacked(self, package: Package) -> Path:
        """Returns the folder with the files of `package`, fetching it when it is not there.

        Raises:
            SourceUnreachableError: If the package cannot be fetched here, for lack of apt, of a
                network or of that version in the archive; the message names package and version.
            ValueError: If the package differs from its checksum or cannot be stored or unpacked;
                the message names it.
        """
        deb = self._cached(package) or self._download(package)
        folder = self._files / deb.stem
        if not folder.is_dir():
            self._unpack(package, deb, folder)
        return folder

    def _cached(self, package: Package) -> Path | None:
        version = package.version.replace(":", "%3a")
        for deb in sorted(self._debs.glob(f"{package.name}_{version or '*'}_*.deb")):
            if not package.sha256 or _sha256(deb) == package.sha256:
                return deb
            log.warning("%s differs from its checksum and is fetched again", deb)
            deb.unlink()
        return None

    def _download(self, package: Package) -> Path:
        size = f", {package.size_bytes / 1e6:.0f} MB" if package.size_bytes else ""
        log.info("fetching Debian package %s%s", package, size)
        self._debs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self._debs) as folder:
            _apt_get_download(package, folder)
            found = list(Path(folder).glob("*.deb"))
            if not found:
                raise ValueError(f"apt-get download {package} left no file")
            if package.sha256 and _sha256(found[0]) != package.sha256:
                raise ValueError(
                    f"Debian package {package}: the file's sha256 is {_sha256(found[0])},"
                    f" required is {package.sha256}"
                )
            return found[0].replace(self._debs / found[0].name)

    def _unpack(self, package: Package, deb: Path, folder: Path) -> None:
        self._files.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unpack-", dir=self._files))
        try:
            unfinished.chmod(0o755)
            _run(["dpkg-deb", "-x", str(deb), str(unfinished)], package)
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _apt_get_download(package: Package, folder: str) -> None:
    command = ["apt-get", "download", "-q"]
    if os.geteuid() == 0:
        # As root, apt drops to a user of its own, which may not write into our folder.
        command += ["-o", "APT::Sandbox::User=root"]
    command.append(f"{package.name}={package.version}" if package.version else package.name)
    _run(command, package, folder)


def _run(command: list[str], package: Package, folder: str | None = None) -> None:
    """Runs a command of Debian, turning its failure into a message that names the package."""
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},  # the messages are looked at below
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise SourceUnreachableError(
            f"Debian package {package} is needed, but there is no {command[0]} here;"
            " on other systems use source=shapes"
        ) from error
    if result.returncode:
        output = result.stdout + result.stderr
        here = command[0] != "apt-get" or any(words in output for words in LOCAL_PROBLEMS)
        raise (ValueError if here else SourceUnreachableError)(
            _explanation(command, package, output)
        )


def _explanation(command: list[str], package: Package, output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith(("E:", "dpkg-deb:"))]
    reason = " ".join(errors or output.split()[-40:]) or "it gave no reason"
    what = f"Debian package {package} cannot be {'fetched' if 'apt' in command[0] else 'unpacked'}"
    if "Unable to locate package" in output:
        advice = ": apt does not know it; run `apt-get update` (as root) first. "
    elif package.version and "was not found" in output:
        advice = ": the archive no longer has this version. "
    elif "404" in output:
        advice = ": apt's lists are stale; run `apt-get update` (as root) first. "
    else:
        advice = ": "
    return f"{what}{advice}[{command[0]}: {reason}]"
