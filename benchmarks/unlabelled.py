"""What ``train --unlabelled`` gains with fifty labels: blood cells, the other 242 pictures without theirs.

    python benchmarks/unlabelled.py BCCD OUTPUT [--steps 200] [--seeds 0 1 2] [--longer]

For each seed ``train --unlabelled`` trains a teacher from published weights, and a student for as many steps.
The teacher is the run without the option. With ``--longer`` the teacher also trains on for as long as
the student, on the labeled pictures alone. Intervals are of a paired bootstrap over the test pictures, of the
mean of the seeds. Called again it goes on with what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import few_labels


def runs_of(seed: int, arguments: argparse.Namespace) -> dict[str, Path]:
    """Train and score without and with unlabeled pictures."""
    output, bccd = arguments.output, arguments.bccd
    names = few_labels.shuffled(bccd, seed)
    labeled, others = names[: few_labels.NUM_LABELED], names[few_labels.NUM_LABELED :]
    data = few_labels.write_data(bccd, output / f"data_{seed}", labeled)
    pictures = few_labels.write_pictures(bccd, output / f"pictures_{seed}", others)
    run = output / f"unlabelled_{seed}"
    student = few_labels.train(run, data, seed, arguments, "--unlabelled", pictures)
    teacher = run / "teacher" / "weights.safetensors"
    scores = {"50 labeled": few_labels.score(run, run / "test_teacher", "--weights", teacher)}
    if arguments.longer:
        longer = output / f"longer_{seed}"
        scores["longer"] = few_labels.train(longer, data, seed, arguments, "--from", teacher)
    return {**scores, "unlabelled": student}


def main() -> None:
    parser = few_labels.parser(__doc__)
    parser.add_argument(
        "--longer", action="store_true", help="also train the teacher on without the pictures"
    )
    arguments = parser.parse_args()
    rows = [runs_of(seed, arguments) for seed in arguments.seeds]
    few_labels.report({name: [row[name] for row in rows] for name in rows[0]}, arguments.output)


if __name__ == "__main__":
    main()
