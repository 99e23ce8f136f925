"""Models: lists of layers."""

from .alexnet import VARIANTS, AlexNet, alexnet

__all__ = ["VARIANTS", "AlexNet", "alexnet"]
