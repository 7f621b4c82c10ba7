"""Whole detectors: published sizes, one return type, predictions that come back to the image."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.configs import ssdlite_v2_coco, ssdlite_v3_large_coco, ssdlite_v3_small_coco
from pocketvision.core.anchors import ExplicitAnchors, TensorFlowAnchors, TorchvisionAnchors
from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.protocols import Anchors
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DetectionBatch, DetectionOutput, FeatureInfo, Features
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, SSDPostprocess

COCO_SLOTS = tuple(f"class {i}" for i in range(90))
NAMES = ("cat", None, "dog")


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def detector(**arguments: object) -> Detector:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c4_expand", "last"))
    settings = {"class_names": NAMES, "resize": Resize((64, 96)), "anchors": TensorFlowAnchors()}
    pyramid = WithExtraBlocks(backbone, channels=(16,))
    return Detector(pyramid, SSDLiteHead, **{**settings, **arguments}).eval()


def images(number: int = 2, height: int = 64, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("backbone", "tail", "anchors", "published"),
    [
        (mobilenet_v3_large, "detection", TorchvisionAnchors(), 3_440_060),
        (mobilenet_v3_large, "detection", TensorFlowAnchors(), 3_248_255),
        (mobilenet_v3_large, None, TensorFlowAnchors(), 5_006_735),
        (mobilenet_v3_large, None, TorchvisionAnchors(), 5_198_540),
        (mobilenet_v3_small, "detection", TensorFlowAnchors(), 1_785_743),
        (mobilenet_v3_small, "detection", TorchvisionAnchors(), 1_868_108),
        (mobilenet_v3_small, None, TensorFlowAnchors(), 2_518_271),
        (mobilenet_v2, None, TensorFlowAnchors(), 4_500_543),
        (mobilenet_v2, None, TorchvisionAnchors(), 4_664_988),
    ],
)
def test_published_parameter_counts(
    backbone: Callable[..., nn.Module], tail: str | None, anchors: Anchors, published: int
) -> None:
    """COCO's 91 slots, background included (the papers and torchvision; reference/detection.md, A.0)."""
    tail_argument = {} if tail is None else {"reduced_tail": tail}
    pyramid = WithExtraBlocks(backbone(out_features=("c4_expand", "last"), **tail_argument))
    assert count(Detector(pyramid, SSDLiteHead, COCO_SLOTS, Resize((320, 320)), anchors)) == published


@pytest.mark.parametrize(
    ("build", "params", "num_anchors"),
    [
        (ssdlite_v3_large_coco.model, 3_440_060, 3234),
        (ssdlite_v3_small_coco.model, 1_785_743, 2034),
        (partial(ssdlite_v2_coco.model, weights=None), 4_500_543, 2034),
    ],
)
def test_configs_build_the_published_models(
    build: Callable[..., Detector], params: int, num_anchors: int
) -> None:
    model = build(COCO_SLOTS).eval()
    assert count(model) == params and model.resize == Resize((320, 320))
    with torch.no_grad():
        output = model(images(1, 320, 320))
    assert output.class_logits.shape == (1, num_anchors, 91)
    assert output.box_deltas.shape == (1, num_anchors, 4) and output.anchors.shape == (num_anchors, 4)


@torch.no_grad()
def test_one_return_type_in_training_and_inference() -> None:
    for model in (detector().train(), detector().eval()):
        for height, width in ((64, 96), (97, 65)):
            output = model(images(2, height, width))
            assert type(output) is DetectionOutput
            maps = [(math.ceil(height / s), math.ceil(width / s)) for s in (16, 32, 64)]
            expected = TensorFlowAnchors()(maps, (height, width))
            assert torch.equal(output.anchors, expected)
            assert output.class_logits.shape == (2, len(expected), len(NAMES) + 1)


@torch.no_grad()
def test_the_model_owns_its_normalisation() -> None:
    model = detector(mean=(0.5, 0.25, 0.75), std=(0.5, 0.25, 0.125))
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first, second = model(images()), model(images().float())
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    scaled = images() / 255
    expected = torch.stack((scaled[:, 0] * 2 - 1, scaled[:, 1] * 4 - 1, scaled[:, 2] * 8 - 6), dim=1)
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-5)
    assert "normalize.mean" not in model.state_dict()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(images()).class_logits.dtype == torch.bfloat16
    assert torch.equal(seen[-1], seen[0]) and seen[-1].dtype == torch.float32


@pytest.mark.parametrize(("function", "outputs"), [("softmax", 4), ("sigmoid", 3)])
def test_the_score_function_sizes_the_head_and_reaches_the_postprocess(function: str, outputs: int) -> None:
    wrong = SSDPostprocess(score_function="sigmoid" if function == "softmax" else "softmax")
    model = detector(score_function=function, postprocess=wrong)
    assert model(images()).class_logits.shape[-1] == outputs
    assert model.postprocess.score_function == function
    assert model.passport()["score_function"] == function


