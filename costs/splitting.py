"""What running blocks in groups of channels saves, and the time that it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.split import split_blocks, splittable_blocks
from pocketvision.core.structures import Size
from pocketvision.costs.measure import Cost, measure_cost

MAX_TIME_LOSS = 0.1
"""What :func:`choose_groups` lets a split model be slower by."""
MAX_GROUPS = 8
_NEAR = 1.05
"""A peak within so much of the lowest is as good."""
_ROUNDS, _SECONDS = 10, 10.0


@dataclass(frozen=True)
class SplitPlan:
    """A model as it is, and with ``blocks`` run in ``num_groups`` groups of their expanded channels.

    ``before`` and ``after`` are the peaks of live activations in bytes of float32, by part: the stem, each
    block, the last layer, the head.
    """

    num_groups: int
    blocks: tuple[str, ...]
    before: dict[str, int]
    after: dict[str, int]
    extra_madds: int
    """Of blocks with squeeze-and-excitation, which compute their depthwise output twice."""

    @property
    def peak_before(self) -> int:
        """Of the whole model."""
        return max(self.before.values())

    @property
    def peak_after(self) -> int:
        """Likewise, with the blocks split."""
        return max(self.after.values())


@dataclass(frozen=True)
class ChosenSplit:
    """The plan that was chosen, and by how much each number of groups was slower, where it was timed."""

    plan: SplitPlan
    time_loss: dict[int, float]


def plan_split(model: nn.Module, image_size: Size, num_groups: int, in_channels: int = 3) -> SplitPlan:
    """Which blocks of ``model`` to run in ``num_groups`` groups, and what the peaks then are.

    Only blocks that would need more than the peak that is left are split: others cost time and save nothing,
    as does a block whose input and output are larger than what is between them.

    Raises:
        InputError: as :func:`split_blocks`.
        ValueError: as :func:`measure_cost`.
    """
    return _plan(
        model, image_size, num_groups, in_channels, measure_cost(model, image_size, in_channels=in_channels)
    )


def _plan(model: nn.Module, image_size: Size, num_groups: int, in_channels: int, whole: Cost) -> SplitPlan:
    names, parts = splittable_blocks(model), _parts(model)
    every = measure_cost(split_blocks(model, num_groups), image_size, in_channels=in_channels)
    before, most = _peaks(whole, parts), _peaks(every, parts)
    left = max(min(peak, most[part]) if part in names else peak for part, peak in before.items())
    blocks = tuple(name for name in names if before[name] > left)
    after = {part: most[part] if part in blocks else peak for part, peak in before.items()}
    extra = sum(_madds(every, block) - _madds(whole, block) for block in blocks)
    return SplitPlan(num_groups, blocks, before, after, extra)


def _madds(cost: Cost, block: str) -> int:
    return sum(op.madds for op in cost.ops if op.module.startswith(f"{block}."))


def _peaks(cost: Cost, parts: Sequence[str]) -> dict[str, int]:
    """The peak in bytes of each of ``parts`` in their order, and of other modules by their first word.

    What runs between parts, as the addition of a block's input, counts for the part before it.
    """
    peaks: dict[str, int] = {}
    part = ""
    for op in cost.ops:
        first = op.module.partition(".")[0]
        own = next((name for name in parts if f"{op.module}.".startswith(f"{name}.")), None)
        is_between = any(name.startswith(f"{op.module}.") for name in parts) or not op.module
        part = own or (part if is_between and part else first or "input")
        peaks[part] = max(peaks.get(part, 0), op.live_bytes)
    return peaks


def _parts(model: nn.Module) -> list[str]:
    """Names of the layers of every MobileNet inside: stem, blocks, last convolution."""
    return [
        f"{prefix}.{name}".lstrip(".")
        for prefix, backbone in model.named_modules()
        if isinstance(backbone, MobileNet)
        for name in ("stem", *(f"blocks.{number}" for number in range(len(backbone.blocks))), "last")
    ]


def choose_groups(
    model: nn.Module, image_size: Size, in_channels: int = 3, max_time_loss: float = MAX_TIME_LOSS
) -> ChosenSplit:
    """The smallest number of groups that reaches the lowest peak, of those that cost little time here.

    Numbers up to :data:`MAX_GROUPS` that lower the peak further than smaller ones are timed in PyTorch on
    this machine, one thread, in turn with the whole model; what is slower by more than ``max_time_loss`` is
    left out. A peak within 5 % of the lowest counts as reaching it. Where nothing is left no block is split.

    Raises:
        InputError, ValueError: as :func:`plan_split`.
    """
    whole = measure_cost(model, image_size, in_channels=in_channels)
    plans = {1: _plan(model, image_size, 1, in_channels, whole)}
    for number in range(2, MAX_GROUPS + 1):
        plan = _plan(model, image_size, number, in_channels, whole)
        if plan.peak_after * _NEAR < min(other.peak_after for other in plans.values()):
            plans[number] = plan
    loss = _time_losses(model, image_size, in_channels, plans) if len(plans) > 1 else {}
    fitting = [plan for number, plan in plans.items() if loss.get(number, 0.0) <= max_time_loss]
    return ChosenSplit(min(fitting, key=lambda plan: plan.peak_after), loss)


def _time_losses(
    model: nn.Module, image_size: Size, in_channels: int, plans: Mapping[int, SplitPlan]
) -> dict[int, float]:
    """Number of groups -> how much slower than the whole model, as a share of its time."""
    whole = _with_values(model)
    candidates = {number: split_blocks(whole, number, plan.blocks) for number, plan in plans.items()}
    image = torch.zeros(1, in_channels, *image_size)
    taken: dict[int, list[float]] = {number: [] for number in candidates}
    threads, begin = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(1)
    try:
        while len(taken[1]) < 3 or (len(taken[1]) < _ROUNDS and time.perf_counter() - begin < _SECONDS):
            for number, candidate in candidates.items():
                taken[number].append(_seconds(candidate, image))
    finally:
        torch.set_num_threads(threads)
    medians = {number: statistics.median(times[1:]) for number, times in taken.items()}  # the first warms up
    return {number: median / medians[1] - 1 for number, median in medians.items() if number > 1}


def _seconds(model: nn.Module, image: torch.Tensor) -> float:
    """Processor time of one pass, so that other work on the machine does not count."""
    start = time.process_time()
    with torch.inference_mode():
        model(image)
    return time.process_time() - start


def _with_values(model: nn.Module) -> nn.Module:
    """A copy in inference mode; weights that were only shapes get a value that keeps numbers ordinary."""
    copy = split_blocks(model, 1)
    if any(tensor.is_meta for tensor in copy.parameters()):
        copy.to_empty(device="cpu")
        for tensor in (*copy.parameters(), *copy.buffers()):
            tensor.detach().fill_(0.01)
    return copy
