"""Weights files: safetensors with a JSON passport, and PyTorch files opened without pickle."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.core.torch_files import is_plain, read_torch_file

logger = logging.getLogger("pocketvision")

StateDict = dict[str, Tensor]
_PASSPORT = "pocketvision"
_CONTAINERS = (
    "model_ema", "ema_state_dict", "state_dict_ema", "ema", "state_dict", "model_state_dict", "model_state",
    "model", "net", "network", "weights", "params", "teacher", "student", "module", "checkpoint",
    "model_weights", "model_dict",
)  # fmt: skip
"""What a state dict is called in a checkpoint; averaged weights, which are the better, come first."""
_AVERAGES = ("ema_model.", "model_ema.", "ema.", "averaged_model.", "teacher.")
_PREFIXES = (
    "module.", "_orig_mod.", "_forward_module.", "model.", "_model.", "net.", "network.", "student.",
    *_AVERAGES,
)  # fmt: skip
"""What wrappers put before every name: DataParallel, torch.compile, Lightning's modules, averages."""
_COUNTERS = ("n_averaged",)
"""Tensors of wrappers themselves."""
_MAX_DEPTH = 3


@dataclass(frozen=True)
class MatchReport:
    """What of a file went into a model."""

    source: str
    num_matched: int
    num_tensors: int
    unused: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        left = (
            f", {len(self.unused)} of the file not needed (such as {self.unused[0]})" if self.unused else ""
        )
        note = f", {self.note}" if self.note else ""
        return f"{self.source}: matched {self.num_matched} of {self.num_tensors} tensors{note}{left}"


def save_weights(path: Path, model: nn.Module, passport: Mapping[str, Any]) -> None:
    """Write the model's parameters and buffers as safetensors with ``passport`` as JSON metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with replacing(path) as temporary:
        # Not save_file: it makes files that only their owner can read.
        temporary.write_bytes(save(state, metadata={_PASSPORT: json.dumps(passport, ensure_ascii=False)}))


def read_passport(path: Path) -> dict[str, Any]:
    """The JSON metadata of a weights file written by :func:`save_weights`; empty where there is none.

    Raises:
        InputError: the file is missing or not a safetensors file, or what it says is no passport.
    """
    with _open_safetensors(path) as file:
        metadata = file.metadata() or {}
    try:
        passport = json.loads(metadata.get(_PASSPORT, "{}"))
    except (ValueError, RecursionError):
        passport = None
    if not isinstance(passport, dict) or not _are_names(passport.get("class_names", [])):
        raise InputError(f"{path} has a passport that can't be read: copy or download the file again.")
    return passport


def count_numbers(path: Path) -> int:
    """How many numbers the tensors of a safetensors file hold, without reading them.

    Raises:
        InputError: the file is missing or not a safetensors file.
    """
    with _open_safetensors(path) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def read_state_dict(path: Path) -> StateDict:
    """Tensors of a .safetensors, .pth, .pt or .ckpt file, by name. Never runs code from the file.

    They may lie in a checkpoint, and their names may have a wrapper's prefix: see
    :func:`find_state_dict`.

    Raises:
        InputError: the file is missing, broken, or needs pickle to open.
    """
    if path.suffix == ".safetensors":
        with _open_safetensors(path) as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return dict(find_state_dict(found, str(path)))
    content = find_state_dict(read_torch_file(path), str(path))
    size = path.stat().st_size
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and is_plain(value, size) for name, value in content.items()
    ):
        raise InputError(f"{path} holds no state dict: give a file of plain tensors by name.")
    return dict(content)


def find_state_dict(content: Any, source: str) -> Any:
    """The state dict in what ``source`` holds, with the names that the model itself has; else ``content``.

    Says in the log what it took where there was a choice.
    """
    found = content
    for _ in range(_MAX_DEPTH):
        places = found if isinstance(found, Mapping) else {}
        names = [name for name in _CONTAINERS if _holds_tensors(places.get(name))]
        if not names:
            break
        if len(names) > 1:
            logger.info("%s: taking '%s', not %s", source, names[0], ", ".join(f"'{n}'" for n in names[1:]))
        found = places[names[0]]
    return _without_prefixes(found) if isinstance(found, Mapping) else found


def _holds_tensors(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Whether it is a state dict, or holds one."""
    if not isinstance(value, Mapping) or not depth:
        return False
    inner = (value.get(name) for name in _CONTAINERS)
    return any(isinstance(item, Tensor) for item in value.values()) or any(
        _holds_tensors(item, depth - 1) for item in inner
    )


