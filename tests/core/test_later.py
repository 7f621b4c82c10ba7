"""A class by name behaves as the class, and imports its module no sooner than needed."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from fractions import Fraction
from functools import partial

from pocketvision.core.config import Experiment, apply_overrides, describe, parameters
from pocketvision.core.later import Later

LATER = Later("fractions", "Fraction")


def test_it_is_called_inspected_and_checked_like_the_class() -> None:
    assert LATER(1, 2) == Fraction(1, 2) and partial(LATER, 3)(4) == Fraction(3, 4)
    assert isinstance(Fraction(1), LATER) and not isinstance(1.0, LATER)  # type: ignore[arg-type]
    assert inspect.signature(LATER) == inspect.signature(Fraction)
    assert list(parameters(partial(LATER, denominator=2))) == list(parameters(Fraction))
    assert parameters(LATER) == parameters(Fraction) and describe(partial(LATER, 3)).startswith("Fraction(")
    assert LATER.from_float(0.5) == Fraction(1, 2) and LATER.__qualname__ == "Fraction"


def test_it_can_be_subclassed() -> None:
    class Half(LATER):  # type: ignore[valid-type, misc]
        pass

    assert issubclass(Half, Fraction) and Half(1, 2) * 2 == 1
    assert issubclass(Half, LATER) and not issubclass(int, LATER)  # type: ignore[arg-type]


def test_an_experiment_may_name_it_without_arguments() -> None:
    experiment = Experiment(model=dict, task=LATER, data=dict)
    assert list(parameters(LATER)) == list(parameters(Fraction))
    assert apply_overrides(experiment, {"task.denominator": 4}).task(1) == Fraction(1, 4)
    assert "task=Fraction()," in describe(experiment)


def test_it_is_copied_and_pickled_by_name() -> None:
    assert copy.deepcopy(LATER) == LATER == pickle.loads(pickle.dumps(LATER))
    assert len({LATER, copy.copy(LATER), Later("fractions", "Decimal")}) == 2


def test_naming_it_imports_nothing() -> None:
    code = "import sys; from pocketvision.core.later import Later; Later('fractions', 'Fraction')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit('fractions' in sys.modules)"], check=False
    )
    assert done.returncode == 0
