"""The devices of tests about cards, and what needs a real one."""

import pytest
import torch

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
