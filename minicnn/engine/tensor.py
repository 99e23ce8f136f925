"""The engine: a tensor is an array that remembers the op that made it, and ``backward()`` walks that memory.

It knows no op; ``op.py`` says what one is.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .backward import Node, Pullback, needed_by, walk_back
from .device import Device, copy_to, current_device, ensure_on
from .memory import Array, array_of, in_engine_order
from .mode import grad_enabled
from .settings import flag

if TYPE_CHECKING:
    from ..ops.methods import Methods  # has all that ops/methods.py gives to Tensor when it is imported
else:
    from .comparison import Comparison as Methods

__all__ = ["Tensor", "wrap"]

_ages = itertools.count()
_adding = threading.Lock()  # two threads that go backward to one leaf both add to its gradient


class Tensor(Methods):
    """An array of float32 or float64 (half: see ``ops.half``) that remembers how it was computed.

    data: array, number, or a list of them, copied. Python numbers become float32; arrays keep their dtype. (Whole
        numbers stay whole, as labels and indexes, and take no gradient.) See ``memory.array_of``.
    requires_grad: collect ∂L/∂self in ``.grad`` when ``L.backward()`` is called.
    device: where the copy shall live; if left out, on the current device: cpu(0), or that of a ``with device:``.

    Raises TypeError where data is not numbers, or a gradient is asked of whole numbers, and ValueError where a number
    does not fit the dtype.
    """

    __slots__ = {
        "__weakref__": None, "_array": None, "_grad": None, "_made": None, "_requires_grad": None, "_source": None,
        "_users": None,
        "age": "When it was made: a number of which no other tensor has the same, and younger tensors a higher one.",
        "device": "Where it lives, as cpu(0).",
    }  # fmt: skip

    inputs: ClassVar[tuple[Node | Tensor, ...]] = ()  # of a leaf as a node of the graph
    gradients: ClassVar[tuple[Pullback, ...]] = ()

    def __init__(self, data: Any, *, requires_grad: bool = False, dtype: Any = None, device: Device | None = None):
        if not isinstance(device, (Device, type(None))):
            raise TypeError(f"Tensor: device is {device!r}: give cpu(0), cuda(0) or minicnn.device(name)")
        array = array_of(data, dtype)
        if flag("Tensor", "requires_grad", requires_grad) and array.dtype.kind != "f":
            raise TypeError(f"Tensor: requires_grad needs real numbers, got {array.dtype}: write 1.0 for 1, or give "
                            "dtype=np.float32")
        self.device = device or current_device()
        with self.device:
            self._become(in_engine_order(copy_to(array, self.device)), bool(requires_grad))

    def _become(self, array: Array, requires_grad: bool) -> None:
        self._array = array  # always in the engine's memory order, see in_engine_order()
        self._requires_grad = requires_grad
        self._grad: Tensor | None = None
        self.age = next(_ages)
        self._made: Node | None = None  # how; a leaf was not made
        self._source = ""  # the op that made what this shares its memory with, see detach()
        self._users: weakref.WeakSet[Node] = weakref.WeakSet()  # of a leaf: what was computed from it, and remembered

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array, for reading: a graph may need the present values. To write, see ``writable()``."""
        return self.device.view(self._array)

    def numpy(self) -> Array:
        """The values as a NumPy array, for reading; ``.numpy().copy()`` may be written to."""
        return self.device.numpy(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of its numbers."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self._array.size

    @property
    def made_by(self) -> str:
        """The name of the op that made it; a leaf has none."""
        return self._made.made_by if self._made else ""

    @property
    def node(self) -> Node | Tensor:
        """What stands for it in the graph: a leaf for itself."""
        return self._made or self

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward()`` brings a gradient here. Of a leaf it may be set; whole numbers take none."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        wanted = flag("Tensor", "requires_grad", wanted)
        if wanted and self.dtype.kind != "f":
            raise TypeError(f"Tensor: requires_grad needs real numbers, got {self.dtype}: make a tensor of another "
                            "type, as by Tensor(t, dtype=np.float32)")
        if self._made and not wanted:
            raise RuntimeError(f"Tensor: requires_grad of what {self.made_by} made cannot be taken away: .detach() "
                               "gives the values without the graph")
        self._requires_grad = wanted

    @property
    def grad(self) -> Tensor | None:
        """∂L/∂self, added up by ``backward()``; None before that. What is set must be a tensor like this one."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise TypeError(f"grad: {type(gradient).__name__} is no gradient: give a Tensor, or None for none")
            mine, given = ((t.shape, str(t.dtype), t.device) for t in (self, gradient))
            if mine != given:
                raise ValueError("grad: a gradient of {} {} on {} is not one of this tensor of {} {} on {}: give it "
                                 "the same shape, type and device".format(*given, *mine))
        self._grad = gradient

    # -- gradients ----------------------------------------------------------------------------------------------------

    @np.errstate(all="ignore")  # ∞ and NaN are values, as in ops
    def backward(self, gradient: Any = None) -> None:
        """Add ∂self/∂x to ``x.grad`` of every leaf x that requires a gradient, and free the graph on the way.

        gradient: ∂L/∂self, of this tensor's shape; may be left out when self is one number, such as a loss.

        First derivatives only.

        Raises RuntimeError when nothing here requires a gradient, or when the graph was freed by an earlier backward.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient: nothing it was computed from has "
                               "requires_grad=True, or it was computed under no_grad()")
        if gradient is None and self.size != 1:
            raise RuntimeError(f"backward: shape {self.shape} is not one number: reduce it, as by .sum(), or give "
                               "backward(gradient) the gradient of the loss by this tensor")
        with self.device:
            given = np.ones_like(self._array) if gradient is None else self._beside(gradient, "backward")
            seed = given.astype(self.dtype, order="K")
        leaves = walk_back(self.node, seed)
        for leaf, g in leaves:  # only here, so that an error above leaves every .grad as it was
            with leaf.device, _adding:
                leaf._grad = wrap(g if leaf._grad is None else in_engine_order(leaf._grad._array + g), leaf.device)

    def zero_grad(self) -> None:
        """Forget the gradient collected so far."""
        self.grad = None

    def detach(self) -> Tensor:
        """The same values in the same memory, without the graph: what is written into a leaf's is written into both."""
        tensor = wrap(self._array, self.device)
        tensor._users, tensor._source = self._users, self.made_by or self._source
        return tensor

    def copy(self) -> Tensor:
        """A copy of the values, in memory of its own and without the graph."""
        return wrap(copy_to(self._array, self.device), self.device)

    def move(self, device: Device) -> None:
        """Make this very tensor live on ``device``, as a model's parameters do. Raises what ``writable()`` raises."""
        self._array, self.device, self.grad = copy_to(self.writable(), device), device, None

    def writable(self) -> Array:
        """The array itself, in the engine's memory order, for writing in place.

        Raises RuntimeError while a graph that has yet to go backward needs the present values.
        """
        user, source = needed_by(self), self.made_by or self._source
        if user is not None or source:
            why = f"{user.made_by} needs its values: call backward() first, or" if user else f"it was made by {source}:"
            raise RuntimeError(f"writing in place: {why} write to a copy (.copy())")
        return self._array

    def __setitem__(self, index: Any, value: Any) -> None:
        self._refuse_where_a_graph_grows(value)
        with self.device:
            self.writable()[index] = self._beside(value, "writing in place")

    def _beside(self, value: Any, who: str = "") -> Array:
        """``value`` as an array on this device; for ``who``, where one is named, in this type, which must hold it."""
        if isinstance(value, Tensor) and value.device != self.device:
            raise ValueError(f"Tensor: this one lives on {self.device}, the value given to it on {value.device}: bring "
                             "them together with .to(device)")
        array = array_of(value, self.dtype, who, exact=True) if who else array_of(value)
        return in_engine_order(ensure_on(array, self.device))

    def _like(self, array: Array) -> Tensor:
        """An array of this device as a tensor that remembers nothing."""
        return wrap(in_engine_order(array), self.device)

    def _assign(self, result: Tensor) -> Tensor:
        """What x += y means: a parameter is written to, anything else becomes a new tensor."""
        if self.made_by or not self.requires_grad:
            return result
        self._refuse_where_a_graph_grows()
        with self.device:
            self.writable()[...] = result._array
        return self

    def _refuse_where_a_graph_grows(self, value: Any = None) -> None:
        if not grad_enabled():
            return
        if self.requires_grad:
            raise RuntimeError("writing in place: this tensor requires a gradient: do it under no_grad()")
        if _needs_gradient(value):
            raise RuntimeError("writing in place: the value requires a gradient, which would not come through: write "
                               "its .detach(), or do it under no_grad(); ops.concatenate(...) keeps the graph")


def _needs_gradient(value: Any) -> bool:
    """Whether a gradient would have to go on through ``value``: a tensor, or lists of them."""
    if isinstance(value, (list, tuple)):
        return any(map(_needs_gradient, value))
    return isinstance(value, Tensor) and value.requires_grad


def wrap(array: Array, device: Device) -> Tensor:
    """The array itself, in the engine's memory order, as a tensor that remembers nothing."""
    tensor = Tensor.__new__(Tensor)
    tensor.device = device
    tensor._become(array, requires_grad=False)
    return tensor
