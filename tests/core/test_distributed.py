"""Sums over two processes of gloo against the joint numbers; one process changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from pocketvision.core.distributed import (
    any_process,
    joint_normalizer,
    max_over_processes,
    mean_over_processes,
    merge_processes,
    num_processes,
    process_index,
    share_buffers,
)

PROCESS = """
import sys
from collections import Counter
import torch
from torch import distributed, nn
from pocketvision.core.distributed import (
    any_process, joint_normalizer, max_over_processes, mean_over_processes, merge_processes, num_processes,
    process_index, share_buffers,
)

class Count:
    def __init__(self, images):
        self.images = images
    def merge(self, other):
        self.images += other.images

rank = int(sys.argv[1])
distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
assert (num_processes(), process_index()) == (2, rank)
assert joint_normalizer(torch.tensor((3, 5)[rank])) == 4.0
assert joint_normalizer(torch.tensor(0)) == 1.0
assert joint_normalizer(torch.tensor((0.25, 0.5)[rank]), least=1.0) == 0.5
assert joint_normalizer(torch.tensor((0.25, 1.75)[rank]), least=1.0) == 1.0
own = torch.tensor((3.0, 5.0)[rank])
assert joint_normalizer(own) == 4.0 and own == (3.0, 5.0)[rank]
values = torch.tensor([1.0, 2.0]) + rank
assert mean_over_processes(values).tolist() == [1.5, 2.5] and values[0] == 1.0 + rank
assert max_over_processes((7, 4)[rank], torch.device("cpu")) == 7
assert any_process(rank == 1, torch.device("cpu")) and not any_process(False, torch.device("cpu"))
norm = nn.BatchNorm2d(2)
norm.running_mean.fill_(rank + 1.0)
share_buffers(norm)
assert norm.running_mean.tolist() == [1.0, 1.0]
count = Count((10, 20)[rank])
merge_processes(count)
assert count.images == 30
distributed.destroy_process_group()
"""


def test_two_processes_agree(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "meeting")] for rank in range(2)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said


def test_one_process_changes_nothing() -> None:
    assert (num_processes(), process_index()) == (1, 0)
    assert joint_normalizer(torch.tensor(3)) == 3.0 and joint_normalizer(torch.tensor(0)) == 1.0
    assert joint_normalizer(torch.tensor(0.25), least=1.0) == 1.0
    values = nn.Parameter(torch.tensor([1.0, 2.0]))
    mean = mean_over_processes(values)
    assert mean.tolist() == [1.0, 2.0] and not mean.requires_grad
    mean[0] = 5.0
    assert values[0] == 1.0
    assert max_over_processes(7, torch.device("cpu")) == 7
    assert any_process(True, torch.device("cpu")) and not any_process(False, torch.device("cpu"))
    norm = nn.BatchNorm2d(2)
    share_buffers(norm)
    assert norm.running_mean is not None and norm.running_mean.tolist() == [0.0, 0.0]
    count = Counter(images=10)
    merge_processes(count)
    assert count == {"images": 10}
