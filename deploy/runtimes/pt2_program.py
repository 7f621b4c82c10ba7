"""PyTorch's own exported programs."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.devices import CPU, torch_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken
from pocketvision.deploy.runtimes.pt2_archive import UnsafeArchiveError, check_archive


class Pt2Runtime(Runtime):
    """A .pt2 file of ours, run by PyTorch; ``threads`` are those of the whole process.

    Raises:
        InputError: the file is broken, not ours, or holds what could run code of its own.
    """

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        self.device = torch_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        if not zipfile.is_zipfile(path):
            raise broken(path, ValueError("it is no archive"))
        extra_files = {METADATA_KEY: ""}
        try:
            check_archive(path)
            program = torch.export.load(path, extra_files=extra_files)
            program._guards_code = []  # would be run as code; the metadata say what it takes
            if self.device.type != CPU:
                program = move_to_device_pass(program, self.device)
            module = program.module()
        except UnsafeArchiveError as error:
            raise InputError(
                f"{path} is not opened, as it could run code of its own ({error}): export it again."
            ) from error
        except Exception as error:  # anything that its reader trips over
            raise broken(path, error) from error
        super().__init__(Artifact.from_json(extra_files[METADATA_KEY], str(path)), str(path))
        self.module = module

    @torch.inference_mode()
    def run(self, images: Tensor) -> Sequence[Tensor]:
        outputs: tuple[Tensor, ...] = self.module(images.to(self.device))
        return outputs
