"""How training samples are loaded: what is kept decoded, and how many may be unreadable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB
from pocketvision.datasets.failures import FailedSamples
from pocketvision.datasets.images.cache_setup import CacheKind, open_cache
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import use_one_thread


@dataclass
class Loading:
    """Prepares data sets for training; evaluation has neither a cache nor tolerance.

    Attributes:
        strict: the first sample that can't be loaded ends the training. Otherwise such samples are named
            in the log and others take their place, up to 1 % of the set, and one in a smaller set.
        cache: where decoded images are kept, at the resolution that training needs: "ram" (shared by the
            workers, gone with the run), "disk" (in the cache folder, also for later runs) or None.
        cache_gib: how much it may hold; what does not fit is decoded again in every epoch.
    """

    strict: bool = False
    cache: CacheKind | None = None
    cache_gib: float = 8.0
    _opened: ImageCache | None = None

    def prepare(self, dataset: SampleDataset[Any, Any, Any], owner: object) -> None:
        """Give ``dataset`` its counter of failures and its cache, which lives as long as ``owner``."""
        dataset.failures = FailedSamples(len(dataset), strict=self.strict)
        if self.cache is None:
            return
        if dataset.resize.pixels != RGB:
            raise InputError("data.cache keeps 8-bit RGB pictures only: leave it out for other channels.")
        if self._opened is None:
            self._opened = open_cache(self.cache, self.cache_gib, dataset.cached_files(), owner)
        dataset.cache = self._opened


def loader_options(num_workers: int, collate: Callable[..., Any]) -> dict[str, Any]:
    """What all loaders of a data module have in common."""
    return {
        "num_workers": num_workers,
        "collate_fn": collate,
        "persistent_workers": bool(num_workers),
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": use_one_thread,
    }
