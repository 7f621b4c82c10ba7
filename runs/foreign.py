"""Files of other frameworks in the place of ours: imported into the cache once, by what is in them."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pocketvision.datasets.images.cache_folder import cache_folder
from pocketvision.runs.folder import run_of_checkpoint

logger = logging.getLogger("pocketvision")

_STATES = (".pth", ".pt")
_GRAPHS = (".pb", ".tflite", ".index")
_OURS = "pocketvision.json"
"""What lies in a TFLite file that this project exported."""
_FORM = 3
"""Counts up when an import gives something else than before."""
_DECISIVE = ("model.", "class_names=", "data.root=")
"""What overrides of an imported model begin with."""


def is_foreign(source: str | Path) -> bool:
    """Whether it is a file that others wrote: no checkpoint in a run folder, nothing that we exported."""
    path = _file(source)
    if path is None or path.suffix not in (*_STATES, *_GRAPHS):
        return False
    if path.suffix == ".tflite" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _OURS not in archive.namelist()
    return path.suffix in _GRAPHS or run_of_checkpoint(path) is None


def imported(source: str | Path, overrides: Sequence[str] = ()) -> Path:
    """The weights, with their passport, that ``import-weights`` makes of a foreign file; kept in the cache by
    the hash of the file and by ``overrides``, which name its classes or change its model.

    Raises:
        InputError: it is no model that is known, ours computes something else, or nobody names the classes.
    """
    from pocketvision.core.download import sha256  # late: it needs PyTorch

    path = _file(source)
    assert path is not None, "is_foreign() says so"
    words = [word for word in overrides if word.startswith(_DECISIVE)]
    digest = hashlib.sha256(repr((_FORM, words)).encode())
    for part in (path, *sorted(path.parent.glob(f"{path.stem}.data-*") if path.suffix == ".index" else ())):
        digest.update(sha256(part).encode())
    output = cache_folder("imported") / f"{path.stem}-{digest.hexdigest()[:16]}.safetensors"
    if not output.exists():
        from pocketvision.runs.importing import import_weights

        import_weights(str(path), None, words, output)
    logger.info("%s is used as %s", source, output)
    return output


def imported_config(weights: Path) -> Path:
    """The shipped config that the model of imported ``weights`` is built from."""
    from pocketvision.core.command import find_config
    from pocketvision.core.weights import read_passport

    return find_config(str(read_passport(weights)["builder"]["config"]))


def _file(source: str | Path) -> Path | None:
    """The file itself, or the index of a checkpoint that is named as TensorFlow takes it."""
    path = Path(source)
    choices = (path, path.with_name(f"{path.name}.index")) if path.name else (path,)
    return next((choice for choice in choices if choice.is_file()), None)
