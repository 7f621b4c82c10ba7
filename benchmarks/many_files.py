"""Time of check-data for a YOLO set of 200,000 small files: 100,000 JPEGs of 128x96 and as many labels.

    python benchmarks/many_files.py [FOLDER]

The files are made in FOLDER, or in a temporary one. Seconds are those of the whole command, start included,
with the files in the system's cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
NUM_IMAGES, NUM_PICTURES = 100_000, 500


def write_set(root: Path) -> None:
    rng = np.random.default_rng(0)
    smalls = rng.integers(0, 256, (NUM_PICTURES, 6, 8, 3), dtype=np.uint8)
    resized = (cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC) for small in smalls)
    pictures = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in resized]
    images, labels = root / "images" / "train", root / "labels" / "train"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for i in range(NUM_IMAGES):
        (images / f"{i:06}.jpg").write_bytes(pictures[i % NUM_PICTURES])
        left = 0.3 + 0.4 * (i % 97) / 97
        (labels / f"{i:06}.txt").write_text(f"{i % 3} {left:.5f} 0.5 0.25 0.3\n1 0.7 0.6 0.2 0.2\n")
    (root / "data.yaml").write_text("names: [a, b, c]\ntrain: images/train\n")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        root = Path(name)
        write_set(root / "set")
        command = [sys.executable, str(ROOT / "tools" / "check_data.py"), str(root / "set")]
        start = time.perf_counter()
        subprocess.run([*command, "--output", str(root / "report")], check=True, stdout=subprocess.DEVNULL)
        print(f"{time.perf_counter() - start:.1f} s for {2 * NUM_IMAGES} files")


if __name__ == "__main__":
    main()
