"""Covers datasets/images/cache_folder.py, datasets/images/cache_setup.py."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pocketvision.datasets.images.cache_setup import open_cache
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.read import Reading

PIXELS = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 80, 3)
ENTRY = 4 * 4096
"""Of 14,400 bytes and a header on the disk."""


class Decoder:
    def __init__(self, pixels: np.ndarray = PIXELS) -> None:
        self.pixels, self.calls = pixels, 0

    def __call__(self) -> Reading:
        self.calls += 1
        return Reading(self.pixels, (119, 157), (120, 160))


def source(folder: Path, name: str = "a.jpg", text: str = "x") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0]])
def test_decoded_once_and_kept_for_the_next_run(tmp_path: Path, pixels: np.ndarray) -> None:
    path, decode = source(tmp_path), Decoder(pixels)
    for _ in range(3):
        found, size, covers = ImageCache(tmp_path / "cache", 1 << 20).load(path, (1, 2), decode)
        assert (found == pixels).all() and size == (119, 157) and covers == (120, 160)
    assert decode.calls == 1
    ImageCache(tmp_path / "cache", 1 << 20).load(path, (3, 4), decode)
    assert decode.calls == 2  # kept for inputs of another size


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    cache, path = ImageCache(tmp_path / "cache", 1 << 20), source(tmp_path)
    cache.load(path, None, Decoder())
    changed = Decoder(PIXELS // 2)
    os.utime(path, ns=(1, 1))
    assert (cache.load(path, None, changed).pixels == PIXELS // 2).all() and changed.calls == 1
    source(tmp_path, text="longer")
    os.utime(path, ns=(1, 1))
    cache.load(path, None, changed)
    assert changed.calls == 2
    assert (cache.load(path, None, changed).pixels == PIXELS // 2).all() and changed.calls == 2


@pytest.mark.parametrize("length", [0, 10, 64, 1000, -1])
def test_a_damaged_entry_is_written_anew(tmp_path: Path, length: int) -> None:
    cache, path, decode = ImageCache(tmp_path / "cache", 1 << 20), source(tmp_path), Decoder()
    cache.load(path, None, decode)
    (entry,) = cache.folder.glob("??/*")
    entry.write_bytes(entry.read_bytes()[:length])
    assert (cache.load(path, None, decode).pixels == PIXELS).all() and decode.calls == 2
    assert (cache.load(path, None, decode).pixels == PIXELS).all() and decode.calls == 2


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[:13, :11], PIXELS[..., 0]])
def test_flipped_bits_are_noticed(tmp_path: Path, pixels: np.ndarray) -> None:
    cache, path, decode = ImageCache(tmp_path / "cache", 1 << 30), source(tmp_path), Decoder(pixels)
    cache.load(path, None, decode)
    (entry,) = cache.folder.glob("??/*")
    whole, rng = bytearray(entry.read_bytes()), np.random.default_rng(0)
    header = [8 * place + bit for place in range(88) for bit in (0, 7)]
    drawn = rng.integers(0, 8 * len(whole), 200).tolist()
    for calls, bit in enumerate([*header, *drawn, 8 * len(whole) - 1], start=1):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        entry.write_bytes(damaged)
        found = cache.load(path, None, decode)
        assert (found.pixels == pixels).all() and found.size == (119, 157) and decode.calls == calls + 1, bit
        assert entry.read_bytes() == whole, "and written anew"


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("??/*"))


def test_it_stays_below_its_size(tmp_path: Path) -> None:
    cache, decode = ImageCache(tmp_path / "cache", 5 * ENTRY), Decoder()
    paths = [source(tmp_path, f"{i}.jpg") for i in range(8)]
    for _ in range(2):
        assert all((cache.load(path, None, decode).pixels == PIXELS).all() for path in paths)
    assert decode.calls == 8 + 3 and size_of(cache.folder) <= cache.num_bytes
    smaller = ImageCache(cache.folder, 2 * ENTRY)
    assert smaller.make_room([(path, None) for path in paths]) == 2
    assert size_of(cache.folder) <= 2 * ENTRY


def test_other_data_sets_make_room_for_this_one(tmp_path: Path) -> None:
    cache, decode = ImageCache(tmp_path / "cache", 4 * ENTRY), Decoder()
    others = [source(tmp_path, f"other{i}.jpg") for i in range(4)]
    for age, path in enumerate(others):
        cache.load(path, None, decode)
        (entry,) = (file for file in cache.folder.glob("??/*") if file.stat().st_mtime_ns > 10**12)
        os.utime(entry, ns=(age, age))
    own = [source(tmp_path, f"{i}.jpg") for i in range(3)]
    assert cache.make_room([(path, None) for path in own]) == 0
    calls = decode.calls
    for path in [others[3], *own, *own]:
        cache.load(path, None, decode)
    assert decode.calls == calls + 3  # the newest of the others has stayed
    assert cache.make_room([(path, None) for path in own]) == 3


def test_what_a_killed_worker_leaves_is_removed(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 1 << 20)
    cache.load(source(tmp_path), None, Decoder())
    (entry,) = cache.folder.glob("??/*")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = (entry.with_name(f".x.{process}.part") for process in (ended.pid, os.getpid()))
    for file in (dead, living):
        file.write_bytes(b"half")
    cache.make_room([])
    assert not dead.exists() and living.exists()


def _load(cache: ImageCache, paths: list[str]) -> None:
    for path in paths:
        pixels = cache.load(path, None, Decoder(np.full((60, 80, 3), len(path), np.uint8))).pixels
        assert (pixels == len(path)).all()


def test_several_processes(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 30 * ENTRY)
    paths = [source(tmp_path, f"{'x' * i}.jpg") for i in range(1, 41)]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_load, args=(cache, paths)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert size_of(cache.folder) <= (30 + 3) * ENTRY
    assert not list(cache.folder.glob("??/*.part"))


class Owner:
    pass


def test_memory_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketvision.datasets.images.cache_setup._SHARED_MEMORY", tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"pocketvision-{ended.pid}-abc"
    left.mkdir()
    owner = Owner()
    cache = open_cache("ram", 0.001, [], owner)
    assert cache.folder.is_dir() and cache.folder.parent == tmp_path and not left.exists()
    cache.load(source(tmp_path), None, Decoder())
    if os.fork() == 0:
        del owner
        os._exit(0)
    os.wait()
    assert cache.folder.is_dir()
    del owner
    assert not cache.folder.exists()


def test_on_disk_it_is_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path))
    assert open_cache("disk", 1, [], Owner()) == ImageCache(tmp_path / "images", 1 << 30)
    with pytest.raises(ValueError, match="choose 'ram', 'disk' or None"):
        open_cache("tape", 1, [], Owner())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cache_gib is 0"):
        open_cache("disk", 0, [], Owner())


def test_a_full_disk_costs_only_speed(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    found = ImageCache(tmp_path / "cache", 1 << 20).load(source(tmp_path), None, Decoder())
    assert (found.pixels == PIXELS).all()
