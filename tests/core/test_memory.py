"""Freed memory is used again without new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from pocketvision.core.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
def use():
    np.empty(100 << 20, np.uint8).fill(1)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_a_block_of_the_same_size_needs_no_new_pages() -> None:
    def num_faults(mode: str) -> int:
        command = [sys.executable, "-c", FAULTS, mode]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert num_faults("keep") < 20 < num_faults("as it is")


def test_another_c_library_is_left_alone() -> None:
    script = (
        "import platform; platform.libc_ver = lambda *a: ('', '')\n"
        "import ctypes; ctypes.CDLL = None\n"
        "from pocketvision.core.memory import keep_freed_memory; keep_freed_memory()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
