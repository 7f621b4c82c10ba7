"""PyTorch's own files (.pth, .pt, .ckpt), opened without running or believing what they say."""

from __future__ import annotations

import argparse
import collections
import pickle
import re
import struct
import threading
import warnings
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.errors import InputError

_PATHLIB = ("pathlib", "pathlib._local")
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,
    collections.defaultdict,
    dict,
    np.dtype,
    *(type(np.dtype(code)) for code in "?bhilqBHILQfd"),
    *((_NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((PurePosixPath, f"{module}.{kind}PosixPath") for module in _PATHLIB for kind in ("", "Pure")),
    *((PureWindowsPath, f"{module}.{kind}WindowsPath") for module in _PATHLIB for kind in ("", "Pure")),
]
"""What recipes save beside tensors: their arguments, paths and numbers, of types that only hold values."""
_LOCK = threading.Lock()
"""The list of what is harmless is one for the process."""
_ZIP = b"PK\x03\x04"
_BROKEN = (
    EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError,
    RuntimeError, OSError, MemoryError, struct.error, pickle.UnpicklingError,
)  # fmt: skip
"""What torch's unpickler raises for truncated files, depending on where they end."""


def read_torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote, as far as it needs no pickle.

    Tensors lie in the file, not in memory: torch would otherwise believe a record that claims to be
    longer than it is, and read what lies behind it. Copy them before the file changes.

    Raises:
        InputError: the file is missing, broken, needs pickle, or is no archive as torch writes it.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file {path}: check the path.")
    with path.open("rb") as file:
        is_zip = file.read(4) == _ZIP
    if is_zip:
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that callers refuse
            with _LOCK, torch.serialization.safe_globals(_unlisted()):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except _BROKEN as error:
        code = re.search(r"Unsupported global: GLOBAL ([\w.]+)", str(error))
        if code is not None:
            raise InputError(
                f"{path} can't be opened as weights: it holds an object of {code[1]}, which could run code; "
                "save the state dict alone, with torch.save(model.state_dict(), FILE)."
            ) from error
        raise InputError(
            f"{path} can't be opened as weights (broken, or holding more than tensors): "
            "download or save it again as a plain state dict."
        ) from error


def _unlisted() -> list[Any]:
    """Of :data:`_HARMLESS` what the user has not listed: torch strikes out all of these afterwards."""
    listed = torch.serialization.get_safe_globals()
    return [item for item in _HARMLESS if item not in listed]


def is_plain(value: object, num_bytes: int) -> bool:
    """Whether ``value`` is an ordinary tensor whose numbers fit into a file of ``num_bytes``."""
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not (value.is_quantized or value.is_complex())
        and value.numel() * value.element_size() <= num_bytes
    )


def _check_archive(path: Path) -> None:
    """Refuse an archive that torch does not write: it stores plainly, in one folder, nothing twice."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is broken (its end is missing): download or save it again.") from error
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or ":" in parts[0]:
            raise InputError(
                f"{path} holds a file named {entry.filename!r}, which leads out of it: don't use it."
            )
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise InputError(
            f"{path} is packed, or claims to hold more than its size, which torch's own files never do: "
            "download or save it again."
        )