def test_reserved_names_keep_their_slot_but_are_never_returned() -> None:
    model = detector(postprocess=SSDPostprocess(score_threshold=0.0))
    assert model.postprocess.reserved_labels == (1,)
    labels = model.predict(images()).labels
    assert {0, 2} <= set(labels.unique().tolist()) <= {-1, 0, 2}


def test_predictions_lie_in_the_image_and_are_restored_to_the_original() -> None:
    model = detector(postprocess=SSDPostprocess(max_detections=20))
    batch = model.predict(images())
    assert type(batch) is DetectionBatch and not batch.boxes.requires_grad
    assert batch.boxes.min() >= 0 and (batch.boxes <= torch.tensor([96, 64, 96, 64])).all()
    restored = model.restore(batch, [(128, 288), (32, 48)])
    for ours, theirs, scale in zip(batch.unpad(), restored, ([3, 2, 3, 2], [0.5] * 4), strict=True):
        torch.testing.assert_close(theirs.boxes, ours.boxes * torch.tensor(scale))
    with pytest.raises(ValueError, match="zip"):
        model.restore(batch, [(128, 288)])


class Oracle(nn.Module):
    """A backbone and head that know the truth."""

    def __init__(self, anchors: ExplicitAnchors, truth: BoxTarget) -> None:
        super().__init__()
        self.feature_info = {"only": FeatureInfo(1, 16)}
        placed = anchors([(4, 6)], (64, 96))
        self.deltas = SSDBoxCoder().encode(truth.boxes[:, None], placed)
        self.truth = truth

    def forward(self, x: Tensor | Features) -> Features | tuple[Tensor, Tensor]:
        if isinstance(x, Tensor):
            return {"only": torch.zeros(len(x), 1, 4, 6)}
        logits = torch.tensor([-20.0, -20, -20, 20]).repeat(1, 24, 1)
        deltas = torch.zeros(1, 24, 4)
        for i, anchor in enumerate((3, 11)):
            deltas[0, anchor] = self.deltas[i, anchor]
            logits[0, anchor, self.truth.labels[i]], logits[0, anchor, -1] = 20, -20
        return logits, deltas


def test_a_perfect_network_gives_the_truth() -> None:
    anchors = ExplicitAnchors((((0.2, 0.2),),))
    truth = BoxTarget(torch.tensor([[3.0, 5, 40, 60], [50, 10, 90, 30]]), torch.tensor([2, 0]), 0, (64, 96))
    oracle = Oracle(anchors, truth)
    model = Detector(oracle, lambda **_: oracle, NAMES, Resize((64, 96)), anchors)
    (found,) = model.predict(images(1)).unpad()
    order = found.labels.argsort(descending=True)
    torch.testing.assert_close(found.boxes[order], truth.boxes)
    assert found.labels[order].tolist() == [2, 0] and (found.scores > 0.99).all()


def test_training_after_inference_mode() -> None:
    """Lightning's sanity check runs in inference mode before the first step; anchors are cached by it."""
    model = detector()
    with torch.inference_mode():
        model.predict(images())
    model.train()
    truth = [
        BoxTarget(torch.tensor([[5.0, 5, 50, 50]]), torch.tensor([0]), 0, (64, 96)),
        BoxTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 1, (64, 96)),
    ]
    sum(SSDLoss()(model(images()), truth).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_anchors_of_two_image_sizes_with_the_same_maps_are_two() -> None:
    model = detector()
    for size in ((64, 96), (60, 90), (64, 96)):
        output = model(images(1, *size))
        maps = [(math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in (16, 32, 64)]
        torch.testing.assert_close(output.anchors, model.anchors(maps, size))
    assert not torch.equal(model(images(1, 60, 90)).anchors, model(images(1, 64, 96)).anchors)


def test_copies_state_dicts_and_cached_anchors() -> None:
    model = detector()
    before = set(model.state_dict())
    expected = model(images())
    assert set(model.state_dict()) == before and not any("anchor" in name for name in before)
    other = detector()
    other.load_state_dict(model.state_dict())
    for again in (other, copy.deepcopy(model)):
        assert all(torch.equal(a, b) for a, b in zip(again(images()), expected, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "used before"])
def test_exported_graphs_come_back_and_leave_the_model_usable(warm: bool) -> None:
    model, file = detector(), io.BytesIO()
    expected = copy.deepcopy(model)(images())
    if warm:
        model(images())
    torch.export.save(torch.export.export(model, (images(),)), file)
    file.seek(0)
    exported = torch.export.load(file).module()(images())
    assert type(exported) is DetectionOutput
    for output in (exported, model(images())):
        for a, b in zip(output, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_the_passport_is_json_and_complete() -> None:
    passport = json.loads(json.dumps(detector().passport()))
    assert passport["task"] == "detection" and passport["class_names"] == list(NAMES)
    assert passport["mean"] == pytest.approx([0.485, 0.456, 0.406], abs=1e-6)
    assert passport["std"] == pytest.approx([0.229, 0.224, 0.225], abs=1e-6)
    assert passport["resize"]["image_size"] == [64, 96] and "TensorFlowAnchors" in passport["anchors"]
