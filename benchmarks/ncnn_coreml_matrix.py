"""Every config as ncnn and as Core ML on real images, against the model in PyTorch, as a Markdown table.

    python benchmarks/ncnn_coreml_matrix.py SHARED OUTPUT.md [CONFIG ...] [--folder FOLDER] [--images 4]

Models and images are those of export_matrix.py. ncnn's files are run by ncnn. Core ML's packages are made in
one process of the converters' environment, as its imports take longer than a conversion; they are read back
and computed operator by operator in float16. Where a format can't be written the row has the sentence.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from settled import Case, cases

from pocketvision.core.command import shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.deploy.converters import process
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.mil_program import MilRuntime, read_listing
from pocketvision.deploy.runtimes.mil_structure import check_structure
from pocketvision.deploy.runtimes.opening import open_runtime

HEADER = "| config | form | difference | MB | operators | remark |\n" + "|---" * 6 + "|"
ALL_AT_ONCE = """
import json, sys, traceback
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import coreml_script
for request in sys.argv[2:]:
    sys.argv[1] = request
    try:
        coreml_script.main()
    except Exception as error:
        report = json.loads(Path(request).read_text())["report"]
        Path(report).write_text(json.dumps({"error": " ".join(str(error).split())[:200]}))
    print(request, flush=True)
"""


def ncnn_row(case: Case, folder: Path) -> str:
    path = folder / f"{case.name}.param"
    start = time.perf_counter()
    try:
        export_model(case.model, "ncnn", path)
    except InputError as error:
        return f"| `{case.name}` | ncnn | | | | {error} |"
    seconds = time.perf_counter() - start
    gap = case.difference(open_runtime(path, threads=1))
    size = sum(file.stat().st_size for file in written_files(path)) / 1e6
    layers = len(path.read_text().splitlines()) - 2
    for file in written_files(path):
        file.unlink()
    return f"| `{case.name}` | ncnn | {gap} | {size:.2f} | {layers} | {seconds:.0f} s |"


def request_coreml(case: Case, folder: Path) -> Path:
    """Write the program and what is to become of it; the request's file."""
    artifact = replace(describe(case.model), batch=1)
    program = trace(make_graph(case.model), replace(artifact, input_type="float"))
    program.example_inputs = None
    names = {"program": ".pt2", "package": ".mlpackage", "output": ".npz", "report": ".json"}
    paths = {key: str(folder / f"{case.name}{suffix}") for key, suffix in names.items()}
    torch.export.save(program, paths["program"])
    request = folder / f"{case.name}.request.json"
    options = {"outputs": artifact.outputs, "takes_image": True, "licence": "", "description": ""}
    metadata = {"pocketvision": artifact.to_json()}
    request.write_text(json.dumps({**paths, **options, "metadata": metadata}))
    return request


def coreml_row(case: Case, folder: Path) -> str:
    report = json.loads((folder / f"{case.name}.json").read_text())
    if "error" in report:
        return f"| `{case.name}` | coreml | | | | {report['error']} |"
    package = folder / f"{case.name}.mlpackage"
    program = read_listing(folder / f"{case.name}.npz")
    checks = check_structure(program, make_graph(case.model), package)
    wrong = [text for text, passed in checks if not passed]
    gap = "" if wrong else case.difference(MilRuntime(program, package))
    size = sum(file.stat().st_size for file in written_files(package)) / 1e6
    remark = wrong[0] if wrong else checks[-1].text
    return f"| `{case.name}` | coreml | {gap} | {size:.2f} | {len(program.operators)} | {remark} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("configs", nargs="*", default=None)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/ncnn_coreml_matrix"))
    parser.add_argument("--images", type=int, default=4)
    arguments = parser.parse_args(argv)
    logging.getLogger("pocketvision").setLevel(logging.WARNING)
    names = arguments.configs or list(shipped_configs())
    python, folder = converter_python(Converters()), arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", encoding="utf-8") as file:
        print(HEADER, file=file)
        requests = []
        for case in cases(arguments.shared, names, arguments.images):
            print(ncnn_row(case, folder), file=file, flush=True)
            requests.append(str(request_coreml(case, folder)))
        scripts = str(Path(process.__file__).parent)
        subprocess.run([python, "-c", ALL_AT_ONCE, scripts, *requests], check=True)
        for case in cases(arguments.shared, names, arguments.images):
            print(coreml_row(case, folder), file=file, flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
