"""PyTorch's own exported programs."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.protocol import Runtime, broken


class Pt2Runtime(Runtime):
    """A .pt2 file of ours, run by PyTorch; ``threads`` are those of the whole process.

    Raises:
        InputError: the file is broken or not ours.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        if not zipfile.is_zipfile(path):
            raise broken(path, ValueError("it is no archive"))
        extra_files = {METADATA_KEY: ""}
        try:
            program = torch.export.load(path, extra_files=extra_files)
        except Exception as error:  # anything that its reader trips over
            raise broken(path, error) from error
        super().__init__(Artifact.from_json(extra_files[METADATA_KEY], str(path)))
        self.module = program.module()

    @torch.inference_mode()
    def run(self, images: Tensor) -> Sequence[Tensor]:
        outputs: tuple[Tensor, ...] = self.module(images.cpu())
        return outputs
