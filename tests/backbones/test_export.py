"""Covers backbones/mobilenet.py.

Exported backbones run in a process that has only torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from pocketvision import backbones
from pocketvision.backbones import TimmBackbone, WithExtraBlocks, WithPAN, mobilenet_v3_small
from pocketvision.core.errors import InputError

LOAD = """
import sys, pathlib, torch
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.pt2")):
    expected = torch.load(path.with_suffix(".pth"))
    outputs = torch.export.load(path).module()(expected.pop("images"))
    assert list(outputs) == list(expected), path
    for name, output in outputs.items():
        torch.testing.assert_close(output, expected[name])
    print(path.stem)
assert not any(name.startswith("pocketvision") for name in sys.modules)
"""


def everything() -> Iterator[tuple[str, nn.Module]]:
    for name in backbones.__all__:
        if name == "TimmBackbone":
            model = timm.create_model("mobilenetv3_small_050", pretrained=False, features_only=True)
            yield name, TimmBackbone(model)
        elif name == "WithPAN":
            inner = mobilenet_v3_small(width_mult=0.35, out_features=("c3", "c4"))
            yield name, WithPAN(inner, channels=16)
        elif name == "WithExtraBlocks":
            options = {"out_features": ("c4_expand", "last"), "output_stride": 16}
            inner = mobilenet_v3_small(width_mult=0.35, padding="same", **options)
            yield name, WithExtraBlocks(inner, channels=(16,), padding="same")
        else:  # to c3, which has every kind of layer, to save time: V3-Small is whole above
            has_expansion = name in ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
            features = ("c1", "c2_expand" if has_expansion else "c2", "c3")
            yield name, getattr(backbones, name)(width_mult=0.35, padding="same", out_features=features)


@pytest.mark.slow
@torch.no_grad()
def test_files_load_in_a_new_process(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 3, 64, 50)
    for name, backbone in everything():
        torch.export.save(torch.export.export(backbone.eval(), (images,)), tmp_path / f"{name}.pt2")
        torch.save({**backbone(images), "images": images}, tmp_path / f"{name}.pth")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(backbones.__all__)


# PyTorch supports no TorchScript from Python 3.14 on.
TRACERS = (torch.fx.symbolic_trace, *((torch.jit.script,) if sys.version_info < (3, 14) else ()))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated", "ignore:The TorchScript type system")
@pytest.mark.parametrize("padding", ["torch", "same"])
@pytest.mark.parametrize("name", [name for name in backbones.__all__ if name.startswith("mobilenet_v")])
def test_fx_and_torchscript_take_a_backbone(name: str, padding: str) -> None:
    backbone = getattr(backbones, name)(width_mult=0.35, padding=padding)
    for tracer in TRACERS:
        with pytest.raises(InputError, match=r"for inference only: call eval\(\) before"):
            tracer(backbone.train())
        traced = tracer(backbone.eval())
        for size in ((64, 50), (33, 96)):
            images = torch.randn(1, 3, *size)
            for feature, expected in backbone(images).items():
                torch.testing.assert_close(traced(images)[feature], expected)
