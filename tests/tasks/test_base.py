"""Covers tasks/detection.py, tasks/freezing.py, tasks/learning_rates.py.

Learning rate, parameter groups and the match of loss and model.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import SGD

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DetectionSamples
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.learning_rates import lr_factor
from pocketvision.tasks.lightning_data import LightningData


def detector(**options: Any) -> Detector:
    backbone = WithExtraBlocks(mobilenet_v3_small(out_features=("c4_expand", "last")), channels=(64,))
    return Detector(backbone, SSDLiteHead, ("a", "b"), Resize((64, 64)), **options)


def task(model: Detector, **options: Any) -> DetectionTask:
    return DetectionTask(model, loss=SSDLoss(), optimizer=partial(SGD, lr=0.1), reference_batch=8, **options)


def test_steps_multiply_the_rate() -> None:
    """Slim's ``exponential_decay(..., staircase=True)``: rate ** floor(step / decay_steps)."""
    factors = [lr_factor(step, 1000, 0, "step", decay_rate=0.94, decay_steps=250) for step in range(1000)]
    expected = [1.0] * 250 + [0.94] * 250 + [0.94**2] * 250 + [0.94**3] * 250
    assert factors == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"decay_rate": 0.0}, "decay_rate"),
        ({"decay_epochs": 0}, "decay_epochs"),
        ({"ema_decay": 1.0}, "ema_decay"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        task(detector(), **options)


def test_depthwise_weights_are_spared_where_asked() -> None:
    model = detector()
    groups = task(model, decay_depthwise=False).parameter_groups()
    spared = {id(p) for group in groups if "weight_decay" in group for p in group["params"]}
    depthwise = {id(p) for p in model.parameters() if p.ndim == 4 and p.shape[1] == 1}
    assert len(depthwise) > 10 and depthwise <= spared
    assert all(p.ndim == 1 for p in model.parameters() if id(p) in spared - depthwise)


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant"])
def test_the_rate_rises_to_one_and_never_rises_again(schedule: Any) -> None:
    factors = [lr_factor(step, 200, 20, schedule) for step in range(201)]
    assert factors[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert factors[20] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in pairwise(factors[20:]))
    assert factors[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0)


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert lr_factor(0, 100, 0, "cosine") == 1.0


def test_every_parameter_is_in_one_group_and_norms_and_biases_are_not_decayed() -> None:
    model = detector()
    groups = task(model, backbone_lr_factor=0.25).parameter_groups()
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters()}
    assert len(grouped) == len(list(model.parameters()))
    for group in groups:
        decayed = "weight_decay" not in group
        assert all((parameter.ndim > 1) == decayed for parameter in group["params"])


