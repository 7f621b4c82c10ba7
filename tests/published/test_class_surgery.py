"""Rows of classes that keep their name survive a change of the list; everything else starts afresh."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from pocketvision import heads
from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.core.structures import FeatureInfo
from pocketvision.models import Classifier, Detector, Segmenter, VisionModel
from pocketvision.published.class_surgery import class_layers, match_classes

OLD, NEW = ("cat", "dog", None, "owl"), ("owl", "cow", "cat")


def detector(
    names: tuple[str | None, ...], head: type = heads.SSDLiteHead, function: str = "softmax"
) -> Detector:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("c4_expand", "last"))
    pyramid = WithExtraBlocks(backbone, channels=(16,))
    return Detector(pyramid, head, names, Resize((64, 64)), score_function=function)  # type: ignore[arg-type]


def segmenter(names: tuple[str | None, ...], form: str) -> Segmenter:
    backbone = mobilenet_v3_small(
        width_mult=0.35, output_stride=16, out_features=("c1", "c2", "c3_first", "c3_depthwise", "last")
    )
    head = partial(heads.LRASPPHead, form=form, channels=8)
    return Segmenter(backbone, head, names, Resize((64, 64)), auxiliary_head=heads.FCNHead)


def classifier(names: tuple[str | None, ...]) -> Classifier:
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("last",))
    return Classifier(backbone, partial(heads.ClassifierHead, hidden_channels=8), names, Resize((64, 64)))


MODELS = {
    "SSDLite": detector,
    "SSD": partial(detector, head=heads.SSDHead),
    "sigmoid": partial(detector, function="sigmoid"),
    "GFL": partial(detector, head=heads.GFLHead, function="sigmoid"),
    "paper": partial(segmenter, form="paper"),
    "torchvision": partial(segmenter, form="torchvision"),
    "two_skip": partial(segmenter, form="two_skip"),
    "classifier": classifier,
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_layers_with_classes_are_those_that_change_with_their_number(kind: str) -> None:
    three, four = MODELS[kind](NEW), MODELS[kind](OLD)
    changed = {
        name.rpartition(".")[0]
        for (name, a), b in zip(three.state_dict().items(), four.state_dict().values(), strict=True)
        if a.shape != b.shape
    }
    assert set(class_layers(three)) == changed


@pytest.mark.parametrize("name", heads.__all__)
def test_every_head_names_its_class_layers_so(name: str) -> None:
    """What :func:`class_layers` goes by must hold for a new head too."""
    info = {n: FeatureInfo(8, s) for n, s in (("c3_first", 8), ("c3_depthwise", 8), ("c5", 16), ("last", 16))}

    def shapes(count: int) -> dict[str, torch.Size]:
        head = getattr(heads, name)
        is_detection = name.startswith(("SSD", "GFL"))
        sizes = (
            {"num_anchors": [2] * len(info), "num_outputs": count} if is_detection else {"num_classes": count}
        )
        return {key: value.shape for key, value in head(info, **sizes).state_dict().items()}

    three, five = shapes(3), shapes(5)
    for key in (key for key in three if three[key] != five[key]):
        assert key.startswith("class_blocks.") or key.partition(".")[0].endswith("logits")


@pytest.mark.parametrize("kind", MODELS)
def test_rows_follow_their_names(kind: str) -> None:
    old, new = MODELS[kind](OLD), MODELS[kind](NEW)
    fresh = {name: value.clone() for name, value in new.state_dict().items()}
    state, rows = match_classes(new, old.state_dict(), OLD)
    assert rows is not None and str(rows).endswith("kept 2 classes by name (4 -> 3 classes)")
    background = int(kind in ("SSDLite", "SSD"))
    for layer in class_layers(new):
        for leaf in ("weight", "bias"):
            name = f"{layer}.{leaf}"
            before = old.state_dict()[name].unflatten(0, (-1, 4 + background))
            after, start = (x[name].unflatten(0, (-1, 3 + background)) for x in (state, fresh))
            assert torch.equal(after[:, 0], before[:, 3]) and torch.equal(after[:, 2], before[:, 0])
            assert torch.equal(after[:, 1], start[:, 1])
            if background:
                assert torch.equal(after[:, 3], before[:, 4])
    new.load_state_dict(state)


def test_the_same_list_needs_nothing() -> None:
    state = classifier(OLD).state_dict()
    assert match_classes(classifier(OLD), state, OLD) == (state, None)
    assert match_classes(classifier(OLD), state, None) == (state, None)


def test_a_reordered_list_of_the_same_length_is_reordered() -> None:
    old = classifier(("a", "b"))
    state, rows = match_classes(classifier(("b", "a")), old.state_dict(), ("a", "b"))
    assert rows is not None and rows.num_kept == 2
    assert torch.equal(state["head.class_logits.bias"], old.state_dict()["head.class_logits.bias"].flip(0))


def test_without_names_another_number_starts_afresh() -> None:
    model: VisionModel = classifier(NEW)
    fresh = model.state_dict()["head.class_logits.weight"].clone()
    state, rows = match_classes(model, classifier(OLD).state_dict(), None)
    assert str(rows) == "1 class head re-initialized (4 -> 3 classes)"
    assert torch.equal(state["head.class_logits.weight"], fresh)
    assert isinstance(model.head, nn.Module)
