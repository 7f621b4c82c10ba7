"""Covers heads/feature_names.py.

What every head promises; a new one is tested, in all of its forms, by being in ``heads.__all__``.
"""

from __future__ import annotations

import copy
import inspect
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from pocketvision import heads
from pocketvision.core.protocols import HasClassLayers, HasPublishedNames
from pocketvision.core.structures import FeatureInfo, Features, Size

INFO = {
    "c1": FeatureInfo(8, 2),
    "c2": FeatureInfo(12, 4),
    "c3_first": FeatureInfo(16, 8),
    "c3_depthwise": FeatureInfo(24, 8),
    "c3": FeatureInfo(10, 8),
    "c4": FeatureInfo(14, 16),
    "c5": FeatureInfo(20, 16),
    "last": FeatureInfo(32, 16),
}
MAPS, NUM_ANCHORS, NUM_OUTPUTS = ("c3_first", "last"), (2, 3), 5
"""What detection heads get: they read every map."""


def arguments_of(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(heads, name)).parameters)


def is_detection(name: str) -> bool:
    return "num_anchors" in arguments_of(name)


def info_of(name: str) -> dict[str, FeatureInfo]:
    return {feature: INFO[feature] for feature in MAPS} if is_detection(name) else INFO


def forms(name: str) -> tuple[str | None, ...]:
    head = getattr(heads, name)
    hints = get_type_hints(head.__init__ if inspect.isclass(head) else head)
    return get_args(hints["form"]) if "form" in hints else (None,)


CASES = [(name, form) for name in heads.__all__ for form in forms(name)]
pytestmark = pytest.mark.parametrize(("name", "form"), CASES, ids=[f"{n}-{f}" for n, f in CASES])


def build(name: str, form: str | None, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_classes": NUM_OUTPUTS}
    if is_detection(name):
        sizes = {"num_anchors": NUM_ANCHORS, "num_outputs": NUM_OUTPUTS}
    options = {} if form is None else {"form": form}
    head: nn.Module = getattr(heads, name)(**{"feature_info": info_of(name), **sizes, **options, **arguments})
    return head.eval()


def map_size(info: FeatureInfo, image: Size) -> Size:
    return math.ceil(image[0] / info.stride), math.ceil(image[1] / info.stride)


def features(name: str, image: Size = (64, 96), count: int = 2) -> Features:
    generator = torch.Generator().manual_seed(image[0])
    return {
        feature: torch.randn(count, info.channels, *map_size(info, image), generator=generator)
        for feature, info in info_of(name).items()
    }


def tensors(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else tuple(output)


@torch.no_grad()
@pytest.mark.parametrize("image", [(64, 96), (65, 97), (33, 127)])
def test_output_shapes(name: str, form: str | None, image: Size) -> None:
    output = build(name, form)(features(name, image))
    sizes = [map_size(info, image) for info in info_of(name).values()]
    if is_detection(name):
        total = sum(n * height * width for n, (height, width) in zip(NUM_ANCHORS, sizes, strict=True))
        assert [tuple(x.shape) for x in output] == [(2, total, NUM_OUTPUTS), (2, total, 4)]
    else:
        assert output.shape[:2] == (2, NUM_OUTPUTS)
        assert output.dim() == 2 or tuple(output.shape[2:]) in sizes


def test_features_that_do_not_fit_are_refused_with_a_sentence(name: str, form: str | None) -> None:
    if is_detection(name):
        with pytest.raises(ValueError):
            build(name, form, num_anchors=NUM_ANCHORS[1:])
        return
    other = {"stage_1": FeatureInfo(8, 4), "stage_2": FeatureInfo(16, 8)}
    with pytest.raises(ValueError, match=r"reads feature '\w+', but the backbone gives stage_1, stage_2: "):
        build(name, form, feature_info=other)


@pytest.mark.parametrize(("image", "count"), [((64, 96), 2), ((64, 96), 1), ((16, 16), 1)])
def test_every_parameter_learns(name: str, form: str | None, image: Size, count: int) -> None:
    head = build(name, form).train()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A BatchNorm saw one value")
        output = tensors(head(features(name, image, count)))
    torch.stack([x.square().mean() for x in output]).sum().backward()
    for parameter_name, parameter in head.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} is built but not used"
        assert parameter.grad.isfinite().all(), parameter_name


@torch.no_grad()
def test_compiles_into_one_graph(name: str, form: str | None) -> None:
    head = build(name, form)
    torch._dynamo.reset()
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(tensors(compiled(features(name))), tensors(head(features(name))), strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_copies_and_state_dicts(name: str, form: str | None) -> None:
    head, other = build(name, form), build(name, form)
    for parameter in head.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    expected, copied = tensors(head(features(name))), copy.deepcopy(head)
    other.load_state_dict(head.state_dict())
    for parameter in head.parameters():
        parameter.zero_()
    for again in (other, copied):
        for ours, theirs in zip(tensors(again(features(name))), expected, strict=True):
            assert torch.equal(ours, theirs)


@torch.no_grad()
def test_half_precision(name: str, form: str | None) -> None:
    head = build(name, form)
    expected = tensors(head(features(name)))
    inputs = {feature: x.bfloat16() for feature, x in features(name).items()}
    for ours, theirs in zip(tensors(head.bfloat16()(inputs)), expected, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.float(), theirs, rtol=0.05, atol=0.03 * float(theirs.abs().max()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every head saved as a graph, and beside it what a new process, without our code, computes with it."""
    folder = tmp_path_factory.mktemp("exported")
    for name, form in CASES:
        inputs = features(name)
        torch.save(inputs, folder / f"{name}-{form}.in")
        torch.export.save(torch.export.export(build(name, form), (inputs,)), folder / f"{name}-{form}.pt2")
    script = (
        "import sys, pathlib, torch\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "for file in folder.glob('*.pt2'):\n"
        "    inputs = torch.load(file.with_suffix('.in'))\n"
        "    torch.save(torch.export.load(file).module()(inputs), file.with_suffix('.out'))\n"
        "assert 'pocketvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)
    return folder


@torch.no_grad()
def test_exported_graphs_run_in_another_process(name: str, form: str | None, exported: Path) -> None:
    found = tensors(torch.load(exported / f"{name}-{form}.out"))
    for ours, theirs in zip(found, tensors(build(name, form)(features(name))), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_names_in_other_libraries_are_those_of_our_modules(name: str, form: str | None) -> None:
    """Either the head has no such published form, or every tensor of ours has a name there."""
    head = build(name, form)
    if not isinstance(head, HasPublishedNames):
        return
    tensors_of_ours = {key for key in head.state_dict() if not key.endswith("num_batches_tracked")}
    for library in ("torchvision", "timm"):
        try:
            names = head.published_names(library)
        except ValueError as error:
            assert library in str(error)
            continue
        assert len(set(names.values())) == len(names)
        assert {key.rpartition(".")[0] for key in tensors_of_ours} == set(names)
    with pytest.raises(ValueError, match="keras"):
        head.published_names("keras")


def test_named_class_layers_depend_on_the_number_of_classes(name: str, form: str | None) -> None:
    head = build(name, form)
    if not isinstance(head, HasClassLayers):
        return
    number = "num_outputs" if is_detection(name) else "num_classes"
    wider = build(name, form, **{number: NUM_OUTPUTS + 1}).state_dict()
    changed = {key for key, value in head.state_dict().items() if value.shape != wider[key].shape}
    assert set(head.class_layers()) == {key.rpartition(".")[0] for key in changed}
    for layer in head.class_layers():
        module = head.get_submodule(layer)
        assert isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None