def _without_prefixes(state: Mapping[Any, Any]) -> dict[Any, Any]:
    """Names without what most of them begin with because of a wrapper; what lacks it stays as it is.

    Of a model beside its average only the average stays.
    """
    kept = [name for name in state if name not in _COUNTERS]
    if not all(isinstance(name, str) for name in kept):
        return dict(state)
    kept = names = _average_of(kept)
    while prefix := next((text for text in _PREFIXES if _is_common(text, names)), None):
        names = [name.removeprefix(prefix) for name in names]
    names = [name.replace("._orig_mod.", ".") for name in names]
    if len(set(names)) < len(names):
        return dict(state)  # two would be one
    return dict(zip(names, (state[name] for name in kept), strict=True))


def _average_of(names: list[str]) -> list[str]:
    """The names of the average where a model lies beside it, with the same names after another prefix."""
    for average in _AVERAGES:
        own = [name for name in names if name.startswith(average)]
        inner = {_bare(name) for name in own}
        if own and inner <= {_bare(name) for name in names if not name.startswith(average)}:
            logger.info("taking the averaged weights, '%s'", average)
            return own
    return names


def _bare(name: str) -> str:
    while prefix := next((text for text in _PREFIXES if name.startswith(text)), None):
        name = name.removeprefix(prefix)
    return name


def _is_common(prefix: str, names: Sequence[str]) -> bool:
    return sum(name.startswith(prefix) for name in names) * 2 > len(names)


def load_state_dict(model: nn.Module, state: StateDict, source: str) -> MatchReport:
    """Copy ``state`` into ``model``, which must match it tensor by tensor.

    Raises:
        InputError: names or shapes differ, or values are none that a model computes with; the sentence names
            the first difference.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"{source} does not fit this model: it lacks {len(missing)} of {len(own)} tensors, "
            f"such as {missing[0]}. Use the config it was trained with, and the same version of pocketvision."
        )
    for name, value in own.items():
        if name in state and state[name].shape != value.shape:
            raise InputError(
                f"{source} does not fit this model: {name} is {tuple(state[name].shape)}, the model needs "
                f"{tuple(value.shape)}. Check width_mult and the number of classes."
            )
        if name in state:
            _check_values(state[name], value, name, source)
    model.load_state_dict({name: state[name] for name in own if name in state}, strict=False)
    unused = tuple(name for name in state if name not in own)
    return MatchReport(source, sum(name in state for name in own), len(own), unused)


def _check_values(found: Tensor, own: Tensor, name: str, source: str) -> None:
    """Refuse quantized values, and those of a training that failed."""
    if not own.is_floating_point():
        return
    if not found.is_floating_point():
        raise InputError(
            f"{source} has whole numbers ({found.dtype}) in {name}, as quantized weights have: give the "
            "file in floating point."
        )
    if not bool(found.isfinite().all()):
        raise InputError(
            f"{source} has values in {name} that are no numbers (NaN or infinite): its training failed; give "
            "an earlier checkpoint."
        )


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(name is None or isinstance(name, str) for name in value)


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    """The file, opened; what is wrong with it in one sentence, be it found now or while reading."""
    if not path.is_file():
        raise InputError(f"There is no weights file {path}: check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, RuntimeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a safetensors file or is broken: copy or download it again."
        ) from error
