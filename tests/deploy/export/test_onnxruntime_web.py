"""onnxruntime-web's files: fetched once, checked by hash, or given; a stand-in for npm, no network."""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.deploy.export import onnxruntime_web
from pocketvision.deploy.export.onnxruntime_web import INTEGRITY, VERSION, cache_folder, onnxruntime_web_files

CONTENT = {"ort.wasm.bundle.min.mjs": b"export const a = 1;", "ort-wasm-simd-threaded.wasm": b"\0asm"}


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and the hashes of small files in place of the real ones."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    monkeypatch.setattr(onnxruntime_web, "FILES", hashes)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What npm is to give, with its hash known."""
    for name, data in CONTENT.items():
        write(tmp_path / "package" / "dist" / name, data)
    path = tmp_path / "given.tgz"
    with tarfile.open(path, "w:gz") as content:
        content.add(tmp_path / "package", "package")
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(onnxruntime_web, "INTEGRITY", f"sha512-{digest}")
    return path


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def use_npm(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let Python ``code`` be npm; its arguments are in ``sys.argv``, the folder to write to the last."""
    command = [sys.executable, "-S", "-c", f"import pathlib, shutil, sys\n{code}"]
    monkeypatch.setattr(onnxruntime_web, "_npm", lambda: command)


def copying(archive: Path) -> str:
    return f"assert sys.argv[2] == 'onnxruntime-web@{VERSION}'; shutil.copy({str(archive)!r}, sys.argv[-1])"


def test_the_pins_are_exact() -> None:
    assert VERSION.count(".") == 2 and VERSION.replace(".", "").isdigit()
    assert len(base64.b64decode(INTEGRITY.removeprefix("sha512-"))) == hashlib.sha512().digest_size


def test_npm_fetches_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_npm(monkeypatch, copying(archive))
    files = onnxruntime_web_files()
    assert {path.name: path.read_bytes() for path in files} == CONTENT
    assert {path.parent for path in files} == {cache_folder()}
    assert [path.name for path in cache_folder().parent.iterdir()] == [cache_folder().name], "no leftovers"
    use_npm(monkeypatch, "sys.exit(1)")
    assert onnxruntime_web_files() == files


def test_a_damaged_cache_is_fetched_again(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(cache_folder() / "ort.wasm.bundle.min.mjs", b"other")
    use_npm(monkeypatch, copying(archive))
    assert {path.name: path.read_bytes() for path in onnxruntime_web_files()} == CONTENT


def test_an_archive_with_another_hash_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_web, "INTEGRITY", INTEGRITY)
    use_npm(monkeypatch, copying(archive))
    with pytest.raises(InputError, match="its hash differs"):
        onnxruntime_web_files()
    assert not cache_folder().exists()


def test_npm_s_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use_npm(monkeypatch, "print('ENOTFOUND registry', file=sys.stderr); sys.exit(1)")
    with pytest.raises(InputError, match=r"could not fetch .*ENOTFOUND registry.* --ort-dir DIR"):
        onnxruntime_web_files()


def test_without_npm_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_web.shutil, "which", lambda name: None)
    monkeypatch.setattr(onnxruntime_web, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "pocketvision\[web\]".* --ort-dir DIR'):
        onnxruntime_web_files()


def test_the_wheel_s_npm_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_web.shutil, "which", lambda name: None)
    monkeypatch.setattr(onnxruntime_web, "find_spec", lambda name: object())
    assert onnxruntime_web._npm()[0] == sys.executable


@pytest.mark.parametrize("folder", [".", "dist"])
def test_a_given_folder_needs_no_npm(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_npm(monkeypatch, "sys.exit(1)")
    for name, data in CONTENT.items():
        write(tmp_path / "ort" / folder / name, data)
    assert {path.name: path.read_bytes() for path in onnxruntime_web_files(tmp_path / "ort")} == CONTENT


def test_a_given_folder_without_the_files_or_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks ort.*--ort-dir"):
        onnxruntime_web_files(tmp_path)
    for name in CONTENT:
        write(tmp_path / name, b"another version")
    with pytest.raises(InputError, match=f"are not those of onnxruntime-web@{VERSION}"):
        onnxruntime_web_files(tmp_path)
