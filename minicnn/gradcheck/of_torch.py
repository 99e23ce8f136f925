"""Functions of PyTorch as functions of arrays. PyTorch is imported here alone, and when it is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .subject import names, title_of

__all__ = ["as_arrays"]

Function = Callable[..., Any]


@contextlib.contextmanager
def as_arrays(function: Function, given: Sequence[Any], parameters: Any
              ) -> Iterator[tuple[Function, Function, list[np.ndarray]]]:
    """(function, backward, inputs) for gradcheck: of arrays, the inputs that are checked and then the parameters.

    Inside of ``with`` parameters, and what else a module keeps, are in double precision, and after it as before.
    """
    torch = pytorch()
    if isinstance(function, type):
        way = f"{function.__name__}.apply" if issubclass(function, torch.autograd.Function) else "an instance of it"
        raise TypeError(f"gradcheck.torch: function is the class {function.__name__}: give {way}")
    is_module = isinstance(function, torch.nn.Module)
    tensors = doubles(torch, given)
    checked = [i for i, t in enumerate(tensors) if torch.is_tensor(t) and t.requires_grad]
    own = named_parameters(torch, function) if is_module else []
    own += [(n, p) for n, p in named_parameters(torch, parameters) if not any(p is known for _, known in own)]
    modules = [m for m in (function, parameters) if isinstance(m, torch.nn.Module)]
    kept = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    leaves = [*(tensors[i] for i in checked), *(p for _, p in own)]

    def forward(*arrays: np.ndarray) -> Any:
        for leaf, array in zip(leaves, arrays, strict=True):
            leaf.data = torch.as_tensor(array, device=leaf.device)
        with torch.enable_grad():
            y = function(*tensors)
        if not torch.is_tensor(y) or not y.is_floating_point():
            what = y.dtype if torch.is_tensor(y) else type(y).__name__
            raise TypeError(f"gradcheck.torch: the function returned {what}: return one tensor of real numbers")
        return y

    def value(*arrays: np.ndarray) -> np.ndarray:
        y: np.ndarray = forward(*arrays).detach().cpu().numpy()
        return y

    def backward(gy: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray | None]:
        y = forward(*arrays)
        if not y.requires_grad:
            return [None] * len(leaves)
        found = torch.autograd.grad(y, leaves, torch.as_tensor(gy, dtype=y.dtype, device=y.device), allow_unused=True)
        return [None if g is None else g.detach().cpu().numpy() for g in found]

    called = names(function.forward if is_module else function, len(tensors))  # type: ignore[attr-defined]
    owner = getattr(function, "__self__", None)  # of MyFunction.apply
    value.__name__ = owner.__name__ if isinstance(owner, type) else title_of(function)
    value.input_names = [*(called[i] for i in checked), *(f"parameter {n}" for n, _ in own)]  # type: ignore[attr-defined]
    with in_double([*kept, *(p for _, p in own)]):
        yield value, backward, [leaf.detach().cpu().numpy() for leaf in leaves]


def pytorch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("gradcheck.torch: PyTorch is not installed: pip install torch; a function of NumPy arrays is "
                          "checked by gradcheck(function, *inputs, backward=backward)") from error
    return torch


def doubles(torch: Any, given: Sequence[Any]) -> list[Any]:
    """Real numbers as leaves in double precision, all else as it is. Those require a gradient that did before; where
    none did, all."""
    tensors = [torch.as_tensor(x) if isinstance(x, (float, np.ndarray)) else x for x in given]
    if any(torch.is_tensor(t) and t.is_complex() for t in tensors):
        raise TypeError("gradcheck.torch: an input is complex: give its real and its imaginary part")
    any_marked = any(torch.is_tensor(t) and t.requires_grad for t in tensors)
    return [t.detach().to(torch.float64).requires_grad_(t.requires_grad or not any_marked)
            if torch.is_tensor(t) and t.is_floating_point() else t for t in tensors]  # fmt: skip


def named_parameters(torch: Any, given: Any) -> list[tuple[str, Any]]:
    """(name, tensor) out of a module, a list of tensors, or of such pairs: those that require a gradient."""
    if torch.is_tensor(given) or not isinstance(given, (torch.nn.Module, Iterable)):
        raise TypeError(f"gradcheck.torch: parameters is {type(given).__name__}: give a list of tensors, or the module")
    pairs = given.named_parameters() if isinstance(given, torch.nn.Module) else given
    found = [pair if isinstance(pair, tuple) else (str(i), pair) for i, pair in enumerate(pairs)]
    for name, p in found:
        if not (torch.is_tensor(p) and p.is_leaf):
            raise TypeError(f"gradcheck.torch: parameter {name} is no leaf: give tensors made with requires_grad=True")
    return [(name, p) for name, p in found if p.requires_grad]


@contextlib.contextmanager
def in_double(tensors: Sequence[Any]) -> Iterator[None]:
    before = {id(t): (t, t.data) for t in tensors}
    try:
        for t, data in before.values():
            t.data = data.to(pytorch().float64 if data.is_floating_point() else data.dtype, copy=True)
        yield
    finally:
        for t, data in before.values():
            t.data = data
