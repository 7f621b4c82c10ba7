"""A self-test before a long training: whether the model can overfit a few images."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import nn
from torch.optim import AdamW

from pocketvision.core.config import Experiment, apply_overrides, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress
from pocketvision.core.structures import AnySamples, ClassTarget
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.records.annotations import AnyRecords, DetectionRecords
from pocketvision.datasets.records.splits import take
from pocketvision.evaluation.evaluate import make_evaluator
from pocketvision.evaluation.upper_bound import best_possible_score
from pocketvision.runs.build import build, refuse_several_tasks, refusing_bad_values
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.base import AnyTask

NUM_STEPS, MAX_MINUTES = 300, 10.0
LR = 2e-3
LOW_LOSS = 0.1
"""Share of the first loss that counts as nearly zero."""
HIGH_SCORE, MIN_CEILING = 0.9, 0.7
"""The score that is asked for, as a share of the ceiling; and the ceiling itself."""
_MAX_BATCH = 16


class Overfit(NamedTuple):
    """What a self-test found; ``ceiling`` is the score of the truth itself, matched, encoded and decoded."""

    num_images: int
    num_steps: int
    seconds: float
    first_loss: float
    last_loss: float
    metric: str
    score: float
    ceiling: float

    @property
    def is_learned(self) -> bool:
        """Whether the loss is nearly zero."""
        return self.last_loss <= LOW_LOSS * self.first_loss

    @property
    def passed(self) -> bool:
        """Whether loss and score are as they must be."""
        return self.is_learned and self.ceiling >= MIN_CEILING and self.score >= HIGH_SCORE * self.ceiling

    def __str__(self) -> str:
        facts = (
            f"{self.num_images} images, {self.num_steps} steps in {self.seconds:.0f} s: loss "
            f"{self.first_loss:.3f} -> {self.last_loss:.4f}, {self.metric} {self.score:.3f} "
            f"(the truth itself, encoded and decoded: {self.ceiling:.3f})"
        )
        return f"{'PASS' if self.passed else 'FAIL'}: {facts}{self._where_to_look()}"

    def _where_to_look(self) -> str:
        if self.passed:
            return ""
        if self.ceiling < MIN_CEILING:
            return (
                "\nEven perfect predictions score low: look at the anchors (boxes that share the best one, "
                "see check-data, or reach further than a dense head's twice the anchor), matcher, coder and "
                "postprocessing (iou_threshold, max_detections), and for masks at model.image_size, as thin "
                "objects are lost in a coarse output."
            )
        if not self.is_learned:
            return (
                "\nThe loss stays high: look at the labels (show-data), the anchors (show-data --anchors), "
                "class weights, frozen layers and the loss."
            )
        return (
            "\nThe loss is low but the score is too: what is learned is not what is scored. Look at the "
            "postprocessing, the resize and the way back to original pixels, the coder, class names."
        )


def overfit(experiment: Experiment, num_images: int, read: AnyData | None = None) -> Overfit:
    """Train on ``num_images`` training images without augmentation and score these same images.

    The config's model, loss, matcher, coder and postprocessing are tested; its optimizer is not: AdamW
    trains for :data:`NUM_STEPS` steps (or ``trainer.max_steps``) and :data:`MAX_MINUTES` at most. ``read`` is
    as for :func:`~pocketvision.runs.build.build`.

    Raises:
        InputError: the data or a value of the config is unfit.
    """
    start = time.perf_counter()
    refuse_several_tasks(experiment, "The self-test", "test a config of each task alone")
    plain = apply_overrides(experiment, {"data.augmentation": None, "data.num_workers": 0})
    if "teacher" in parameters(plain.task):  # whose loss need not fall to 0
        plain = apply_overrides(plain, {"task.teacher": None})
    torch.manual_seed(experiment.seed)
    model, data = build(plain, pretrained=True, read=read)
    with refusing_bad_values():
        task: AnyTask = plain.task(model=model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    records: AnyRecords = data.dataset(data.train_split, train=False).records
    indices = choose(records, num_images)
    split, parts = data.train_split, _parts(indices)
    batches = [move_data_to_device(data.batch(split, part, train=True), device) for part in parts]
    wanted = min(NUM_STEPS, experiment.trainer.get("max_steps") or NUM_STEPS)
    losses = learn(task.to(device), batches, wanted if wanted > 0 else NUM_STEPS)

    model.eval()
    samples = [move_data_to_device(_alone(data.batch(split, part), records, part), device) for part in parts]
    own = take(records, indices)
    evaluator = make_evaluator(model, own)
    for batch in samples:
        evaluator.update(batch)
    score = evaluator.compute()[task.metric] or 0.0
    ceiling = best_possible_score(model, task.loss, own, samples, task.metric)
    seconds = time.perf_counter() - start
    return Overfit(len(indices), len(losses), seconds, losses[0], losses[-1], task.metric, score, ceiling)


def _alone(samples: AnySamples, records: AnyRecords, indices: Sequence[int]) -> AnySamples:
    """Samples of which those that are tiles are images of their own."""
    whole = [t if isinstance(t, ClassTarget) else t._replace(tile=None) for t in samples.targets]
    ids = [int(records.image_ids[index]) for index in indices]
    targets: Any = [target._replace(image_id=own) for target, own in zip(whole, ids, strict=True)]
    return samples._replace(targets=targets)


def choose(records: AnyRecords, num_images: int) -> list[int]:
    """Images spread evenly over those that have anything to learn.

    Raises:
        InputError: no image has a box.
    """
    useful = list(range(len(records)))
    if isinstance(records, DetectionRecords):
        useful = [i for i in useful if not records.crowd[records.boxes_of(i)].all()]
    if not useful:
        raise InputError("The training split has no image with a box: there is nothing to overfit.")
    return [useful[i] for i in spread(len(useful), num_images)]


def learn(task: AnyTask, batches: Sequence[AnySamples], num_steps: int) -> list[float]:
    """Train on the batches in turn and return the losses: nothing is dropped, decayed or averaged."""
    for module in task.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    task.train()
    optimizer = AdamW([p for p in task.parameters() if p.requires_grad], lr=LR, weight_decay=0.0)
    losses, begin = list[float](), time.perf_counter()
    with Progress("overfit", num_steps, "steps", stream=sys.stdout) as progress:
        for step in range(num_steps):
            time_share = (time.perf_counter() - begin) / (60 * MAX_MINUTES)
            share = max(step / num_steps, time_share)
            for group in optimizer.param_groups:
                group["lr"] = LR * min(1.0, (step + 1) / 20, 2 * max(0.0, 1 - share) + 1e-3)
            _, loss = losses_in_parts(task, [batches[step % len(batches)]], torch.Tensor.backward)
            if not math.isfinite(value := loss.item()):
                raise InputError(
                    f"The loss of the self-test is {value} at step {step}: check labels and boxes."
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            losses.append(value)
            progress.advance(note=f"loss {value:.4f}")
            if time_share > 1:
                break
    return losses


def _parts(indices: Sequence[int]) -> list[Sequence[int]]:
    return [indices[i : i + _MAX_BATCH] for i in range(0, len(indices), _MAX_BATCH)]
