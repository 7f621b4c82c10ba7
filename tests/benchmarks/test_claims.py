"""Covers benchmarks/claims.py, benchmarks/bottlenecks.py: what they compare is what the papers compare."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pocketvision.costs.measure import measure_cost

ROOT = Path(__file__).resolve().parents[2]


def names_of(file: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return runpy.run_path(str(ROOT / "benchmarks" / file))


@pytest.fixture(scope="module")
def claims() -> dict[str, Any]:
    return names_of("claims.py")


def test_pairs_differ_in_what_is_claimed(claims: dict[str, Any]) -> None:
    pairs = claims["PAIRS"]
    assert isinstance(pairs["h_swish_unfused"].second().backbone.last.activation, claims["SlowHardswish"])
    relu, swish = pairs["h_swish"].first(), pairs["swish"].first()
    assert not any(isinstance(module, nn.Hardswish) for model in (relu, swish) for module in model.modules())
    plain, squeezed = pairs["squeeze"].first(), pairs["squeeze"].second()
    assert sum(p.numel() for p in plain.parameters()) < sum(p.numel() for p in squeezed.parameters())
    full, separable = (measure_cost(build(), (224, 224)).madds for build in pairs["separable"][2:])
    assert full / separable == pytest.approx(4866 / 568.74, abs=0.01)


def test_every_pair_has_its_rows_in_the_docs(claims: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    for name in claims["PAIRS"]:
        assert f"| {name} |" in text, name


def test_h_swish_is_the_same_however_it_is_computed(claims: dict[str, Any]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="an extra")
    levels = np.arange(256).reshape(1, 4, 8, 8)
    values = (levels / 16 - 8).astype(np.float32)
    expected = nn.functional.hardswish(torch.from_numpy(values)).numpy()
    slow = claims["SlowHardswish"]()(torch.from_numpy(values)).numpy()
    assert np.allclose(slow, expected, atol=1e-6)
    for name, graph in claims["activation_graphs"](levels.shape).items():
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        given = levels.astype(np.int32) if "table" in name else values
        (found,) = session.run(None, {"x": given})
        assert np.allclose(found, expected, atol=1e-5) == (name != "swish")


def test_the_published_bottlenecks_are_ours() -> None:
    """The variant "as published" computes what the backbone itself computes; the others don't."""
    bottlenecks = names_of("bottlenecks.py")
    images = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    for name, variant in bottlenecks["VARIANTS"].items():
        torch.manual_seed(0)
        model = bottlenecks["SmallNet"](variant).eval()
        with torch.no_grad():
            body = model.body(images.float() / 127.5 - 1)["c5"].mean(dim=(2, 3))
            is_ours = torch.equal(model(images), model.class_logits(body))
        assert is_ours == (name == "as published")
