"""Covers deploy/predict/video.py: a video is written whole or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.video import VideoFile, num_video_frames

FRAMES = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), dtype=np.uint8)


def write(folder: Path) -> Path:
    with VideoFile(folder, "a", 25.0, (240, 320)) as video:
        for frame in FRAMES:
            video.add(frame)
    return video.path


def test_all_frames_are_written(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert num_video_frames(Source("video", str(path))) == len(FRAMES) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("num_bytes", [4096, 200_000])
def test_a_full_disk_is_said_and_leaves_no_file(num_bytes: int, tmp_path: Path) -> None:
    """OpenCV says nothing: an empty video was left, with exit code 0."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(tmp_path)]
    if subprocess.run(options, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        with pytest.raises(OSError, match="of 30 frames were written"):
            write(tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], capture_output=True)
