"""Whether training draws images of rare classes more often, and what an epoch is then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pocketvision.core.config import Experiment, parameters, parse_overrides
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.records.annotations import AnyRecords, ClassificationRecords
from pocketvision.datasets.repeats import check_threshold, class_presence, repeat_factors
from pocketvision.datasets.sampling import num_drawn
from pocketvision.runs.build import build
from pocketvision.tasks.own.tiles import learned_records

RARE, IMBALANCE, MOST_DRAWS = 0.1, 10, 10
"""Share of the images below which a class is rare, how many times as many have the most frequent one where
images are repeated, and how often an epoch may draw one."""


class Repeats(NamedTuple):
    """``data.repeat_threshold``, what an epoch of ``num_images`` draws with it, and why."""

    threshold: float
    num_drawn: int
    num_images: int
    reason: str

    def line(self) -> str:
        """What a person should know of it."""
        return (
            f"rare classes: {self.reason}; data.repeat_threshold={self.threshold:g}: an epoch draws "
            f"{self.num_drawn} times from {self.num_images} images"
        )


def fit_repeats(train: AnyRecords) -> Repeats | None:
    """Repeats where a class is in less than a tenth of the images and another in ten times as many as it.

    The threshold is 0.1, or less where an epoch would draw an image more than ten times. Classes without an
    image don't count.

    Raises:
        InputError: a mask can't be read.
    """
    if isinstance(train, ClassificationRecords) or not len(train):
        return None
    shares = class_presence(train).mean(axis=0)
    present = shares[shares > 0]
    if not len(present) or present.min() >= RARE or present.max() < IMBALANCE * present.min():
        return None
    reason = (
        f"{int((present < RARE).sum())} of {len(present)} are in less than {RARE:.0%} of the training "
        f"images, the most frequent in {present.max() / present.min():.0f} times as many as the rarest"
    )
    threshold = float(f"{min(RARE, MOST_DRAWS**2 * present.min()):.2g}")
    return stated_repeats(train, threshold, reason)


def stated_repeats(train: AnyRecords, threshold: float, reason: str = "as stated") -> Repeats:
    """Repeats with a given threshold.

    Raises:
        ValueError: it is no share.
        InputError: a mask can't be read.
    """
    check_threshold(threshold)
    factors = repeat_factors(class_presence(train), threshold)
    return Repeats(threshold, num_drawn(factors), len(train), reason)


def settled_repeats(
    experiment: Experiment, overrides: Sequence[str], read: AnyData | None = None
) -> tuple[Repeats | None, list[str]]:
    """Repeats of a config, with the override that states them where it and ``overrides`` leave them open.

    ``read`` is as for :func:`~pocketvision.runs.build.build`.
    """
    options = parameters(experiment.data)
    threshold = options.get("repeat_threshold")
    is_off = threshold is None and "data.repeat_threshold" in parse_overrides(overrides)
    if "repeat_threshold" not in options or is_off:
        return None, []
    _, data = build(experiment, pretrained=False, read=read)
    train = learned_records(data)
    if threshold is not None:
        return stated_repeats(train, threshold), []
    found = fit_repeats(train)
    return found, [] if found is None else [f"data.repeat_threshold={found.threshold!r}"]
