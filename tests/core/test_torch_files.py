"""PyTorch's own files: what a user has told torch of is left as it was."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from pocketvision.core.torch_files import read_torch_file


def write(file: Path) -> Path:
    torch.save({"args": argparse.Namespace(lr=0.1), "w": torch.ones(2)}, file)
    return file


def test_what_the_user_listed_as_safe_stays_listed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pth")
    with torch.serialization.safe_globals([argparse.Namespace]):
        assert set(read_torch_file(file)) == {"args", "w"}
        assert argparse.Namespace in torch.serialization.get_safe_globals()
    read_torch_file(file)
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_threads_do_not_strike_out_each_other_s_types(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pth")
    with ThreadPoolExecutor(8) as pool:
        assert all(set(read) == {"args", "w"} for read in pool.map(read_torch_file, [file] * 200))