def test_the_backbone_has_its_own_rate_and_extra_blocks_do_not() -> None:
    model = detector()
    factors = {
        id(parameter): group["lr_factor"]
        for group in task(model, backbone_lr_factor=0.25).parameter_groups()
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        slow = name.startswith("backbone.backbone.")
        assert factors[id(parameter)] == (0.25 if slow else 1.0), name


def test_a_backbone_without_extra_blocks_has_its_own_rate_too() -> None:
    model = Detector(
        mobilenet_v3_small(out_features=("c4_expand", "last")), SSDLiteHead, ("a",), Resize((64, 64))
    )
    groups = task(model, backbone_lr_factor=0.25).parameter_groups()
    assert {group["lr_factor"] for group in groups} == {0.25, 1.0}


def test_loss_and_model_must_agree_about_scores() -> None:
    with pytest.raises(ValueError, match="softmax"):
        task(detector(score_function="sigmoid"))


def test_the_rate_grows_with_the_whole_batch() -> None:
    """Four images a part, three parts, two processes: 24 images, where 0.1 is stated for 8."""
    training = task(detector(), backbone_lr_factor=0.5, warmup_steps=10)
    training._trainer = SimpleNamespace(  # type: ignore[assignment]
        datamodule=LightningData(SimpleNamespace(batch_size=4), 3),  # type: ignore[arg-type]
        world_size=2, estimated_stepping_batches=200, gradient_clip_val=None, precision="32-true",
    )  # fmt: skip
    found = training.configure_optimizers()
    rates = found["lr_scheduler"]["scheduler"].base_lrs
    assert sorted(set(rates)) == pytest.approx([0.5 * 0.3, 0.3])
    assert found["lr_scheduler"]["interval"] == "step"
    assert sorted({group["lr"] for group in found["optimizer"].param_groups}) == pytest.approx([0.015, 0.03])


def test_a_task_that_changes_what_is_never_called_is_refused() -> None:
    class Late(DetectionTask):
        def losses(self, samples: Any) -> dict[str, torch.Tensor]:
            return {}

    with pytest.raises(ValueError, match="changes its loss in losses_of"):
        Late(detector(), loss=SSDLoss(), optimizer=partial(SGD, lr=0.1), reference_batch=8)


def test_losses_of_a_batch_are_named_and_finite() -> None:
    from pocketvision.core.structures import BoxTarget, DetectionSamples

    target = BoxTarget(torch.tensor([[5.0, 5.0, 40.0, 40.0]]), torch.tensor([1]), 1, (64, 64))
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    losses = losses_in_parts(
        task(detector().eval()), [DetectionSamples(images, [target])], torch.Tensor.backward
    )[0]
    assert set(losses) == {"class_loss", "box_loss"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_freezing_up_to_a_feature() -> None:
    """What c3 is computed by does not learn, statistics included; the rest does."""
    model = detector()
    training = task(model, freeze_until="c3")
    backbone = model.backbone.backbone
    frozen = [backbone.stem, *backbone.blocks[:3]]
    still = {
        name: value.clone() for module in frozen for name, value in module.state_dict(prefix="x.").items()
    }
    learning = {id(p) for group in training.parameter_groups() for p in group["params"]}
    assert not any(id(p) in learning for module in frozen for p in module.parameters())
    assert all(id(p) in learning for p in backbone.blocks[3].parameters())
    before = backbone.blocks[3].expand.norm.running_mean.clone()
    training.train()
    model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    after = {name: value for module in frozen for name, value in module.state_dict(prefix="x.").items()}
    assert all(torch.equal(still[name], value) for name, value in after.items())
    assert not torch.equal(before, backbone.blocks[3].expand.norm.running_mean)


def test_frozen_norms_keep_their_statistics_and_learn_their_scale() -> None:
    model = detector()
    training = task(model, freeze_norms=True).train()
    norm = model.backbone.backbone.stem.norm
    mean = norm.running_mean.clone()
    output = training.model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    output.class_logits.sum().backward()
    assert torch.equal(mean, norm.running_mean) and norm.weight.grad is not None
    extra = model.backbone.extra_blocks[0][0].norm
    assert not torch.equal(extra.running_mean, torch.zeros_like(extra.running_mean))


def test_an_unknown_feature_to_freeze() -> None:
    with pytest.raises(ValueError, match=r"no feature 'c9' to freeze: choose from c1.* c4_expand"):
        task(detector(), freeze_until="c9")


def test_layer_decay_slows_the_backbone_block_by_block() -> None:
    model = detector()
    groups = task(model, backbone_lr_factor=0.5, layer_decay=0.8).parameter_groups()
    factors = {id(p): group["lr_factor"] for group in groups for p in group["params"]}
    backbone = model.backbone.backbone
    assert len(factors) == len(list(model.parameters()))
    for above, block in enumerate(reversed(backbone.blocks)):
        assert all(factors[id(p)] == pytest.approx(0.5 * 0.8**above) for p in block.parameters())
    stem = 0.5 * 0.8 ** len(backbone.blocks)
    assert all(factors[id(p)] == pytest.approx(stem) for p in backbone.stem.parameters())
    assert all(factors[id(p)] == 1.0 for p in model.head.parameters())
    with pytest.raises(ValueError, match="layer_decay is 0"):
        task(model, layer_decay=0)


# Dynamo looks at the gradients of its inputs, which the backbone's features have none of.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_the_compiled_model_trains_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dynamo's tracing, without the code generation that takes minutes."""
    original, compiled = torch.nn.Module.compile, []

    def compile_fast(module: torch.nn.Module) -> None:
        compiled.append(module)
        original(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_fast)
    samples = DetectionSamples(
        torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        [BoxTarget(torch.tensor([[5.0, 5.0, 40.0, 40.0]]), torch.tensor([1]), i, (64, 64)) for i in range(2)],
    )
    training = task(detector(), compiled=True)
    names = list(training.state_dict())
    expected = losses_in_parts(training, [samples], torch.Tensor.backward)[0]
    training.setup("fit")
    assert compiled == [training.model.backbone, training.model.head]
    losses = losses_in_parts(training, [samples], torch.Tensor.backward)[0]
    assert list(training.state_dict()) == names
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name])
