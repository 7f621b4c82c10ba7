"""Covers core/torch_files.py.

Weights files made to harm: code, paths, sizes. Refused in a sentence, at once, and nothing happens.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.core.weights import count_numbers, read_passport, read_state_dict, save_weights

HUGE = 1 << 60


def small_model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.fixture(autouse=True)
def no_time_and_no_memory() -> Iterator[None]:
    """Whatever a file claims, opening it takes less than 5 s and 100 MB."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert time.process_time() - start < 5


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_state_dict(path)
    sentence = str(error.value)
    assert path.name in sentence and "\n" not in sentence
    return sentence


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, kind: str, suffix: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"evil{suffix}"
    content = {"0.weight": torch.zeros(1), "x": Evil(f"touch {mark}")}
    if kind == "bare":
        path.write_bytes(pickle.dumps(content["x"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    refused(path)
    assert not mark.exists()
    if kind == "bare":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path.rename(tmp_path / "evil"), weights_only=False)
    assert mark.exists(), "the file would have done it"


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_weights(path, small_model(), {"task": "detection"})
    else:
        torch.save(small_model().state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for size in {*range(0, len(whole), 101), *range(16), *(len(whole) - i for i in range(1, 20))}:
        path.write_bytes(whole[:size])
        refused(path)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(small_model().state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for position in range(0, len(whole), 47):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            state = read_state_dict(path)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert all(value.numel() < 1000 for value in state.values())


def rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes]], packed: bool = False) -> Path:
    """A torch file whose records were changed."""
    torch.save(OrderedDict(a=torch.zeros(1 << 20)), path)
    with zipfile.ZipFile(path) as archive:
        records = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for record in records:
            archive.writestr(*change(*record))
    return path


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "w/../../escaped", "..\\escaped", "C:/escaped"]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = rewritten(tmp_path / "w.pth", lambda record, data: (record, data))
    assert read_state_dict(path)["a"].shape == (1 << 20,)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"out")
    assert "leads out of it" in refused(path)


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    """What would be 4 MB here could be terabytes."""
    path = rewritten(tmp_path / "w.pth", lambda record, data: (record, data), packed=True)
    assert path.stat().st_size < 10_000
    assert "claims to hold more than its size" in refused(path)


def test_records_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """An archive's directory can list the same megabytes a thousand times."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1 << 18)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        entry = next(e for e in archive.infolist() if e.filename.endswith("data/0"))
        archive.filelist.extend([entry] * 1000)
        archive._didModify = True  # type: ignore[attr-defined]
    assert "claims to hold more than its size" in refused(path)


@pytest.mark.parametrize("claimed", [1 << 21, 1 << 34, HUGE])
@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_storage_that_claims_more_than_there_is(tmp_path: Path, kind: str, claimed: int) -> None:
    """torch alone reads past the end of what it has."""
    path = tmp_path / "w.pth"
    number = b"J" + struct.pack("<i", 1 << 20)

    def longer(record: str, data: bytes) -> tuple[str, bytes]:
        return record, data.replace(number, b"\x8a\x08" + struct.pack("<q", claimed))

    if kind == "zip":
        rewritten(path, longer)
    else:
        torch.save(OrderedDict(a=torch.zeros(1 << 20)), path, _use_new_zipfile_serialization=False)
        path.write_bytes(longer("", path.read_bytes())[1])
    refused(path)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(1 << 40),
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(3, device="meta"),
    ],
)
def test_tensors_that_are_no_plain_numbers(tmp_path: Path, value: torch.Tensor) -> None:
    torch.save({"a": value}, tmp_path / "w.pth")
    assert "plain tensors" in refused(tmp_path / "w.pth")


def test_keys_that_are_no_names(tmp_path: Path) -> None:
    for content in ({1: torch.zeros(1)}, {"state_dict": {1: "x"}}):
        torch.save(content, tmp_path / "w.pth")
        refused(tmp_path / "w.pth")


def safetensors(path: Path, header: Any, size: int | None = None, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({}, HUGE),
        ({}, 1 << 26),
        ({"a": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}, None),
        ({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}, None),
        ({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}, None),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, None),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
    ],
)
def test_headers_of_safetensors(tmp_path: Path, header: Any, size: int | None) -> None:
    path = safetensors(tmp_path / "w.safetensors", header, size, bytes(4))
    refused(path)
    for read in (read_passport, count_numbers):
        with pytest.raises(InputError, match="broken"):
            read(path)


@pytest.mark.parametrize("text", ["{", "[1]", "3", "[" * 100_000])
def test_a_passport_that_is_none(tmp_path: Path, text: str) -> None:
    path = safetensors(tmp_path / "w.safetensors", {"__metadata__": {"pocketvision": text}})
    with pytest.raises(InputError, match="has a passport that can't be read"):
        read_passport(path)


def test_numbers_are_counted_from_the_header(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", small_model(), {})
    expected = sum(value.numel() for value in small_model().state_dict().values())
    assert count_numbers(tmp_path / "w.safetensors") == expected
