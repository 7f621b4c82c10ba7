"""Find what is wrong with a data set: python tools/check_data.py PATH | CONFIG [part.key=value ...]"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new, free_path
from pocketvision.core.terminal import printable

if TYPE_CHECKING:
    from pocketvision.datasets.formats.detect import FoundData
    from pocketvision.doctor.check import Plan

_TASKS = ("detection", "segmentation", "classification")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pocketvision check-data",
        description="Read a whole data set and say what is wrong: images, annotations, classes, masks, "
        "copies across splits; for detection also what anchors reach, and which would fit.",
        epilog="Exit code 0: checked, and no errors (warnings are none). 1: errors in the data, or no check.",
    )
    parser.add_argument("source", metavar="PATH|CONFIG", help="a data set, or a config with data.root")
    parser.add_argument(
        "overrides", metavar="part.key=value", nargs="*", help="values of the config to change"
    )
    parser.add_argument(
        "--task", choices=_TASKS, help="where a folder fits several (default: what is found first)"
    )
    parser.add_argument("--full", action="store_true", help="decode every pixel of every image")
    parser.add_argument("--fix", type=Path, metavar="OUT", help="write a cleaned copy, which trains as it is")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="for the reports (default: out/check/NAME)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON report (default: DIR/report.json)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="HTML report (default: DIR/report.html)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_intermixed_args(argv)
    check_new(arguments.json, "--json")
    check_new(arguments.html, "--html")
    folder = Path(arguments.source).expanduser()
    if folder.exists() and folder.suffix != ".py":
        if arguments.overrides:
            raise InputError(
                f"{folder} is a data set: overrides such as {arguments.overrides[0]} need a config."
            )
        config = None
    elif len(folder.parts) > 1 and folder.suffix != ".py":
        raise InputError(f"There is no data folder {folder}: check the path.")
    else:
        config = find_config(arguments.source)

    sets = _find(folder, config, arguments.overrides, arguments.task, full=arguments.full)
    if len(sets) > 1 and (arguments.fix or arguments.json or arguments.html):
        raise InputError(
            "--fix, --json and --html are for one data set, and this config has several: give PATHs."
        )
    failed = [line for found, plan in sets if (line := _check(arguments, found, plan, len(sets) > 1))]
    if arguments.fix is not None or not failed:
        _say_next(arguments, is_config=config is not None)
    if failed:
        raise InputError(" ".join(failed))


def _check(arguments: argparse.Namespace, found: FoundData, plan: Plan, is_one_of_several: bool) -> str:
    """Check a data set, write its reports and its cleaned copy; what is wrong as a sentence, else nothing."""
    from pocketvision.doctor.check import examine
    from pocketvision.doctor.fixes.copy import check_output, write_fixed
    from pocketvision.doctor.report.html import report_html
    from pocketvision.doctor.report.text import report_text

    if arguments.fix is not None:
        check_output(found.layout.tree.root, arguments.fix)
    examination = examine(found, plan)
    report = examination.report
    json_file, html_file = _report_files(arguments, found.root, report.task if is_one_of_several else "")
    _write(json_file, json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    _write(html_file, report_html(report))
    print(_as_utf8(report_text(report)).decode())
    print(f"reports: {json_file}, {html_file}")
    if arguments.fix is not None:
        for line in write_fixed(examination, arguments.fix):
            print(f"fixed: {printable(line)}")
        print(f"cleaned copy: {arguments.fix}")
    if report.findings.num("error"):
        return f"{found.root} has {report.summary()}: {html_file} shows them, --fix writes a clean copy."
    return ""


def _say_next(arguments: argparse.Namespace, *, is_config: bool) -> None:
    """How to train on what was checked or, with ``--fix``, on its copy; as it is typed."""
    words = ["--data", str(arguments.fix or arguments.source)]
    if is_config and arguments.fix is None:
        words = [arguments.source, *arguments.overrides]
    elif arguments.task is not None:
        words += ["--task", arguments.task]
    print(f"next: {printable(shlex.join(['pocketvision', 'train', *words]))}")


def _report_files(arguments: argparse.Namespace, root: Path, task: str) -> tuple[Path, Path]:
    """Where the reports of the data set at ``root`` go, as JSON and as a page; one of several is in a folder
    of its task."""
    output = (arguments.output or Path("out", "check", root.resolve().name)) / task
    files = (output / "report.json", output / "report.html")
    if arguments.output is not None:  # which may be somebody's folder
        files = free_path(files[0]), free_path(files[1])
    return arguments.json or files[0], arguments.html or files[1]


def _as_utf8(text: str) -> bytes:
    """File names can have bytes that are no text: they are shown as escapes, which JSON reads too."""
    return text.encode("utf-8", "backslashreplace")


def _write(file: Path, text: str) -> None:
    from pocketvision.core.files import replacing

    with replacing(file) as temporary:
        temporary.write_bytes(_as_utf8(text))


def _find(
    folder: Path, config: Path | None, overrides: Sequence[str], task: str | None, *, full: bool
) -> list[tuple[FoundData, Plan]]:
    """The data set and what a config says of it; of several tasks, those of each."""
    from dataclasses import replace

    from pocketvision.datasets.formats.detect import detect_format
    from pocketvision.doctor.check import Plan

    if config is None:
        return [(detect_format(folder, task), Plan(full=full))]
    from pocketvision.runs.data_plan import plans_of
    from pocketvision.runs.folder import load_experiment

    experiment, _ = load_experiment(config, overrides)
    return [(found, replace(plan, full=full)) for found, plan in plans_of(experiment)]


if __name__ == "__main__":
    sys.exit(main())
