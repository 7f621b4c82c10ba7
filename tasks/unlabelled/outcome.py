"""Whether the pictures without labels helped, and whose weights are the run's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.datasets.convert.common import new_folder
from pocketvision.evaluation.compare import compare

_METRIC = "AP"
_RESULTS = (
    "images.npz", "results.json", "ground_truth.json", "analysis.json", "predictions.png", "report.html",
    "metrics.json", "weights.safetensors",
)  # fmt: skip
"""What the end of a training leaves, the weights last: with them it is whole."""


@dataclass(frozen=True)
class Outcome:
    """The teacher's AP and the student's on validation pictures, and their difference with its interval.

    All but ``num_images`` are None where there are too few pictures, or no boxes, for a test.
    """

    num_images: int
    teacher: float | None = None
    student: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def keeps_student(self) -> bool:
        """Whether the student is not worse beyond doubt."""
        return self.high is None or self.high >= 0

    def line(self) -> str:
        """One line for a person."""
        kept = "the student's weights are kept" if self.keeps_student else "the teacher's weights are kept"
        if self.gain is None or self.low is None or self.high is None:
            return f"whether unlabeled pictures helped can't be told on {self.num_images} pictures: {kept}"
        verdict = "helped" if self.low > 0 else "did harm" if self.high < 0 else "made no difference for sure"
        return (
            f"unlabeled pictures {verdict}: AP {self.teacher:.4f} -> {self.student:.4f}, "
            f"{self.gain:+.4f} ({self.low:+.4f} to {self.high:+.4f}) on {self.num_images} validation "
            f"pictures; {kept}"
        )


def outcome_of(teacher: Path, student: Path, num_images: int) -> Outcome:
    """Compare two folders with results on the same validation pictures, by a paired bootstrap over them."""
    try:
        before, after, difference = compare(teacher, student).metrics[_METRIC]
    except (InputError, KeyError):
        return Outcome(num_images)
    return Outcome(num_images, before, after, difference.value, difference.low, difference.high)


def keep_apart(run: Path, folder: Path) -> None:
    """Copy the results of a run into ``folder``, which appears when all are there; once."""
    if folder.is_dir():
        return
    with new_folder(folder) as temporary:
        for name in _RESULTS:
            if (run / name).is_file():
                shutil.copyfile(run / name, temporary / name)


def take_over(source: Path, run: Path) -> None:
    """Put the results in ``source`` in the place of the run's own, the weights last."""
    for name in _RESULTS:
        if (source / name).is_file():
            with replacing(run / name) as temporary:
                shutil.copyfile(source / name, temporary)
