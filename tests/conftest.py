"""One thread per test process: the tests are small, and `pytest -n auto` brings a process per core."""

import torch

torch.set_num_threads(1)
