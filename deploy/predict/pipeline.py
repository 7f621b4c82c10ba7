"""The work of the command ``predict``: sources in, files out, progress and a count of failures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress
from pocketvision.deploy.predict.frames import SourceFrame, count_frames, read_frames
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.writers import Writers


@dataclass
class Summary:
    """What was done: images or frames, boxes found, sentences about sources that failed, and the time."""

    num_images: int = 0
    num_found: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        rate = self.num_images / self.seconds if self.seconds else 0.0
        failed = f", {len(self.failures)} failed" if self.failures else ""
        boxes = f", {self.num_found} detections" if self.num_found else ""
        images = f"{self.num_images} image{'' if self.num_images == 1 else 's'}"
        return f"{images}{boxes}{failed} in {self.seconds:.1f} s ({rate:.1f} images/s)"


def predict_sources(
    predictor: Predictor, sources: Sequence[Source], writers: Writers, max_frames: int | None = None
) -> Summary:
    """Predict on all sources and write the results; Ctrl-C ends it in order.

    Raises:
        InputError: not one of the sources could be read.
    """
    summary = Summary()
    progress = Progress("predict", count_frames(sources, max_frames), "images")

    def failed(sentence: str) -> None:
        summary.failures.append(sentence)
        progress.say(f"skipped: {sentence}")

    frames = read_frames(sources, failed, max_frames, predictor.artifact.resize.pixels)
    with writers, progress:
        try:
            for batch in _batches(frames, predictor.batch_size):
                for frame, prediction in zip(batch, _predict(predictor, batch), strict=True):
                    writers.add(frame, prediction)
                    summary.num_images += 1
                    summary.num_found += 0 if prediction.boxes is None else len(prediction.boxes)
                progress.advance(summary.num_images + len(summary.failures) - progress.done)
        except KeyboardInterrupt:
            progress.say("stopped: what was seen so far is kept")
        if not summary.num_images and summary.failures:
            raise InputError(f"None of {len(sources)} images and videos could be read.")
    summary.seconds = time.perf_counter() - progress.start
    return summary


def _predict(predictor: Predictor, batch: Sequence[SourceFrame]) -> Iterator[Prediction]:
    predictions = predictor.predict([frame.image for frame in batch])
    for frame, prediction in zip(batch, predictions, strict=True):
        yield replace(prediction, path=frame.source.public_name, frame=frame.number)


def _batches(frames: Iterable[SourceFrame], size: int) -> Iterator[list[SourceFrame]]:
    iterator = iter(frames)
    while batch := list(islice(iterator, size)):
        yield batch
