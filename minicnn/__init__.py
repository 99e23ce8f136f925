"""minicnn: a deep-learning engine written from scratch, to be read, trained with and trusted.

Five ideas: an array lives somewhere; a kernel is a loop over arrays; an op returns its value and a pullback
for each input; a tensor remembers the op that made it; a model is a list of layers.
"""

__version__ = "0.1.0"

from . import models, nn, ops, optim
from .engine.device import cpu, cuda, device
from .engine.dlpack import from_dlpack
from .engine.memory import keep_memory
from .engine.mode import no_grad
from .engine.tensor import Tensor
from .gradcheck import GradientError, gradcheck
from .nn import manual_seed
from .ops import dispatch  # noqa: F401 - tensors as Python's operators and NumPy's functions meet them
from .trace import trace

__all__ = [
    "GradientError", "Tensor", "cpu", "cuda", "device", "from_dlpack", "gradcheck", "keep_memory", "manual_seed",
    "models", "nn", "no_grad", "ops", "optim", "trace",
]  # fmt: skip
