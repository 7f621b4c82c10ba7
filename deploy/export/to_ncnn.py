"""ncnn models (.param, .bin and .json): converted by pnnx, which reads TorchScript."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.ncnn_net import FILES, IMAGES, NcnnRuntime, hash_file, unknown_layers

PARTS = (".bin", ".json", ".param")
"""The files of a model, in the order in which they get their names: the one that is opened comes last."""
_MAX_REASON = 300
_TOLERANCE = 0.01
"""Share of the largest output by which a graph may be off: rounding is a thousandth of that."""


def write_ncnn(graph: nn.Module, artifact: Artifact, path: Path) -> str:
    """Write ``graph`` in float32 for one image (3, H, W) float32 in 0..255 a call; returns a summary.

    ncnn knows no uint8. The format has no place for metadata: they are in the .json beside it, with the
    hashes of both other files.

    Raises:
        InputError: a package is missing, the model can't be traced, or ncnn lacks an operator.
    """
    pnnx = optional("pnnx")
    optional("ncnn")
    artifact = replace(artifact, batch=1, input_type="float")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        made = Path(folder) / f"model{path.suffix}"
        images = probe_image(artifact.resize.pixels.channels, artifact.image_size)
        outputs = _convert(graph, images, artifact, pnnx.EXEC_PATH, made)
        hashes = {file.suffix: hash_file(file) for file in (made, made.with_suffix(".bin"))}
        values = {METADATA_KEY: json.loads(artifact.to_json()), FILES: hashes}
        made.with_suffix(".json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        _check(NcnnRuntime(made), images, outputs)
        count = len(made.read_text(encoding="utf-8").splitlines()) - 2
        publish(made, path)
    return f"{count} operators, by pnnx {pnnx.__version__}"


def probe_image(channels: int, size: Size) -> Tensor:
    """An image (1, channels, H, W) in 0..255 to compare with: noise of several scales, as pictures have it.

    A deep net amplifies its rounding on white noise, which is like no picture: 1.5 % of the largest output
    where this gives 0.003 % (LR-ASPP on V3-Large, 1024x2048).
    """
    generator = torch.Generator().manual_seed(0)
    layers = [
        F.interpolate(
            torch.rand(1, channels, *(max(2, side // scale) for side in size), generator=generator),
            size,
            mode="bilinear",
        )
        for scale in (64, 16, 4, 1)
    ]
    return torch.stack(layers).mean(dim=0) * 255


def publish(made: Path, path: Path) -> None:
    """Move the files of a model to their final names: all of them or, where the disk refuses one, none."""
    moved: list[Path] = []
    try:
        for suffix in PARTS:
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
            moved.append(path.with_suffix(suffix))
    except OSError:
        for file in moved:
            file.unlink(missing_ok=True)
        raise


def _convert(
    graph: nn.Module, images: Tensor, artifact: Artifact, program: str, made: Path
) -> Sequence[Tensor]:
    """Let pnnx write .param and .bin of ``graph``; returns what it answers to ``images``."""
    shape = ",".join(map(str, images.shape))
    _script(graph, artifact, images).save(str(made.with_name("graph.pt")))
    command = [program, "graph.pt", f"inputshape=[{shape}]f32", "fp16=0"]
    done = subprocess.run(command, cwd=made.parent, capture_output=True, text=True, errors="replace")
    written = made.with_name("graph.ncnn.param")
    if done.returncode or not written.is_file():
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"pnnx can't convert this model ({lines[-1][:_MAX_REASON]}): choose another format.")
    text = written.read_text(encoding="utf-8")
    missing = unknown_layers(text)
    if missing:
        raise InputError(f"ncnn has no operator for {', '.join(missing)}: choose another format.")
    for index, name in enumerate(artifact.outputs):
        text = re.sub(rf"\bout{index}\b", name, text)
    made.write_text(re.sub(r"\bin0\b", IMAGES, text), encoding="utf-8")
    made.with_name("graph.ncnn.bin").replace(made.with_suffix(".bin"))
    with torch.inference_mode():
        outputs: Sequence[Tensor] = graph(images)
    return outputs


def _script(graph: nn.Module, artifact: Artifact, images: Tensor) -> torch.jit.ScriptModule:
    """``graph`` as TorchScript, which PyTorch calls outdated.

    It is made of the exported program, whose sizes are numbers: pnnx does not compute windows from shapes.
    """
    program = trace(graph, artifact).module()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(  # type: ignore[no-untyped-call]
            program, (images,), check_trace=False
        )
    assert isinstance(script, torch.jit.ScriptModule)
    return script


def _check(runtime: NcnnRuntime, images: Tensor, outputs: Sequence[Tensor]) -> None:
    """Refuse a graph that answers otherwise: pnnx converts by patterns, and ncnn has no batch axis."""
    for name, expected in zip(runtime.artifact.outputs, outputs, strict=True):
        try:
            found = runtime(images)[name]
            is_same = (found - expected).abs().max() <= _TOLERANCE * max(1.0, float(expected.abs().max()))
        except InputError:  # it answers in another shape
            is_same = torch.tensor(False)
        if not is_same:
            raise InputError(
                f"pnnx made a graph whose {name} is not PyTorch's: choose another format, or another version "
                "of pnnx."
            )
