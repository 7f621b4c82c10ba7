"""What a .pt2 file may hold to be opened: PyTorch's reader runs pickles, expressions and names."""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

_FIXED = (
    "archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id",
)  # fmt: skip
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_EXTRA = re.compile(r"extra/\w+|extra_files/\w+")
_PROGRAMS = ("models/model.json", "serialized_exported_program.json")
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PICKLES = ("serialized_state_dict.pt", "serialized_constants.pt", "serialized_example_inputs.pt")
"""Of PyTorch before 2.8."""
_SAMPLE_INPUTS = "data/sample_inputs/model.pt"

_WORD = re.compile(r"[\w.,:+\-* /<>@=]*")
"""Names that PyTorch puts into the code that it makes of a graph."""
_TREES = ("in_spec", "out_spec")
_TREE_TYPES = ("", "builtins.tuple", "builtins.list", "builtins.dict")
_TREE_WORD = re.compile(r'[\w., \[\]"]*')
_FREE_TEXT = ("metadata", "guards_code")
"""Never run: guards are taken away before the graph becomes a module."""
_OPERATORS = (
    "getitem", "add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pos", "abs", "pow", "eq", "ne",
    "lt", "le", "gt", "ge", "and_", "or_", "not_",
)  # fmt: skip
_EXPRESSION = (
    ast.Expression, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Load, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_MAX_EXPRESSION = 10_000


class UnsafeArchiveError(Exception):
    """Says what in an archive could run code."""


def check_archive(path: Path) -> None:
    """Raise :class:`UnsafeArchiveError` for the first thing in a .pt2 archive that could run code of its own.

    Allowed are tensors, a graph of PyTorch's own operators, and arithmetic over sizes.
    """
    with zipfile.ZipFile(path) as archive:
        entries = {_inner_name(entry.filename): entry for entry in archive.infolist()}
        if len(entries) < len(archive.infolist()):
            raise UnsafeArchiveError("it holds a file twice")

        def read(name: str) -> bytes:
            return archive.read(entries[name])

        for name, entry in entries.items():
            _check_entry(name, entry, read)
        for name in _PROGRAMS:
            if name in entries:
                _check_program(json.loads(read(name)))


def _inner_name(name: str) -> str:
    """Without the folder that PyTorch's newer archives have around all."""
    folder, _, inner = name.partition("/")
    return inner if folder not in ("data", "models", "extra", "extra_files", "") and inner else name


def _check_entry(name: str, entry: zipfile.ZipInfo, read: Callable[[str], bytes]) -> None:
    if entry.compress_type != zipfile.ZIP_STORED:
        raise UnsafeArchiveError(f"{name[:80]!r} is packed, which PyTorch's own files never are")
    if name in _FIXED or name in _PROGRAMS or _EXTRA.fullmatch(name) or _TENSOR.fullmatch(name):
        return
    if name in _CONFIGS:
        _check_config(json.loads(read(name)))
    elif name in _PICKLES or name == _SAMPLE_INPUTS:
        if entry.file_size:
            _check_pickle(read(name), name)
    else:
        raise UnsafeArchiveError(f"it holds {name[:80]!r}, which is neither tensors nor a graph")


def _check_pickle(content: bytes, name: str) -> None:
    """What opens with tensors only does the same where anything is allowed."""
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # an unpickler of anybody's bytes
        raise UnsafeArchiveError(f"{name} holds more than tensors") from error


def _check_config(config: Any) -> None:
    for name, payload in config["config"].items():
        if payload.get("use_pickle") or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
            raise UnsafeArchiveError(f"{str(name)[:80]!r} is a pickle")


def _check_program(program: Any) -> None:
    for key, value in _leaves(program, ""):
        if key == "target":
            _check_target(value)
        elif key == "expr_str":
            _check_expression(value)
        elif key in _TREES:
            for inner, word in _leaves(json.loads(value) if value else None, ""):
                if (inner == "type" and word not in _TREE_TYPES) or not _TREE_WORD.fullmatch(word):
                    raise UnsafeArchiveError(f"its graph has the structure {word[:80]!r}")
        else:
            _check_word(value)


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in JSON with the name that it stands under; names themselves too."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield "", name
            if name not in _FREE_TEXT:
                yield from _leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, key)
    elif isinstance(value, str):
        yield key, value


def _check_word(word: str) -> None:
    if not _WORD.fullmatch(word):
        raise UnsafeArchiveError(f"its graph has the name {word[:80]!r}")


def _check_target(target: str) -> None:
    parts = target.split(".")
    if parts[:3] == ["torch", "ops", "aten"] and len(parts) in (4, 5):
        operator: Any = torch.ops.aten
        for part in parts[3:]:
            operator = getattr(operator, part)
        schemas = [operator._schema] if len(parts) == 5 else operator._schemas.values()
        if not any("file" in argument.name for schema in schemas for argument in schema.arguments):
            return
    is_plain = len(parts) == 2 and (
        (parts[0] == "_operator" and parts[1] in _OPERATORS)
        or parts[0] == "math"
        or (parts[0] == "torch" and parts[1].startswith("sym_"))
    )
    if not is_plain:
        raise UnsafeArchiveError(f"its graph calls {target[:80]!r}")


def _check_expression(text: str) -> None:
    """Arithmetic and constructors such as ``Mul(Integer(2), Symbol('s0', positive=True))``."""
    fault = f"its graph has the expression {text[:80]!r}"
    if len(text) > _MAX_EXPRESSION:
        raise UnsafeArchiveError(fault)
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        raise UnsafeArchiveError(fault) from None
    for node in ast.walk(tree):
        is_fine = isinstance(node, _EXPRESSION)
        if isinstance(node, ast.Call):
            is_fine = isinstance(node.func, ast.Name) and re.fullmatch(r"[A-Z]\w*", node.func.id) is not None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_fine = re.fullmatch(r"\w+", node.value) is not None
        if not is_fine:
            raise UnsafeArchiveError(fault)
