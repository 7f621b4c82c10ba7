"""Regularized evolution (arXiv:1802.01548): of the youngest networks, the best of a few is changed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json, replacing, write_json
from pocketvision.core.progress import Progress
from pocketvision.tasks.searching.space import Candidate, SearchSpace, StageChoice

HISTORY = "candidates.json"
POPULATION, NUM_RIVALS = 16, 6


class Scored(NamedTuple):
    """A candidate, its score on the proxy, its predicted ``seconds``, and its reward."""

    candidate: Candidate
    score: float
    seconds: float
    reward: float


@dataclass(frozen=True)
class Reward:
    """score x (seconds / target) ^ exponent (arXiv:1807.11626, eq. 2, 3), another one ``beyond`` the target.

    With -0.07, 5 % more score are worth twice the time; MobileNetV3-Small was found with -0.15. The papers
    have it on both sides; then the best network may be far slower than asked.
    """

    target: float
    exponent: float = -0.07
    beyond: float = -1.0

    def __call__(self, score: float, seconds: float) -> float:
        exponent = self.exponent if seconds <= self.target else self.beyond
        return score * float((seconds / self.target) ** exponent)


@dataclass(frozen=True)
class Evolution:
    """What to score next: of the last ``population`` networks, the best of ``num_rivals`` is mutated.

    The first ``population`` are random, so with as many as there are candidates this is random search. The
    answer depends on the history and ``seed`` alone: a search that was killed goes on as it would have.
    """

    space: SearchSpace
    seed: int = 0
    population: int = POPULATION
    num_rivals: int = NUM_RIVALS

    def next(self, history: Sequence[Scored]) -> Candidate:
        """A network that is not in the history yet."""
        generator = np.random.default_rng((self.seed, len(history)))
        seen = {row.candidate for row in history}
        while True:
            candidate = self._proposed(history, generator)
            if candidate not in seen:
                return candidate

    def _proposed(self, history: Sequence[Scored], generator: np.random.Generator) -> Candidate:
        if len(history) < self.population:
            return self.space.draw(generator)
        living = history[-self.population :]
        rivals = generator.choice(len(living), min(self.num_rivals, len(living)), replace=False)
        parent = max((living[place] for place in rivals), key=lambda row: row.reward)
        return self.space.mutated(parent.candidate, generator)


def best_below(history: Sequence[Scored], target: float) -> Scored:
    """The highest reward of those not slower than ``target``; of all where none is as fast."""
    fast = [row for row in history if row.seconds <= target]
    return max(fast or history, key=lambda row: row.reward)


def read_history(file: Path) -> list[Scored]:
    """What was scored so far; empty before the first.

    Raises:
        InputError: the file is broken.
    """
    if not file.is_file():
        return []
    try:
        return [
            Scored(
                tuple(StageChoice(**stage) for stage in row["stages"]),
                float(row["score"]), float(row["seconds"]), float(row["reward"]),
            )
            for row in read_json(file)
        ]  # fmt: skip
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{file} is broken ({error}): begin again with another --run-dir.") from error


def write_history(file: Path, history: Sequence[Scored]) -> None:
    """Write all that was scored, as JSON."""
    rows = [{**row._asdict(), "stages": [stage._asdict() for stage in row.candidate]} for row in history]
    write_json(file, [{key: value for key, value in row.items() if key != "candidate"} for row in rows])


def write_table(file: Path, history: Sequence[Scored]) -> None:
    """Write it as CSV, a column for each choice of each stage."""
    with replacing(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        stages = range(len(history[0].candidate))
        names = [f"stage{stage}_{name}" for stage in stages for name in StageChoice._fields]
        writer.writerow(["number", "score", "ms", "reward", *names])
        for number, row in enumerate(history):
            values = [value for stage in row.candidate for value in stage]
            writer.writerow([number, row.score, row.seconds * 1e3, row.reward, *values])


def explore(
    evolution: Evolution, count: int, score: Callable[[Candidate], float],
    latency: Callable[[Candidate], float], reward: Reward, folder: Path,
) -> list[Scored]:  # fmt: skip
    """Score ``count`` candidates, or those that the history in ``folder`` lacks."""
    history = read_history(folder / HISTORY)
    with Progress("searching", count, "networks", done=len(history)) as progress:
        while len(history) < count:
            candidate = evolution.next(history)
            value, seconds = score(candidate), latency(candidate)
            history.append(Scored(candidate, value, seconds, reward(value, seconds)))
            write_history(folder / HISTORY, history)
            best = max(history, key=lambda row: row.reward)
            progress.advance(note=f"best reward {best.reward:.4f}: {_line(best)}")
    return history


def _line(row: Scored) -> str:
    return f"score {row.score:.4f} in {row.seconds * 1e3:.2f} ms"
