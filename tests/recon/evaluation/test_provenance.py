"""Fingerprints: what changes them, and what does not."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from recon.evaluation.provenance import (
    code_fingerprint,
    config_fingerprint,
    data_fingerprint,
    file_fingerprint,
    texts_fingerprint,
    versions,
)


def test_a_file_is_known_by_its_bytes_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(b"data" * 1000)
    os.utime(two, (0, 0))
    expected = "sha256:" + hashlib.sha256(b"data" * 1000).hexdigest()
    assert file_fingerprint(one) == file_fingerprint(two) == expected
    two.write_bytes(b"data" * 999 + b"dat_")
    assert file_fingerprint(two) != expected
    with pytest.raises(OSError, match="none"):
        file_fingerprint(tmp_path / "none")


def test_a_large_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.evaluation.provenance.WHOLE_FILE", 1 << 22)
    path = tmp_path / "large"
    content = bytearray(os.urandom(1 << 20)) * 12
    path.write_bytes(content)
    first = data_fingerprint(path)
    assert re.fullmatch("sampled:[0-9a-f]{64}", first)
    for place in (0, 1 << 20, len(content) - 1):  # the first edge, block, and the last edge
        content[place] ^= 1
        path.write_bytes(content)
        assert data_fingerprint(path) != first
        content[place] ^= 1
    path.write_bytes(content + b"\0")
    assert data_fingerprint(path) != first
    path.write_bytes(content)
    assert data_fingerprint(path) == first
    assert file_fingerprint(path) == "sha256:" + hashlib.sha256(content).hexdigest()
    path.write_bytes(content[: 1 << 22])
    assert data_fingerprint(path) == file_fingerprint(path)


def test_settings_are_known_whatever_their_order() -> None:
    one = config_fingerprint({"a": 1, "b": [1, 2]})
    assert one == config_fingerprint({"b": [1, 2], "a": 1})
    assert one != config_fingerprint({"a": 1, "b": [2, 1]})
    assert texts_fingerprint(["ab", "c"]) != texts_fingerprint(["a", "bc"])


def test_code_is_known_by_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "csrc").mkdir()
    module, kernel = tmp_path / "__init__.py", tmp_path / "csrc" / "kernel.cu"
    module.write_text("x = 1\n")
    kernel.write_text("int x;\n")
    for package in ("recon", "renderer_cuda"):
        monkeypatch.setattr(f"{package}.__file__", str(module))
    first = code_fingerprint()
    (tmp_path / "__init__.pyc").write_text("compiled")
    assert code_fingerprint() == first
    kernel.write_text("int y;\n")
    assert code_fingerprint() != first


def test_versions_are_of_what_computes() -> None:
    found = versions()
    assert set(found) == {"python", "recon", "torch", "numpy"}
    assert found["python"].startswith("3.")
