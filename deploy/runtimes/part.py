"""One task of an exported model of several, as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pocketvision.deploy.runtimes.protocol import Runtime


class PartRuntime(Runtime):
    """The part for ``task`` of what ``whole`` runs: its outputs by the names that they have alone."""

    def __init__(self, whole: Runtime, task: str) -> None:
        part = next(part for part in whole.artifact.parts if part.task == task)
        super().__init__(part, whole.name)
        self.whole = whole

    def run(self, images: Any) -> Sequence[Any]:
        outputs = self.whole._outputs(images)
        return list(self.whole.artifact.outputs_of(self.artifact, outputs).values())

    def _checked(self, images: Any) -> Any:
        return images  # the whole does it

    def _run_all(self, batch: Any) -> Sequence[Any]:
        return self.run(batch)
