"""Time and memory to open a COCO file of 100,000 images with 7 boxes each, with and without polygons.

    python benchmarks/coco_index.py [FOLDER]

The files (100 and 450 MB) and 100,000 empty images are made in FOLDER, or in a temporary one. Every opening
is a process of its own: the first writes the index, the second uses it. Seconds are those of read_coco
alone, by the clock and of the processor; the peak is the whole process's, imports included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from multiprocessing import Process
from pathlib import Path

import numpy as np
import orjson

NUM_IMAGES, BOXES, POLYGON = 100_000, 7, 72
CHILD = """
import resource, sys, time
from pocketvision.datasets import read_coco
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, used = time.perf_counter(), time.process_time()
records = read_coco(sys.argv[1], "train")
seconds, used = time.perf_counter() - start, time.process_time() - used
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{seconds:6.2f} s ({used:.2f} s CPU), peak {peak / 2**20:.2f} GiB ({before / 2**20:.2f} before)")
"""


def write_set(folder: Path, images: Path, polygons: bool) -> None:
    """``instances_train.json`` whose images are links to one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train").symlink_to(images, target_is_directory=True)
    rng = np.random.default_rng(0)
    sides = np.round(rng.uniform(8, 200, (NUM_IMAGES * BOXES, 4)), 2).tolist()
    shapes = np.round(rng.uniform(10, 600, (1000, POLYGON)), 2).tolist()
    annotations = [
        {
            "id": i + 1,
            "image_id": i // BOXES + 1,
            "category_id": i % 80 + 1,
            "bbox": box,
            "area": round(box[2] * box[3], 3),
            "iscrowd": 0,
            "segmentation": [shapes[i % 1000]] if polygons else [],
        }
        for i, box in enumerate(sides)
    ]
    content = {
        "images": [
            {"id": i, "file_name": f"{i:012}.jpg", "height": 480, "width": 640}
            for i in range(1, NUM_IMAGES + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, 81)],
    }
    (folder / "instances_train.json").write_bytes(orjson.dumps(content))


def measure(folder: Path) -> None:
    environment = {**os.environ, "POCKETVISION_CACHE": str(folder / "cache")}
    size = (folder / "instances_train.json").stat().st_size / 1e6
    for title in ("first", "second"):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(folder)], env=environment, check=True, capture_output=True
        )
        print(f"{folder.name:9} {size:4.0f} MB, {title:6} {done.stdout.decode().strip()}", flush=True)
    index = sum(file.stat().st_size for file in (folder / "cache").rglob("*.arrays")) / 1e6
    print(f"{folder.name:9} index {index:.0f} MB")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        images = Path(name, "images")
        images.mkdir()
        for i in range(1, NUM_IMAGES + 1):
            (images / f"{i:012}.jpg").touch()
        for title in ("boxes", "polygons"):
            # In a process of its own: a child's peak begins with its parent's size.
            writer = Process(target=write_set, args=(Path(name, title), images, title == "polygons"))
            writer.start()
            writer.join()
            measure(Path(name, title))


if __name__ == "__main__":
    main()
