"""OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy.typing as npt

from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.devices import CPU, openvino_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken


@cache
def openvino_core() -> Any:
    """The ``openvino.Core`` of this process.

    Its CPU plugin swaps the signal stack of the thread. Plugins that go in the order in which they came
    leave one behind that is freed, and the next signal ends the process; so there is one, which stays.

    Raises:
        InputError: openvino is missing.
    """
    return optional("openvino").Core()


class OpenVinoRuntime(Runtime):
    """An OpenVINO IR of ours: an .xml file beside its .bin.

    A request answers one call at a time, so threads that ask at once have one each.

    Raises:
        InputError: openvino is missing, the file is broken or not ours.
    """

    takes_arrays = True

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        core = openvino_core()
        place = openvino_device(device)
        # Without the precision, processors with bfloat16 would use it.
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None and place == "CPU":
            options["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model = core.read_model(path)
            has_metadata = model.has_rt_info(METADATA_KEY)
            text = model.get_rt_info(METADATA_KEY).astype(str) if has_metadata else None
            artifact = Artifact.from_json(text, str(path))
            compiled = core.compile_model(model, place, options)
        except (RuntimeError, UnicodeDecodeError) as error:  # the latter of the metadata's text
            raise broken(path, error) from error
        super().__init__(artifact, str(path))
        self.compiled = compiled
        self.idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        try:
            request = self.idle.get_nowait()
        except Empty:
            request = self.compiled.create_infer_request()
        try:
            found = request.infer({0: images}, share_inputs=True)
            return [found[index] for index in range(len(self.artifact.outputs))]
        finally:
            self.idle.put(request)
