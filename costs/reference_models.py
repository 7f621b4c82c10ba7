"""The papers' models by name and options: a backbone with a head, as ``pocketvision cost`` takes them."""

from __future__ import annotations

import difflib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pocketvision.core.anchors import TensorFlowAnchors, TorchvisionAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.layers import make_divisible
from pocketvision.core.protocols import Anchors
from pocketvision.core.structures import FeatureInfo, Size
from pocketvision.costs.variants import V1Variant, WithAuxiliary, predict_pointwise, v1_variant

SSD_EXTRA_CHANNELS = (512, 256, 256, 128)
COMMON_OPTIONS = ("head", "num_classes", "image_size")
FIXED = {"backbone", "out_features", "weights"}
RANDOM = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_")


class BackboneChoice(NamedTuple):
    """A backbone before its head says which features it needs."""

    name: str
    options: Mapping[str, Any]

    def build(self, *choices: Sequence[str], **more: Any) -> Any:
        """With the first list of features that it has; ``more`` where it knows such options."""
        from pocketvision.backbones.by_name import build_with, find_builder

        return build_with(find_builder(self.name), *choices, **{**more, **self.options})

    @property
    def hidden_channels(self) -> int | None:
        """Of the paper's classifier."""
        from pocketvision.backbones.by_name import find_builder, hidden_channels

        return hidden_channels(find_builder(self.name))


def _classifier(
    backbone: BackboneChoice,
    num_classes: int,
    hidden_channels: int | None = None,
    variant: V1Variant | None = None,
) -> tuple[nn.Module, nn.Module]:
    """The paper's classifier; V3's hidden layer keeps its width but under torchvision's rule."""
    from pocketvision.heads import ClassifierHead

    hidden = hidden_channels or backbone.hidden_channels
    if hidden_channels is None and hidden and backbone.options.get("width_rule") == "torchvision":
        hidden = make_divisible(hidden * backbone.options.get("width_mult", 1.0))
    body = backbone.build(("last",), ("c5",))
    feature = list(body.feature_info)[-1]
    if variant is not None:
        body = v1_variant(body, variant)
    return body, ClassifierHead(body.feature_info, num_classes, hidden_channels=hidden, feature=feature)


def _ssd(
    backbone: BackboneChoice,
    num_classes: int,
    head: Literal["ssd", "ssdlite"],
    anchors: Literal["tensorflow", "torchvision"] = "tensorflow",
    predictor_size: Literal[1, 3] = 3,
) -> tuple[nn.Module, nn.Module]:
    """TensorFlow's SSD: a width scales the extra blocks and V2's last layer too; a background slot.

    ``predictor_size`` 1 has 1x1 convolutions for SSD's 3x3 ones.
    """
    from pocketvision.backbones import WithExtraBlocks
    from pocketvision.heads import SSDHead, SSDLiteHead

    layouts: dict[str, Anchors] = {"tensorflow": TensorFlowAnchors(), "torchvision": TorchvisionAnchors()}
    if anchors not in layouts:
        raise ValueError(f"anchors is {anchors!r}: choose from {', '.join(layouts)}.")
    if predictor_size not in ((1, 3) if head == "ssd" else (3,)):
        raise ValueError(f"predictor_size is {predictor_size!r}: head=ssd has 1 or 3, SSDLite 3.")
    width = backbone.options.get("width_mult", 1.0)
    body = WithExtraBlocks(
        backbone.build(("c4_expand", "last"), ("c4", "c5"), scale_last=True),
        channels=[max(int(channels * width), 16) for channels in SSD_EXTRA_CHANNELS],
        separable=head == "ssdlite",
    )
    counts = layouts[anchors].num_anchors(len(body.feature_info))
    build = SSDHead if head == "ssd" else SSDLiteHead
    predictors = build(body.feature_info, counts, num_classes + 1)
    if predictor_size == 1:
        predict_pointwise(predictors)
    return body, predictors


def _lraspp(
    backbone: BackboneChoice,
    num_classes: int,
    channels: int = 128,
    form: Literal["paper", "torchvision", "two_skip"] = "paper",
    pool_size: int | None = 49,
) -> tuple[nn.Module, nn.Module]:
    """V2 is read before its last 1x1 convolution, as in table 7 of arXiv:1905.02244."""
    from pocketvision.heads import LRASPPHead

    low = {"torchvision": ("c3_first",), "two_skip": ("c1", "c2")}.get(form, ("c3_depthwise",))
    high = _deepest(backbone)
    plain = [("c3", "c5")] if form == "paper" else []  # of a backbone that tells less of itself
    body = backbone.build((*low, high), *plain)
    # torchvision's form has no window.
    pooling: dict[str, Any] = {} if pool_size == 49 else {"pool_size": pool_size}
    *finer, high = body.feature_info
    if form == "paper":
        pooling["low"] = finer
    return body, LRASPPHead(body.feature_info, num_classes, channels, form=form, high=high, **pooling)


