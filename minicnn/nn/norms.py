"""Layers that normalise responses."""

from __future__ import annotations

from .. import ops
from ..engine.settings import real, whole
from ..engine.tensor import Tensor
from .module import Module

__all__ = ["LocalResponseNorm", "MapResponseNorm"]


class LocalResponseNorm(Module):
    """``ops.local_response_norm`` with the paper's constants."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0):
        name = type(self).__name__
        self.size = whole(name, "size", size, least=1)
        self.alpha, self.beta, self.k = (real(name, setting, value)
                                         for setting, value in (("alpha", alpha), ("beta", beta), ("k", k)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return ops.local_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)


class MapResponseNorm(LocalResponseNorm):
    """``ops.map_response_norm`` with the constants of the authors' program."""

    def __init__(self, size: int = 5, alpha: float = 4e-5, beta: float = 0.75, k: float = 1.0):
        super().__init__(size, alpha, beta, k)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return ops.map_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)
