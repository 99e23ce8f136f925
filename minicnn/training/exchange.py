"""The gradients of a batch, added up over the ranks: in buckets, as backward makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine.device import Device
from ..engine.memory import Array, batch_last
from ..engine.observers import Observer
from ..engine.tensor import Tensor, wrap
from .parallel import Ranks

__all__ = ["Exchange"]

BUCKET = 2**22  # bytes: a gradient as large goes by itself, in place; smaller ones are packed until there are as many


class Exchange(Observer):
    """Adds up, over the ranks, the gradients of ``parameters``, by name.

    While it looks on at backward, each bucket sets out as soon as its gradients are whole and those before it are on
    their way. All ranks must send the same buckets in the same order, so this is the one in which the gradients of
    the first rank with an image came together in the first batch, which itself sets out when backward has ended. Of
    AlexNet the fully connected layers come first: 96 % of the bytes, with nearly all of backward's work still to be
    done.
    """

    def __init__(self, parameters: Mapping[str, Tensor], ranks: Ranks):
        self.parameters, self.ranks = parameters, ranks
        self._names = {id(p): name for name, p in parameters.items()}
        self._buckets: list[list[str]] = []  # known after the first batch
        self._come: dict[str, Array] = {}  # of this batch, the gradients that are whole, in the order of their coming
        self._sent: list[tuple[list[str], Array]] = []  # what is on its way: its names, and the flat memory of all

    def leaf_done(self, leaf: Tensor, gradient: Array) -> None:
        """See ``Observer``."""
        name = self._names.get(id(leaf))
        if name is not None:
            self._come[name] = _flat(gradient)
            self._send_what_is_whole()

    def begin(self) -> None:
        """Forget what is left of a batch that failed."""
        self._come, self._sent = {}, []

    def finish(self) -> None:
        """Send what has not been sent, also where there was no image and so no gradient, and go on when all sums are
        there, in ``parameter.grad``. Raises what ``Ranks.wait`` raises."""
        if not self._buckets:
            self._buckets = self._in_buckets(self._agreed(list(self._come or self.of_part())))
        for name in (name for bucket in self._buckets for name in bucket):
            if name not in self._come:
                self._come[name] = _flat(self._gradient(name))
        self._send_what_is_whole()
        self.ranks.wait()
        for names, flat in self._sent:
            if len(names) > 1:
                self._unpack(names, flat)

    def finish_in_order(self, parts: list[dict[str, Array]]) -> None:
        """The same for the gradients of the parts of a batch, see ``of_part``: added up one by one, in the order of the
        parts over all ranks."""
        self.forget()
        for name in self._agreed([name for part in parts[:1] for name in part]):
            self.ranks.sum_in_order([_flat(part[name]) for part in parts], _flat(self._gradient(name)))
        self.ranks.wait()

    def of_part(self) -> dict[str, Array]:
        """The gradients that there are now, by name."""
        return {name: self._gradient(name) for name, p in self.parameters.items() if p.grad is not None}

    def forget(self) -> None:
        """The gradients that there are now are none of this batch."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def _agreed(self, names: list[str]) -> list[str]:
        """The names of the first rank that has any."""
        return next((some for some in self.ranks.gather(names) if some), [])

    # -- buckets -------------------------------------------------------------------------------------------------------

    def _in_buckets(self, names: list[str]) -> list[list[str]]:
        """Names next to each other, as many as make a bucket, in every rank of one device and precision."""
        buckets: list[list[str]] = []
        room, kind = 0, None
        own = [(str(self.parameters[name].device), str(self.parameters[name].dtype)) for name in names]
        for name, each in zip(names, zip(*self.ranks.gather(own), strict=True), strict=True):
            size = self.parameters[name].data.nbytes
            if size > room or kind != each:
                buckets.append([])
                room, kind = BUCKET, each
            buckets[-1].append(name)
            room -= size
        return buckets

    def _send_what_is_whole(self) -> None:
        for names in self._buckets[len(self._sent):]:
            if any(name not in self._come for name in names):
                return
            parts = [self._come[name] for name in names]
            with self._device(names):
                flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
            self.ranks.all_reduce(flat)
            self.ranks.sent["gradients"] += 2 * (self.ranks.size - 1) * flat.nbytes // self.ranks.size
            self._sent.append((names, flat))

    def _unpack(self, names: list[str], flat: Array) -> None:
        with self._device(names):
            ends = np.cumsum([self._come[name].size for name in names])
            for name, part in zip(names, np.split(flat, ends[:-1].tolist()), strict=True):
                self._come[name][...] = part

    def _device(self, names: list[str]) -> Device:
        return self.parameters[names[0]].device

    def _gradient(self, name: str) -> Array:
        """Of a parameter; of one that has none, as without an image, zeros."""
        parameter = self.parameters[name]
        if parameter.grad is None:
            with parameter.device as device:
                parameter.grad = wrap(np.zeros_like(parameter.data), device)
        gradient: Any = parameter.grad
        array: Array = gradient.writable()
        return array


def _flat(gradient: Array) -> Array:
    """The memory of a gradient, as it lies."""
    return batch_last(gradient).reshape(-1)