def _deeplabv3(
    backbone: BackboneChoice,
    num_classes: int,
    form: Literal["raspp", "aspp", "torchvision"],
    channels: int = 256,
    auxiliary: bool = False,
) -> tuple[nn.Module, nn.Module]:
    """``auxiliary`` adds torchvision's auxiliary head and counts it, as the metadata of its weights does."""
    from pocketvision.heads import DeepLabV3Head, FCNHead

    feature = _deepest(backbone)
    body = backbone.build((*(["c3_first"] if auxiliary else []), feature))
    head: nn.Module = DeepLabV3Head(body.feature_info, num_classes, channels, form=form, feature=feature)
    if auxiliary:
        head = WithAuxiliary(head, FCNHead(body.feature_info, num_classes))
    return body, head


def _deepest(backbone: BackboneChoice) -> str:
    """What a segmentation head reads: V3's last 1x1 convolution, else the last block."""
    return "c5" if backbone.hidden_channels is None else "last"


class _WithoutValues(TorchFunctionMode):
    """Leaves out random initialization: without values it does nothing, but imports torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


class HeadRecipe(NamedTuple):
    """How a head is put on a backbone, and what its papers count."""

    build: Callable[..., tuple[nn.Module, nn.Module]]
    image_size: Size
    num_classes: int
    is_segmenter: bool = False


HEADS = {
    "classifier": HeadRecipe(_classifier, (224, 224), 1000),
    "ssdlite": HeadRecipe(partial(_ssd, head="ssdlite"), (320, 320), 90),
    "ssd": HeadRecipe(partial(_ssd, head="ssd"), (320, 320), 90),
    "lraspp": HeadRecipe(_lraspp, (1024, 2048), 19, is_segmenter=True),
    "raspp": HeadRecipe(partial(_deeplabv3, form="raspp"), (1024, 2048), 19, is_segmenter=True),
    "aspp": HeadRecipe(partial(_deeplabv3, form="aspp"), (1024, 2048), 19, is_segmenter=True),
    "deeplabv3": HeadRecipe(partial(_deeplabv3, form="torchvision"), (1024, 2048), 19, is_segmenter=True),
}


class ReferenceModel(NamedTuple):
    """A model that maps images to its head's output, and what it is counted at."""

    model: nn.Module
    image_size: Size
    num_classes: int
    in_channels: int


def reference_model(name: str, options: Mapping[str, Any]) -> ReferenceModel:
    """Build a backbone with a head; weights have shapes, but no values.

    Args:
        name: a backbone's factory, as ``mobilenet_v2``.
        options: ``head`` (default: the 1000-class classifier), ``num_classes``, ``image_size`` and
            what the backbone and the head take.

    Raises:
        InputError: an option is unknown or its value is refused.
    """
    import pocketvision.backbones

    head = options.get("head", "classifier")
    if head not in HEADS:
        raise InputError(f"There is no head '{head}': choose from {', '.join(HEADS)}.")
    recipe = HEADS[head]
    for_backbone = set(inspect.signature(getattr(pocketvision.backbones, name)).parameters) - FIXED
    stated = set(recipe.build.keywords) if isinstance(recipe.build, partial) else set()
    for_head = set(inspect.signature(recipe.build).parameters) - FIXED - stated
    _check(options, name, head, {*for_backbone, *for_head, *COMMON_OPTIONS})
    num_classes = options.get("num_classes", recipe.num_classes)
    choice = BackboneChoice(name, {key: value for key, value in options.items() if key in for_backbone})
    own = {key: value for key, value in options.items() if key in for_head - {"num_classes"}}
    try:
        with torch.device("meta"), _WithoutValues():
            parts = recipe.build(choice, num_classes, **own)
    except (ValueError, TypeError, RuntimeError) as error:
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        raise InputError(f"{name} can't be built with {given}: {' '.join(str(error).split())}") from error
    model = nn.Sequential(OrderedDict(zip(("backbone", "head"), parts, strict=True)))
    size = parse_image_size(options["image_size"]) if "image_size" in options else recipe.image_size
    return ReferenceModel(model, size, num_classes, options.get("in_channels", 3))


def feature_channels(name: str, feature: str) -> FeatureInfo:
    """Channels and stride of a feature of a backbone at width 1.0."""
    with torch.device("meta"), _WithoutValues():
        info: FeatureInfo = BackboneChoice(name, {}).build((feature,)).feature_info[feature]
    return info


def _check(options: Mapping[str, Any], name: str, head: str, known: set[str]) -> None:
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise InputError(
                f"Unknown option '{key}':{hint} {name} with head={head} has: {', '.join(sorted(known))}."
            )


def parse_image_size(value: Any) -> Size:
    """320, (512, 1024) or "512x1024" -> (height, width).

    Raises:
        InputError: it is none of these.
    """
    if isinstance(value, str):
        parts = value.lower().split("x")
        value = tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value, value)
    is_size = isinstance(value, (tuple, list)) and len(value) == 2
    if not is_size or not all(type(part) is int and part > 0 for part in value):
        raise InputError("image_size is a side or height and width: 224, (512,1024) or 512x1024.")
    return int(value[0]), int(value[1])
