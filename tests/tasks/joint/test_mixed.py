"""A batch with images of two tasks: one pass through the backbone, and each head learns from its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from pocketvision.configs import street_v2
from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import (
    AnySamples,
    BoxTarget,
    DetectionSamples,
    MaskTarget,
    MixedTaskSamples,
    SegmentationSamples,
    TrainingSamples,
)
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks import JointTask
from pocketvision.tasks.accumulation import losses_in_parts, split_batch
from pocketvision.tasks.fit import fit
from pocketvision.tasks.joint.mixed import Mixed
from pocketvision.tasks.lightning_data import image_names

SIZE = (64, 96)
Rows = list[dict[str, str]]


def street_task(**options: Any) -> JointTask:
    torch.manual_seed(0)
    model = street_v2.model(street_v2.config.class_names or (), image_size=SIZE, weights=None)
    task: JointTask = street_v2.config.task(model=model, **options)
    return task


def images_of(samples: TrainingSamples, start: int, stop: int) -> Any:
    return samples._replace(images=samples.images[start:stop], targets=samples.targets[start:stop])  # type: ignore[arg-type]


def batches() -> tuple[MixedTaskSamples, DetectionSamples, SegmentationSamples]:
    """Two images with boxes, one with a map, and the same again; and those of each task by themselves."""
    torch.manual_seed(1)
    images = torch.randint(0, 256, (3, 3, *SIZE), dtype=torch.uint8)
    box = torch.tensor([[10.0, 10.0, 50.0, 50.0]])
    boxes = [BoxTarget(box + 4 * i, torch.tensor([i]), i, SIZE) for i in range(2)]
    mask = MaskTarget(torch.randint(0, 11, SIZE, dtype=torch.uint8), 0, SIZE)
    return (
        MixedTaskSamples(images.repeat(2, 1, 1, 1), [*boxes, mask] * 2),
        DetectionSamples(images[:2], boxes),
        SegmentationSamples(images[2:], [mask]),
    )


def gradients(task: JointTask, *given: AnySamples | MixedTaskSamples) -> dict[str, Tensor]:
    task.zero_grad()
    for samples in given:
        losses_in_parts(task.learner(samples), [samples], lambda loss: None)[1].backward()  # type: ignore[arg-type]
    return {name: x.grad for name, x in task.model.named_parameters() if x.grad is not None}


def of_backbone(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: gradient for name, gradient in gradients.items() if name.startswith("backbone")}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm(), name


def test_its_gradients_are_the_sum_of_what_each_task_teaches() -> None:
    """And the backbone is computed once. Statistics are kept, as two passes normalize by other ones."""
    task, (mixed, boxes, masks) = street_task(balance="fixed").double().eval(), batches()
    passes: list[int] = []
    task.model.backbone.register_forward_hook(lambda *_: passes.append(1))  # type: ignore[union-attr, operator]
    apart = gradients(task, boxes, masks)
    together = gradients(task, images_of(mixed, 0, 3))
    assert len(passes) == 3
    assert_equal(together, apart)
    for samples in (boxes, masks):
        own = of_backbone(gradients(task, samples))
        with pytest.raises(AssertionError):
            assert_equal({name: together[name] for name in own}, own)


def test_the_backbone_normalizes_by_all_images_and_each_head_by_its_own() -> None:
    task, (mixed, boxes, _) = street_task().train(), batches()
    part = task.model.part("detection")
    stem: Any = task.model.backbone.stem.norm  # type: ignore[union-attr, attr-defined]
    seen: dict[str, int] = {}
    stem.register_forward_hook(lambda module, given, _: seen.update(stem=len(given[0])))
    norm = next(module for module in part.modules() if isinstance(module, nn.BatchNorm2d))
    norm.register_forward_hook(lambda module, given, _: seen.update(head=len(given[0])))
    gradients(task, images_of(mixed, 0, 3))
    assert seen == {"stem": 3, "head": len(boxes.targets)}


def test_it_may_go_through_in_parts() -> None:
    task, (mixed, _, _) = street_task(balance="fixed").double().eval(), batches()
    whole = gradients(task, images_of(mixed, 0, 3))  # the second part is the first again
    task.zero_grad()
    losses_in_parts(task.learner(mixed), split_batch(mixed, 3), Tensor.backward)[1].backward()  # type: ignore[arg-type]
    assert_equal({name: x.grad for name, x in task.model.named_parameters() if x.grad is not None}, whole)


@pytest.mark.parametrize("num_parts", [1, 2])
def test_the_length_of_each_tasks_gradient_is_measured(num_parts: int) -> None:
    task, (mixed, boxes, masks) = street_task(balance="fixed").eval(), batches()
    samples = mixed if num_parts == 2 else images_of(mixed, 0, 3)
    learner = task.learner(samples)
    assert isinstance(learner, Mixed) and not learner.measures, "before training"
    measuring = replace(learner, measures=True)
    losses_in_parts(measuring, split_batch(samples, 3), Tensor.backward)[
        1
    ].backward()  # the graph is there still
    norms = measuring.norms()
    for name, own in (("detection", gradients(task, boxes)), ("segmentation", gradients(task, masks))):
        expected = nn.utils.get_total_norm(list(of_backbone(own).values()))
        torch.testing.assert_close(norms[name], expected, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("weight", [1.0, 1e-4])
def test_it_is_measured_in_half_precision(weight: float) -> None:
    """A small loss has gradients that 16 bits round to 0, unless it is multiplied by something large."""
    task, (mixed, _, _) = (
        street_task(balance="fixed", loss_weights={"segmentation": weight}).train(),
        batches(),
    )
    samples = images_of(mixed, 0, 3)
    norms = []
    for dtype, scale in ((None, 1.0), (torch.float16, 2.0**16)):
        measuring = replace(task.learner(samples), measures=True, loss_scale=scale)  # type: ignore[type-var]
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            losses_in_parts(measuring, [samples], Tensor.backward)
        norms.append(measuring.norms()["segmentation"])  # type: ignore[union-attr]
    torch.testing.assert_close(norms[1], norms[0], rtol=0.1, atol=0.0)


def test_a_frozen_backbone_has_nothing_to_measure() -> None:
    task, (mixed, _, _) = street_task(freeze_until="c5").train(), batches()
    samples = images_of(mixed, 0, 3)
    measuring = replace(task.learner(samples), measures=True)  # type: ignore[type-var]
    losses_in_parts(measuring, [samples], Tensor.backward)[1].backward()
    assert measuring.norms() == {}  # type: ignore[union-attr]


def experiment_on(tiny: Callable[[str], Path], *words: str) -> tuple[Any, Any, list[str]]:
    names = [f"segmentation/{number}" for number in range(12)]
    given = [
        f"class_names={('detection/cat', 'detection/owl', *names)}", "data.mixed=True",
        'data.shares={"detection":0.5,"segmentation":0.5}',
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
        "data.parts.segmentation.ignore_ids=()", "task.tasks.segmentation.loss.class_weights=None",
        "data.parts.segmentation.augmentation.crop_size=(64,96)", "model.image_size=(64,96)",
        "model.weights=None", "trainer.max_steps=6", "checkpoint_minutes=0", "data.batch_size=4",
        "data.num_workers=0", *words,
    ]  # fmt: skip
    experiment, files = load_experiment(find_config("street_v2"), given)
    return experiment, files, given


@pytest.mark.slow
def test_a_stopped_run_ends_where_an_unbroken_one_does(
    tiny: Callable[[str], Path], rows_of_resumed: Callable[[list[str]], tuple[Rows, Rows]]
) -> None:
    rows, _ = rows_of_resumed(experiment_on(tiny)[2])
    assert len(rows) == 6
    assert all(row["train/detection/box_loss"] and row["train/segmentation/cross_entropy"] for row in rows)
    weights = [float(row["train/weight/detection"]) for row in rows]
    assert weights[0] == 1.0 and len(set(weights)) == 2, "the first step is measured"


class OutOfMemory(L.Callback):
    """While a batch of four goes through at once, after two steps."""

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 2 and trainer.datamodule.data.batch_size == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_out_of_memory_halves_what_can_be_halved(
    share: float, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    experiment, files, words = experiment_on(
        tiny, f'data.shares={{"detection":{share},"segmentation":{1 - share}}}'
    )
    failing = replace(experiment, trainer={**experiment.trainer, "callbacks": [OutOfMemory()]})
    if share == 0.75:
        with pytest.raises(InputError, match="mixed batch of 4 images has no parts of the same shares"):
            fit(failing, tmp_path / "run", files, words)
        return
    fit(failing, tmp_path / "run", files, words)
    overrides = Run.open(tmp_path / "run").record["overrides"]
    assert {"data.batch_size=2", "trainer.accumulate_grad_batches=2"} <= set(overrides)


def test_its_images_are_named_by_task(tiny: Callable[[str], Path]) -> None:
    experiment, _, _ = experiment_on(tiny)
    data: Any = experiment.data()
    data.connect(experiment.class_names, Resize(SIZE))
    (names, *_) = [image_names(data, samples) for samples in data.train_dataloader()]
    whose = [tiny("coco")] * 2 + [tiny("masks")] * 2
    assert all(
        Path(name).is_file() and root in Path(name).parents for name, root in zip(names, whose, strict=True)
    )


@pytest.mark.parametrize("word", ["task.balance=moments", "task.norms_of=segmentation"])
def test_what_needs_batches_of_one_task(word: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    experiment, files, words = experiment_on(tiny, word)
    with pytest.raises(InputError, match="is for batches of one task: leave it or"):
        fit(experiment, tmp_path / "run", files, words)
