"""What each layer of a net really meets: its calls, and what comes back to it, taken down while the net runs once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "called", "class_changed", "items", "named_inside"]


@dataclass
class Call:
    """A layer was called with ``given`` and ``settings``, and returned ``y``. gy: what came back to it, None if nothing
    did; back: what its backward was given besides. writes: whether that wrote into gy."""

    name: str
    layer: Any
    given: tuple[Any, ...]
    settings: dict[str, Any]
    y: Any = None
    gy: Any = None
    back: tuple[Any, ...] = ()
    writes: bool = False


def called(path: str, kind: str) -> str:
    """As in "layer 2 (ReLU)", or "block.fc (Linear)"."""
    path = path.removeprefix("layers.")
    return f"{'layer ' if path[:1].isdigit() else ''}{path or 'the net itself'} ({kind})"


def items(name: str, value: Any, around: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(path, item) of all that an attribute is or, as lists, tuples and dicts, holds."""
    if isinstance(value, (list, tuple, Mapping)) and id(value) not in around:
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from items(f"{name}.{key}", item, (*around, id(value)))
    else:
        yield name, value


def named_inside(net: Any, is_layer: Callable[[Any], bool]) -> dict[str, Any]:
    """The layers inside a net by path, each once, one that holds others before these."""
    found: dict[str, Any] = {}

    def walk(prefix: str, owner: Any) -> None:
        for key, value in getattr(owner, "__dict__", {}).items():
            for path, layer in items(prefix + key, value):
                if is_layer(layer) and not any(layer is known for known in (net, *found.values())):
                    found[path] = layer
                    walk(f"{path}.", layer)

    walk("", net)
    return found


@contextlib.contextmanager
def class_changed(layers: Sequence[Any], methods: Callable[[Any], Mapping[str, Callable[..., Any]]]) -> Iterator[None]:
    """Inside of ``with`` these methods take the place of each layer's own, of this one object, however it is called."""
    kinds = [type(layer) for layer in layers]
    try:
        for layer, kind in zip(layers, kinds, strict=True):
            watched = type(kind.__name__, (kind,), {"__slots__": (), **methods(layer)})
            object.__setattr__(layer, "__class__", watched)
        yield
    finally:
        for layer, kind in zip(layers, kinds, strict=True):
            object.__setattr__(layer, "__class__", kind)
