"""Int8 by blocks: the blocks of a graph, and which of them to leave in float32."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import Artifact


class Quantizer(Protocol):
    """Makes int8 versions of one float32 graph for a runtime."""

    @property
    def original(self) -> Any:
        """The float32 graph as the runtime's own model object."""

    def quantized(self, float_blocks: Collection[str]) -> Any:
        """The graph in int8 but for ``float_blocks``."""

    def save(self, model: Any, artifact: Artifact, path: Path) -> str:
        """Write a model object with its metadata; returns a summary of its content."""


def weighted_nodes(model: Any) -> dict[str, str]:
    """The nodes of an ``onnx.ModelProto`` that have a weight -> the block of each, in the graph's order."""
    weighted = ("Conv", "Gemm", "MatMul")
    return {node.name: block_of(node.input[1]) for node in model.graph.node if node.op_type in weighted}


def block_of(weight_name: str) -> str:
    """The block that a weight belongs to: backbone.blocks.3.expand.conv.weight -> backbone.blocks.3."""
    found = re.match(
        r"(parts\.[a-z]+\.)?((backbone|head)\.)+[a-z_]+(\.\d+)?", weight_name.removeprefix("logits.")
    )
    return found.group() if found else weight_name.rpartition(".")[0]


def weights_of(graph: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Block -> name -> weight of its convolutions and linear layers, in the graph's order."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, weight in graph.state_dict().items():
        if name.endswith("weight") and weight.ndim > 1:
            found.setdefault(block_of(name), {})[name] = weight.cpu()
    return found


def choose_float_blocks(
    errors: Mapping[str, float], drop: Callable[[Sequence[str]], float], max_drop: float
) -> tuple[str, ...]:
    """The fewest of the worst blocks that must stay float32 so that ``drop`` is ``max_drop`` at most.

    Tries 0, 1, 2, 4 ... of them, up to half, then halves between the last two; ``drop`` is asked for each.

    Args:
        errors: block -> error, the worst first.

    Raises:
        InputError: half of the blocks in float32 are not enough; says how near it came.
    """
    worst = list(errors)
    tried: dict[int, float] = {}

    def is_enough(count: int) -> bool:
        tried[count] = drop(worst[:count])
        return tried[count] <= max_drop

    counts = [0, *(2**power for power in range(len(worst)) if 2**power <= len(worst) // 2)]
    enough = next((count for count in counts if is_enough(count)), None)
    if enough is None:
        raise InputError(
            f"int8 loses {min(tried.values()):.4f} with up to {counts[-1]} of {len(worst)} blocks in "
            f"float32, and {max_drop:g} is asked for: allow more with --max-drop, or train on with "
            "task.quantization_aware=True."
        )
    too_few = max((count for count in tried if count < enough), default=enough - 1)
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if is_enough(middle):
            enough = middle
        else:
            too_few = middle
    return tuple(worst[:enough])
