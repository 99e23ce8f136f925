"""What a tensor is to Python: a number where it holds one, else a sequence along its first axis; and how it is copied.

Its operators are in ``methods.py``, and what it is to NumPy in ``dispatch.py``: they take ops.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .device import Device, copy_to, cpu, cuda
from .memory import Array, in_engine_order

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Protocols"]

ELSEWHERE = {  # what PyTorch and NumPy call otherwise
    "astype": "Tensor(t, dtype=...) copies, t.float() and t.half() pass gradients on", "clone": "t.copy()",
    "cpu": "t.to(minicnn.cpu())",
    "cuda": "t.to(minicnn.cuda())", "dim": "t.ndim", "min": "-(-t).max()",
    "permute": "t.transpose(...)", "view": "t.reshape(...)",
}  # fmt: skip


class Protocols:
    """The part of ``Tensor`` that knows no gradients."""

    __slots__ = ()

    if TYPE_CHECKING:
        _array: Array
        device: Device
        grad: Any
        requires_grad: bool

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        @property
        def ndim(self) -> int: ...
        @property
        def size(self) -> int: ...
        @property
        def made_by(self) -> str: ...
        @property
        def data(self) -> Array: ...
        def numpy(self) -> NDArray[Any]: ...
        def writable(self) -> Array: ...
        def _become(self, array: Array, requires_grad: bool) -> None: ...
        def _like(self, array: Array) -> Any: ...
        def _beside(self, value: Any, who: str = "") -> Array: ...
        def _assign(self, result: Tensor) -> Tensor: ...
        def __getitem__(self, index: Any) -> Any: ...
        def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]: ...  # see ops/dispatch.py

    if not TYPE_CHECKING:  # which shall see what is misspelt

        def __getattr__(self, name: str) -> Any:  # asked for what there is not
            if name in ELSEWHERE or (hasattr(np.ndarray, name) and not name.startswith("_")):
                way = ELSEWHERE.get(name, f"t.numpy().{name} has the values, without a gradient")
                raise AttributeError(f"Tensor: there is no .{name}: {way}", name=name, obj=self)
            raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}", name=name, obj=self)

    # -- one number ----------------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The value of a tensor of one element as a Python number. Raises ValueError where it has none or more."""
        return self._one("item", ValueError)

    def tolist(self) -> Any:
        """The values as numbers of Python, in lists as deep as there are axes."""
        return self.numpy().tolist()

    def _one(self, what: str, error: type[Exception] = TypeError) -> Any:
        if self.size != 1:
            raise error(f"{what}: a tensor of shape {self.shape} is not one number: take one element, or reduce it, "
                        "as by .sum(); .tolist() gives all")  # fmt: skip
        with self.device:
            return self._array.item()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"bool: a tensor of shape {self.shape} is not one truth value: say .any() or .all()")
        return bool(self._one("bool"))

    def __int__(self) -> int:
        return int(self._one("int"))

    def __float__(self) -> float:
        return float(self._one("float"))

    def __complex__(self) -> complex:
        return complex(self._one("complex"))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._one("round"), digits)

    def __index__(self) -> int:
        if self.ndim or self.dtype.kind not in "iu":
            raise TypeError(f"Tensor: as an index stands one whole number without axes, this is {self.dtype} of shape "
                            f"{self.shape}: write int(t) for a number, t.numpy() for several")
        return int(self._one("index"))

    def __format__(self, spec: str) -> str:
        return format(self._one(f"format {spec!r}"), spec) if spec else str(self)

    # -- a sequence ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a tensor of one number has no length: its size is 1")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration: a tensor of one number has no axis to go along: .item() gives the number")
        return (self[i] for i in range(self.shape[0]))

    # -- memory that others use ----------------------------------------------------------------------------------------

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        """The very memory for another library, as in ``torch.from_dlpack(t)``, with the strides of a batch that runs
        fastest. What is written there is written here: a graph made later cannot know of it.

        While a graph needs the values the memory is for reading alone, which only DLPack 1 can say. The settings are
        those of the protocol, for NumPy or CuPy, whose array it is.

        Raises BufferError while a gradient is required, for a reader older than DLPack 1 where it may only read, and
        what NumPy or CuPy refuses.
        """
        if self.requires_grad:
            raise BufferError("__dlpack__: this tensor requires a gradient, which would not come through: give "
                              "t.detach()")
        asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        with self.device:
            try:
                array: Any = self.writable()
            except RuntimeError:
                array = self.data
            return array.__dlpack__(**{name: value for name, value in asked.items() if value is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        """(DLPack's kind of device, its index): (1, 0) for cpu(i), whose memory is one, and (2, i) for cuda(i)."""
        return (2, self.device.index) if self.device.kind == "cuda" else (1, 0)

    # -- printed, copied, pickled --------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=20)
        notes = [str(self.dtype)] * (self.dtype != np.float32) + [f"from {self.made_by}"] * bool(self.made_by)
        notes += ["requires_grad"] * (self.requires_grad and not self.made_by)
        return f"Tensor({', '.join([values, str(self.shape), repr(self.device), *notes])})"

    def __copy__(self) -> Any:
        """A leaf of its own, with a copy of the values: two tensors never share memory."""
        self._refuse_graph("copy")
        new = self._leaf(copy_to(self._array, self.device), self.device, self.requires_grad)
        if hasattr(self, "__dict__"):  # of a subclass
            vars(new).update(vars(self))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self._refuse_graph("deepcopy")
        new = self.__copy__()
        new.grad = copy.deepcopy(self.grad, memo)
        if hasattr(self, "__dict__"):
            vars(new).update(copy.deepcopy(vars(self), memo))
        return new

    def __reduce__(self) -> Any:
        self._refuse_graph("pickle")
        values, place = np.array(self.numpy(), order="C"), (self.device.kind, self.device.index)
        return _unpickled, (type(self), values, *place, self.requires_grad, self.grad), getattr(self, "__dict__", None)

    def _refuse_graph(self, what: str) -> None:
        if self.made_by:
            raise TypeError(f"{what}: this tensor was made by {self.made_by}, and its graph cannot be copied: only "
                            "leaves are; .copy() gives a copy of the values")

    @classmethod
    def _leaf(cls, array: Array, device: Device, requires_grad: bool) -> Any:
        tensor: Any = cls.__new__(cls)
        tensor.device = device
        tensor._become(array, requires_grad)  # with an age and users of its own
        return tensor


def _unpickled(cls: type[Protocols], values: np.ndarray, kind: str, index: int, requires_grad: bool, grad: Any) -> Any:
    """On the device where it was. Raises what ``cuda()`` raises where there is none."""
    device = cuda(index) if kind == "cuda" else cpu(index)
    with device:
        tensor = cls._leaf(in_engine_order(copy_to(values, device)), device, requires_grad)
    tensor.grad = grad
    return tensor
