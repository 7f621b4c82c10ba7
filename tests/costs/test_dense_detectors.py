"""Covers configs/gfl_v2_coco.py, configs/gfl_v3_large_coco.py, configs/gfl_v3_small_coco.py.

What dense detectors may cost, and that published ones are counted once.
"""

from __future__ import annotations

import pytest

from pocketvision.core.command import load_config, shipped_configs
from pocketvision.costs.dense_detectors import DENSE_DETECTORS
from pocketvision.costs.measure import Cost, measure_cost

NAMES = tuple(f"class{i}" for i in range(80))


def cost_of(config: str, *names: str) -> Cost:
    experiment = load_config(shipped_configs()[config])[0].config
    return measure_cost(experiment.model(names or NAMES, weights=None), (320, 320))


@pytest.mark.parametrize(("backbone", "limit"), [("v3_large", 0.80e9), ("v2", 0.95e9), ("v3_small", 0.35e9)])
def test_a_dense_config_is_small(backbone: str, limit: float) -> None:
    dense, ssdlite = cost_of(f"gfl_{backbone}_coco"), cost_of(f"ssdlite_{backbone}_coco")
    assert dense.madds <= limit and dense.params < ssdlite.params


def test_on_blood_cells_it_costs_what_ssdlite_does() -> None:
    dense, ssdlite = (cost_of(f"{family}_v2_bccd", "a", "b", "c") for family in ("gfl", "ssdlite"))
    assert dense.params < ssdlite.params and dense.madds < 1.05 * ssdlite.madds


@pytest.mark.parametrize(("backbone", "figures"), [
    ("v3_large", ("0.61 G", "3.22 M")), ("v2", ("0.84 G", "2.39 M")), ("v3_small", ("0.17 G", "1.00 M")),
])  # fmt: skip
def test_the_configs_say_what_they_cost(backbone: str, figures: tuple[str, str]) -> None:
    found = cost_of(f"gfl_{backbone}_coco")
    said = f"{found.madds / 1e9:.2f} G", f"{found.params / 1e6:.2f} M"
    text = " ".join(shipped_configs()[f"gfl_{backbone}_coco"].read_text(encoding="utf-8").split())
    assert said == figures and all(figure in text for figure in figures)


def test_two_operations_are_one_multiply_add() -> None:
    plus = DENSE_DETECTORS[0]
    assert plus.model == "NanoDet-Plus-m" and plus.image_size == (320, 320)
    assert plus.madds == pytest.approx(0.45e9)
