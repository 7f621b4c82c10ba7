"""What a sweep searches: ``key=a..b`` is a range, ``key=a,b,c`` a list, all else a value for every trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pocketvision.core.config import Experiment, parse_overrides, split_list, value_at
from pocketvision.core.errors import InputError

if TYPE_CHECKING:
    from optuna import Trial

_DIGITS = 4
"""Of the values that are tried: what is printed is what was trained with."""
_DECADE = 10.0


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; whole numbers if both are.

    Where both are positive and a decade or more apart, equal factors are equally likely.
    """

    low: float
    high: float

    @property
    def is_log(self) -> bool:
        """Whether it is by the logarithm that values are drawn."""
        return self.low > 0 and self.high >= _DECADE * self.low

    @property
    def example(self) -> str:
        """A value as an override has it."""
        return number_text(self.low)

    def draw(self, key: str, trial: Trial) -> str:
        """The value of a trial, as an override has it."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return number_text(trial.suggest_int(key, self.low, self.high, log=self.is_log))
        return number_text(trial.suggest_float(key, self.low, self.high, log=self.is_log))

    def place(self, stated: Any) -> Any:
        """A config's own value as Optuna has it; None where it is not in the range."""
        is_number = isinstance(stated, int | float) and not isinstance(stated, bool)
        return stated if is_number and self.low <= stated <= self.high else None

    def position(self, text: str) -> float:
        """Where a value of a trial lies on an axis."""
        return float(text)

    def __str__(self) -> str:
        scale = "log" if self.is_log else "linear"
        whole = "whole numbers, " if isinstance(self.low, int) else ""
        return f"{number_text(self.low)} to {number_text(self.high)} ({whole}{scale})"


@dataclass(frozen=True)
class Choices:
    """Values as they were typed, each as likely as the others."""

    words: tuple[str, ...]

    @property
    def example(self) -> str:
        """A value as an override has it."""
        return self.words[0]

    def draw(self, key: str, trial: Trial) -> str:
        """The value of a trial, as an override has it."""
        return str(trial.suggest_categorical(key, self.words))

    def place(self, stated: Any) -> Any:
        """A config's own value as it was typed; None where it is none of them."""
        forms = (stated, str(stated), repr(stated))
        return next((word for word in self.words if _value(word) in forms or word in forms), None)

    def position(self, text: str) -> float:
        """Where a value of a trial lies on an axis."""
        return self.words.index(text)

    def __str__(self) -> str:
        return " or ".join(self.words)


Dimension = Range | Choices


def parse_space(words: Sequence[str]) -> tuple[dict[str, Dimension], list[str]]:
    """What to search, by key, and the other words, which hold for every trial.

    Raises:
        InputError: nothing is to be searched, a key comes twice, or a range or list is none.
    """
    space: dict[str, Dimension] = {}
    fixed: list[str] = []
    seen: set[str] = set()
    for word in words:
        (key,) = parse_overrides([word])
        if key in seen:
            raise InputError(f"'{key}' is given twice: state it once.")
        seen.add(key)
        found = _dimension(key, word.partition("=")[2])
        if found is None:
            fixed.append(word)
        else:
            space[key] = found
    if not space:
        raise InputError("Say what to search, such as task.optimizer.lr=1e-4..1e-2 or data.batch_size=8,16.")
    return space, fixed


def _dimension(key: str, text: str) -> Dimension | None:
    """The range or list that ``text`` is; None for a single value, such as a path with ``..`` in it."""
    parts = [part.strip() for part in split_list(text)]
    if len(parts) > 1:
        if not all(parts):
            raise InputError(f"{key}={text} has an empty value: write {key}=a,b,c.")
        return Choices(tuple(dict.fromkeys(parts)))
    low, dots, high = text.partition("..")
    ends = _number(low), _number(high)
    if not dots or ends == (None, None):
        return None
    if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
        raise InputError(f"{key}={text} is no range: write {key}=LOW..HIGH, two numbers, the lower first.")
    if not all(isinstance(end, int) for end in ends):
        return Range(float(ends[0]), float(ends[1]))
    return Range(ends[0], ends[1])


def _number(text: str) -> float | None:
    value = _value(text.strip())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < float("inf") else None


def _value(text: str) -> Any:
    return parse_overrides([f"x={text}"])["x"]


def number_text(value: float) -> str:
    """A number with as many digits as are tried."""
    return str(value) if isinstance(value, int) else f"{value:.{_DIGITS}g}"


def stated_values(space: Mapping[str, Dimension], experiment: Experiment) -> dict[str, Any]:
    """The config's own values, to be tried first, where they lie in what is searched; as Optuna has them."""
    places = ((key, dimension.place(value_at(experiment, key))) for key, dimension in space.items())
    return {key: value for key, value in places if value is not None}


def drawn(space: Mapping[str, Dimension], trial: Trial) -> Iterator[tuple[str, str]]:
    """The key and value of everything that is searched, for a trial; again the same for the same trial."""
    for key, dimension in space.items():
        yield key, dimension.draw(key, trial)
