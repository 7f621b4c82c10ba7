"""Do the fifty pictures that ``rank`` chooses teach more than fifty at random?

    python benchmarks/ranking.py BCCD OUTPUT [--steps 200] [--seeds 0 1 2]

A model of 50 labeled pictures ranks the other 242; 50 are labeled and trained on beside the first, for equal
steps from the same published weights. Intervals are of a paired bootstrap over the test pictures, of the mean
of the seeds. Called again it goes on with what is missing; OUTPUT may be that of ``unlabelled.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import few_labels

NUM_MORE = 50


def chosen(first: Path, known: Path, pool: Path) -> list[str]:
    """The pictures of ``pool`` that the run ``first`` would have labeled next."""
    folder = first / "ranked"
    if not (folder / "ranked.txt").is_file():
        few_labels.call("rank", first, pool, "--labeled", known, "--count", str(NUM_MORE), "--output", folder)
    return [Path(line).stem for line in (folder / "ranked.txt").read_text().splitlines()]


def three_runs(seed: int, arguments: argparse.Namespace) -> dict[str, Path]:
    """Train and score the first fifty, with fifty more at random, and with fifty that were chosen."""
    output, bccd = arguments.output, arguments.bccd
    names = few_labels.shuffled(bccd, seed)
    labeled, others = names[: few_labels.NUM_LABELED], names[few_labels.NUM_LABELED :]
    data = few_labels.write_data(bccd, output / f"data_{seed}", labeled)
    known = few_labels.write_pictures(bccd, output / f"known_{seed}", labeled)
    pool = few_labels.write_pictures(bccd, output / f"pictures_{seed}", others)
    scores = {"50 labeled": few_labels.train(output / f"plain_{seed}", data, seed, arguments)}
    more = {"50 at random": others[:NUM_MORE], "50 ranked": chosen(output / f"plain_{seed}", known, pool)}
    for name, own in more.items():
        run = output / f"{name.rpartition(' ')[2]}_{seed}"
        data = few_labels.write_data(bccd, output / f"data_{run.name}", labeled, own)
        scores[name] = few_labels.train(run, data, seed, arguments)
    return scores


def main() -> None:
    arguments = few_labels.parser(__doc__).parse_args()
    rows = [three_runs(seed, arguments) for seed in arguments.seeds]
    few_labels.report(
        {name: [row[name] for row in rows] for name in ("50 at random", "50 labeled", "50 ranked")},
        arguments.output,
    )


if __name__ == "__main__":
    main()
