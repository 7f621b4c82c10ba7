"""Compare two models on the same images: python tools/compare.py RUN_A RUN_B [--split test]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import command
from pocketvision.core.files import check_new


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="pocketvision compare",
        description="Test whether B is better than A on the images that both were scored on, and where.",
    )
    parser.add_argument("a", metavar="RUN_A", type=Path, help="a run folder, or a folder that eval wrote")
    parser.add_argument("b", metavar="RUN_B", type=Path, help="another")
    parser.add_argument("--split", help="split that both runs were scored on (default: the runs' own scores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to a file too")
    arguments = parser.parse_args(argv)
    check_new(arguments.json, "--json")

    from pocketvision.core.files import write_json
    from pocketvision.evaluation.compare import compare, comparison_text

    comparison = compare(arguments.a, arguments.b, arguments.split)
    print(comparison_text(comparison, (str(arguments.a), str(arguments.b))))
    if arguments.json is not None:
        content = comparison._asdict()
        content["metrics"] = {
            name: {"A": a, "B": b, **difference._asdict()}
            for name, (a, b, difference) in comparison.metrics.items()
        }
        content["changes"] = [row._asdict() for row in comparison.changes]
        write_json(arguments.json, content)


if __name__ == "__main__":
    sys.exit(main())
