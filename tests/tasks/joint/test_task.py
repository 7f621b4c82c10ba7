"""Covers tasks/joint/task.py, tasks/joint/weighed.py.

A batch of one task moves the shared backbone and its own head, and nothing of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, AdamW

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.configs import street_v2
from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import (
    AnySamples,
    BoxTarget,
    DetectionSamples,
    MaskTarget,
    PairedSamples,
    PairedTarget,
    SegmentationSamples,
)
from pocketvision.core.weights import read_passport
from pocketvision.datasets import CocoDataModule, CocoSegmentationDataModule
from pocketvision.heads import LRASPPHead, SSDLiteHead
from pocketvision.heads.assign_guide import AssignGuide
from pocketvision.losses import GFLLoss, SegmentationCrossEntropy, SSDLoss
from pocketvision.models import Detector, JointModel, Segmenter, SharedBackbone
from pocketvision.runs.folder import load_experiment
from pocketvision.runs.ready_model import load_model
from pocketvision.tasks import DetectionTask, JointTask, SegmentationTask
from pocketvision.tasks.accumulation import losses_in_parts, split_batch
from pocketvision.tasks.fit import fit

SIZE = (64, 96)
TASKS: dict[str, Any] = {
    "detection": partial(DetectionTask, loss=SSDLoss()),
    "segmentation": partial(SegmentationTask, loss=SegmentationCrossEntropy()),
}


def joint_model() -> JointModel:
    torch.manual_seed(0)
    body = mobilenet_v3_small(width_mult=0.35, out_features=("c3_depthwise", "c4_expand", "last"))
    boxes = WithExtraBlocks(SharedBackbone(body, ("c4_expand", "last")), channels=(64,))
    return JointModel(
        body,
        Detector(boxes, SSDLiteHead, ("cat", "owl"), Resize(SIZE)),
        Segmenter(SharedBackbone(body, ("c3_depthwise", "last")), LRASPPHead, ("sky", "road"), Resize(SIZE)),
    )


def joint_task(model: JointModel, **options: Any) -> JointTask:
    return JointTask(
        model, **{"tasks": TASKS, "optimizer": partial(AdamW, lr=0.01), "reference_batch": 2, **options}
    )


def batch(task: str) -> AnySamples:
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    if task == "segmentation":
        masks = [MaskTarget(torch.randint(0, 2, SIZE, dtype=torch.uint8), i, SIZE) for i in range(2)]
        return SegmentationSamples(images, masks)
    box = torch.tensor([[10.0, 10.0, 50.0, 50.0]])
    return DetectionSamples(images, [BoxTarget(box, torch.tensor([1]), i, SIZE) for i in range(2)])


def step(task: JointTask, samples: AnySamples) -> set[str]:
    """Take a step of the optimizer; the modules whose tensors have changed."""
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    optimizer = task.optimizer(task.parameter_groups())
    losses, total = losses_in_parts(task.learner(samples), [samples], lambda loss: None)
    total.backward()
    optimizer.step()
    changed = {
        name for name, value in task.model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert all(name.split("/")[0] in ("detection", "segmentation") for name in losses)
    return {".".join(name.split(".")[: 2 if name.startswith("parts.") else 1]) for name in changed}


@pytest.mark.parametrize("name", ["detection", "segmentation"])
def test_a_batch_teaches_its_head_and_the_shared_backbone(name: str) -> None:
    task = joint_task(joint_model()).train()
    assert step(task, batch(name)) == {"backbone", f"parts.{name}"}  # type: ignore[arg-type]


def both(samples: Any, others: Any) -> PairedSamples:
    """The pictures of the first, with the truth of both."""
    pairs = zip(samples.targets, others.targets, strict=True)
    return PairedSamples(samples.images, [PairedTarget(*pair) for pair in pairs])


def test_a_batch_of_both_teaches_both_heads_and_the_backbone() -> None:
    task = joint_task(joint_model()).train()
    samples: Any = both(batch("detection"), batch("segmentation"))
    assert step(task, samples) == {"backbone", "parts.detection", "parts.segmentation"}


def test_its_gradients_are_the_sum_of_what_each_task_teaches() -> None:
    """And the backbone is computed once. Statistics are kept, as two passes would move them twice."""
    model = joint_model().eval()
    task = joint_task(model, loss_weights={"segmentation": 2.5})
    boxes, masks = batch("detection"), batch("segmentation")
    masks = masks._replace(images=boxes.images)
    passes: list[int] = []
    model.backbone.register_forward_hook(lambda *_: passes.append(1))  # type: ignore[union-attr, operator]
    gradients: list[dict[str, Tensor]] = []
    for turns in ([boxes, masks], [both(boxes, masks)]):
        model.zero_grad()
        for samples in turns:
            losses_in_parts(task.learner(samples), [samples], lambda loss: None)[1].backward()
        gradients.append({name: x.grad for name, x in model.named_parameters() if x.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and len(passes) == 3
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-4)


def test_a_batch_of_both_may_go_through_in_parts() -> None:
    """Normalized by what all of them count, as for one task."""
    task = joint_task(joint_model().eval())
    samples = both(batch("detection"), batch("segmentation"))
    losses, _ = losses_in_parts(task.learner(samples), [samples], lambda loss: None)
    in_parts, _ = losses_in_parts(task.learner(samples), split_batch(samples, 1), lambda loss: None)
    assert losses.keys() == in_parts.keys() and len({name.split("/")[0] for name in losses}) == 2
    for name, loss in losses.items():
        torch.testing.assert_close(in_parts[name], loss.detach(), rtol=1e-3, atol=1e-4)


def test_frozen_norms_keep_their_statistics() -> None:
    for is_frozen in (False, True):
        model = joint_model()
        task = joint_task(model, freeze_norms=is_frozen).train()
        before = model.backbone.stem.norm.running_mean.clone()  # type: ignore[union-attr, operator, attr-defined]
        step(task, batch("segmentation"))  # type: ignore[arg-type]
        after: Tensor = model.backbone.stem.norm.running_mean  # type: ignore[union-attr, assignment, attr-defined]
        assert torch.equal(before, after) == is_frozen


def test_losses_are_those_of_the_task_alone_times_its_weight() -> None:
    model = joint_model().eval()
    samples = batch("segmentation")
    alone = SegmentationTask(model.part("segmentation"), SegmentationCrossEntropy(), partial(SGD, lr=0.1), 2)
    expected = alone.losses_of(alone.outputs(samples.images), list(samples.targets))["cross_entropy"]
    task = joint_task(model, loss_weights={"segmentation": 2.5})
    found, _ = losses_in_parts(task.learner(samples), [samples], lambda loss: None)
    assert found.keys() == {"segmentation/cross_entropy"}
    torch.testing.assert_close(found["segmentation/cross_entropy"], 2.5 * expected)
    assert task.loss_weights == {"detection": 1.0, "segmentation": 2.5}


def test_no_weight_of_the_model_is_named_twice() -> None:
    model = joint_model()
    task = joint_task(model)
    assert len(list(task.parameters())) == len(list(model.parameters()))
    groups = task.parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tasks": {"detection": TASKS["detection"]}}, "for each of them"),
        ({"loss_weights": {"detection": 0.0}}, "above 0"),
        ({"loss_weights": {"boxes": 1.0}}, "no others"),
        ({"compiled": True}, "task.compiled"),
        ({"balance": "dwa"}, "task.balance is 'dwa'"),
        ({"balance": "moments", "loss_weights": {"detection": 2.0}}, "leave task.loss_weights out"),
        ({"lr_factors": {"boxes": 2.0}}, "task.lr_factors"),
        ({"norms_until": 0.0}, "task.norms_until"),
        ({"norms_of": "maps"}, "task.norms_of is 'maps'"),
    ],
)  # fmt: skip
def test_what_it_can_not_train(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        joint_task(joint_model(), **options)


def test_a_head_may_have_a_rate_of_its_own() -> None:
    model = joint_model()
    task = joint_task(model, lr_factors={"detection": 20.0}, backbone_lr_factor=0.5)
    factors = {p: group["lr_factor"] for group in task.parameter_groups() for p in group["params"]}
    assert {factors[p] for p in model.part("detection").parameters()} == {20.0}
    assert {factors[p] for p in model.part("segmentation").parameters()} == {1.0}
    assert {factors[p] for p in model.backbone.parameters()} == {0.5}  # type: ignore[union-attr, attr-defined]


def test_a_guide_is_refused() -> None:
    model = street_v2.model(street_v2.config.class_names or (), image_size=(64, 96), weights=None)
    boxes = partial(DetectionTask, loss=GFLLoss(), guide=AssignGuide)
    with pytest.raises(ValueError, match="learns more than its head"):
        joint_task(model, tasks=TASKS | {"detection": boxes})


Rows = list[dict[str, str]]
SMALL = [
    "data.batch_size=2", "data.num_workers=0", "model.image_size=(64,96)", "model.weights=None",
    "data.parts.segmentation.augmentation.crop_size=(64,64)", "checkpoint_minutes=0", "trainer.max_steps=6",
    "task.ema_decay=0.9",
]  # fmt: skip


def weights_in(row: dict[str, str]) -> tuple[str, ...]:
    return row["train/weight/detection"], row["train/weight/segmentation"]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["uncertainty", "gradient_norm", "moments"])
def test_a_stopped_run_ends_where_an_unbroken_one_does(
    rule: str,
    tiny: Callable[[str], Path],
    rows_of_resumed: Callable[[list[str]], tuple[Rows, Rows]],
    tmp_path: Path,
) -> None:
    names = [f"segmentation/{number}" for number in range(12)]
    words = [
        *SMALL, f"class_names={('detection/cat', 'detection/owl', *names)}",
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
        "data.parts.segmentation.ignore_ids=()", "task.tasks.segmentation.loss.class_weights=None",
        f"task.balance={rule}",
    ]  # fmt: skip
    rows, unbroken = rows_of_resumed(words)
    assert [weights_in(row) for row in rows] == [weights_in(row) for row in unbroken]
    if rule != "moments":
        assert len({weights_in(row) for row in rows}) > 1, "they are measured or learned"
    assert sum(bool(row["train/segmentation/cross_entropy"]) for row in rows) == 1  # of 6 a quarter
    passport = read_passport(tmp_path / "broken" / "weights.safetensors")
    assert passport["builder"]["config"] == "street_v2" and list(passport["parts"]) == [
        "detection",
        "segmentation",
    ]
    rebuilt = load_model(tmp_path / "broken" / "weights.safetensors")  # from the passport alone
    assert isinstance(rebuilt, JointModel) and rebuilt.class_names[:2] == ("detection/cat", "detection/owl")


def outlined(tiny: Callable[[str], Path], *words: str) -> tuple[Any, Any, list[str]]:
    """An experiment on pictures that carry both, its config's files and its overrides."""
    root = tiny("coco_outlines")
    given = [
        "data.batch_size=2", "data.num_workers=0", "trainer.max_steps=2", "trainer.max_epochs=-1",
        "model.image_size=(64,96)", "model.backbone='v1'", "model.weights=None", "class_names=None",
        *words,
    ]  # fmt: skip
    experiment, files = load_experiment(find_config("own_joint"), given)
    masks = partial(CocoSegmentationDataModule, root=root)
    parts = {"detection": partial(CocoDataModule, root=root), "segmentation": masks}
    return replace(experiment, data=partial(experiment.data, parts=parts)), files, given


@pytest.mark.parametrize("rule", ["uncertainty", "gradient_norm"])
def test_a_run_on_pictures_that_carry_both(
    rule: str, tiny: Callable[[str], Path], tmp_path: Path, rows_of: Callable[[Path], Rows]
) -> None:
    experiment, files, words = outlined(tiny, 'data.shares={"both":1.0}', f"task.balance={rule}")
    if rule == "gradient_norm":
        with pytest.raises(InputError, match="give detection a share"):
            fit(experiment, tmp_path / "run", files, words)
        return
    fit(experiment, tmp_path / "run", files, words)
    for row in rows_of(tmp_path / "run"):
        assert row["train/detection/box_loss"] and row["train/segmentation/cross_entropy"]
