"""Whether what lies in a Core ML package is the model that it was made of: operators, shapes and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pocketvision.deploy.runtimes.answers import check_answers
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.mil_program import OPERATORS, MilProgram

_ROUNDING = 2.0**-11
"""Of float16, as a share of a number ..."""
_LEAST = 2.0**-14
"""... that is no less than this; below, the steps stay as they are."""


class StructureCheck(NamedTuple):
    """One line of what was looked at."""

    text: str
    passed: bool


def check_structure(program: MilProgram, graph: nn.Module, path: Path) -> list[StructureCheck]:
    """Compare a package with the graph that it was made of, or with that of the same model.

    Raises:
        InputError: its metadata are broken or not ours.
    """
    artifact = Artifact.from_json(program.metadata.get(METADATA_KEY), str(path))
    unknown = [kind for kind in program.operator_kinds if kind not in OPERATORS]
    count = len(program.operators)
    return [
        StructureCheck(
            f"{count} operators of {len(program.operator_kinds)} kinds, not known: {', '.join(unknown)}"
            if unknown
            else f"{count} operators of {len(program.operator_kinds)} kinds, all known",
            not unknown,
        ),
        _check_input(program, artifact),
        _check_outputs(program, artifact),
        _check_weights(program, graph),
    ]


def _check_input(program: MilProgram, artifact: Artifact) -> StructureCheck:
    kind = "RGB" if artifact.takes_picture else "FLOAT32"
    expected = [("images", kind, [1, artifact.num_channels, *artifact.image_size])]
    found = [(entry["name"], entry["kind"], entry["shape"]) for entry in program.inputs]
    return StructureCheck(f"the input is {_words(found)}", found == expected)


def _check_outputs(program: MilProgram, artifact: Artifact) -> StructureCheck:
    found = [(entry["name"], entry["kind"], entry["shape"]) for entry in program.outputs]
    kind = "INT32" if artifact.outputs == ("label_map",) else "FLOAT32"
    named = [(name, kind) for name in artifact.outputs]
    try:
        number = torch.int32 if kind == "INT32" else torch.float32
        shapes = {name: torch.zeros(shape, dtype=number) for name, _, shape in found}
        check_answers(artifact, shapes, 1)
        fits = [(name, form) for name, form, _ in found] == named
    except (KeyError, ValueError):
        fits = False
    return StructureCheck(f"the outputs are {_words(found)}", fits)


def _check_weights(program: MilProgram, graph: nn.Module) -> StructureCheck:
    """Every weight of a convolution or linear layer has a constant of its shape within float16."""
    kept: dict[tuple[int, ...], list[Tensor]] = {}
    for constant in program.constants.values():
        kept.setdefault(tuple(constant.shape), []).append(constant.float())
    weights = {name: value for name, value in graph.named_parameters() if value.ndim > 1}
    missing = [name for name, value in weights.items() if not _is_among(value, kept)]
    text = f"{len(weights) - len(missing)} of {len(weights)} weights lie in it within float16"
    return StructureCheck(text + (f", not {missing[0]}" if missing else ""), not missing)


def _is_among(weight: Tensor, kept: dict[tuple[int, ...], list[Tensor]]) -> bool:
    weight = weight.detach().cpu()
    limit = _ROUNDING * weight.abs().clamp(min=_LEAST)
    return any(
        bool(((constant - weight).abs() <= limit).all()) for constant in kept.get(tuple(weight.shape), ())
    )


def _words(found: Sequence[tuple[str, str, list[int]]]) -> str:
    return ", ".join(f"{name} {kind} {'x'.join(map(str, shape))}" for name, kind, shape in found)
