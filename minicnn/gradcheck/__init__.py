"""The numerical check: is what backward says what the function does? And if not, what mistake does it look like?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.mode import grad_mode
from ..engine.settings import real, whole
from ..nn.module import Module
from .check import Check
from .hvp import hvp
from .nets import layers
from .of_arrays import of_arrays
from .of_torch import as_arrays
from .say import GradientError, Report, wrong_shape
from .subject import Parameters, WrongShape, named, of_tensors
from .two_examples import two_examples
from .verdict import Verdict

__all__ = ["Gradcheck", "GradientError", "Report", "Verdict", "gradcheck"]

OURS = (0x67726164, 0x63686563)  # our own stream: inputs drawn by default_rng(0) must not be u over again


def check_function(function: Callable[..., object], *inputs: object, backward: Callable[..., object] | None = None,
                   parameters: Parameters = (), seed: int = 0, step: float = 1e-6, tolerance: float | None = None,
                   elements: int = 500, picture: str | Path | None = None, search: bool = True) -> Report:  # fmt: skip
    """Hold ∂L/∂x by backward against (L(x + h) − L(x − h)) / 2h, in float64, for L = Σ y · u with a random u.

    First along one random line for each input, and one through all of them, which takes a few evaluations, however
    large they are; only where that fails, element by element, to find out what is wrong. (With u all ones, an error
    that cancels in the sum, as any softmax's, would go unseen.) Then along a line near by, where the inputs are a
    little different: what is right at the given ones alone, as where a factor that was forgotten is 1, is not right.
    Inputs that seem to obey a constraint are not moved for that: labels, masks, whole numbers, few different numbers,
    rows that add up to 1 or have the norm 1, and those of which a backward by hand says None. And if backward is
    written by hand, and the first input is a batch of one, (1, ...), with two examples, where the function takes them.

    How much the two may differ is measured: what the function and its backward round by, and by how much differences of
    different steps differ. So a gradient that cancels to 0 passes with the rounding of its terms, and a small term that
    is wrong is seen. ``resolution`` of what is returned says what relative error would have been seen.

    function: takes tensors like ``inputs`` and returns a tensor y: an op, a layer, a model with its loss. Or takes and
        returns NumPy arrays, if there is a
    backward: a hand-written backward(gy, *inputs), which returns ∂L/∂input for each input (or for the only one), None
        where an input has no gradient. It is called right after function(*inputs). A method may be a backward(gy), of
        an object that keeps what it needs.
    inputs: arrays or tensors, on any devices. Real numbers are checked; labels and the like pass through. With backward
        also arrays of CuPy, which both functions are then given, and of JAX, which they are given as NumPy's.
    parameters: tensors that function uses besides, or (name, tensor) as from ``model.named_parameters()``; checked too,
        in float64, and put back afterwards. Those of a layer given as the function are found without. Or that layer.
    seed: of u, the lines, and the choice of elements. step: h, in units of the root mean square of the input.
    tolerance: an error that is allowed in any case; along a line relative to the norm of the gradient, of one element
        to the sum of |what is added up| for it. elements: at most so many of an input are looked at one by one.
    picture: a file for a picture: the relative error of every element, and over the size of the step. With it, all
        inputs are looked at element by element.
    search: where a hand-written backward is wrong, look for the slip in it: up to a few seconds, in which function and
        backward run once more.

    Where a step is too large or too small for a function, others are tried. An element at a kink or a tie, as 0 is to
    ReLU, has no derivative: it is found out, left out and counted, once what backward says there was seen to be finite
    and to lie between the slopes on both sides. (Where kinks of several ops meet, right choices at each may add up to
    something else, which passes.)

    Raises GradientError, which says which input, which elements, and what mistake that looks like.
    """
    elements, seed = (whole("gradcheck", name, n, least=least)
                      for name, n, least in (("elements", elements, 1), ("seed", seed, 0)))
    step = real("gradcheck", "step", step, above=0, below=1)
    tolerance = 0.0 if tolerance is None else real("gradcheck", "tolerance", tolerance, above=0)
    for name, what in (("function", function), ("backward", backward)):
        if isinstance(what, type) or not (what is None or callable(what)) or function is None:
            raise TypeError(f"gradcheck: {name} is {what!r:.60}: give a function, or a layer")
    if backward and (isinstance(parameters, Module) or list(parameters)):
        raise ValueError("gradcheck: parameters are tensors: where backward= is given, all that it uses must be inputs")
    if not (picture is None or isinstance(picture, (str, Path))):
        raise TypeError(f"gradcheck: picture is {picture!r:.60}: give the name of a file")
    if picture and not (Path(picture).absolute().parent.is_dir() and Path(picture).suffix in (".png", ".pdf", ".svg")):
        raise ValueError(f"gradcheck: cannot draw {picture}: give a .png, .pdf or .svg in a folder that is there")
    with contextlib.ExitStack() as stack:
        stack.enter_context(grad_mode(True))  # it may be asked under no_grad()
        subject = (of_arrays(function, inputs, backward) if backward
                   else stack.enter_context(of_tensors(function, inputs, named(parameters))))  # fmt: skip
        if not subject.inputs:
            raise ValueError(f"gradcheck: {subject.title} was given no real numbers to check: write 1.0 for 1")
        random = np.random.default_rng((seed, *OURS))
        check = Check(subject, random, step, tolerance, elements, bool(picture), search)
        try:
            report = check.run()
            if backward:
                two_examples(check, backward)
            return report
        except WrongShape as wrong:
            raise wrong_shape(subject.title, wrong) from wrong.__cause__
        finally:
            if picture and check.maps:
                from ..plots import draw_gradcheck  # needs matplotlib

                draw_gradcheck(subject.title, check.maps, Path(picture))


def check_torch(function: Callable[..., Any], *tensors: Any, parameters: Any = (), **options: Any) -> Report:
    """The same for PyTorch: hold what its autograd gives for a function of its tensors against differences, in float64.

    For a ``torch.autograd.Function`` with a backward of one's own: ``gradcheck.torch(MyFunction.apply, x, w)``.

    function: takes tensors and returns one; or a module, whose parameters are checked, too.
    tensors: its inputs, on any devices. Checked are those that require a gradient, or if none does, all real ones.
    parameters: a module that the function uses, or tensors, or (name, tensor). Modules, also where one is the function,
        are in float64 meanwhile, and afterwards as they were.
    options: seed, step, tolerance, elements and picture, as for ``gradcheck``.

    Raises what ``gradcheck`` raises, and ImportError where PyTorch is not installed.
    """
    with as_arrays(function, tensors, parameters) as (value, backward, arrays):
        return check_function(value, *arrays, backward=backward, **options)


def assert_gradients(function: Callable[..., object], *inputs: object, **options: Any) -> None:
    """For tests: ``gradcheck`` with the same options, that fails shortly. pytest shows the line of the test and what is
    wrong, and not how that was found out.

    Raises GradientError, which is an AssertionError, and what else ``gradcheck`` raises.
    """
    __tracebackhide__ = True
    try:
        check_function(function, *inputs, **options)
    except GradientError as error:
        raise error.with_traceback(None) from None


class Gradcheck:
    """``gradcheck(function, *inputs)`` holds a backward against differences, ``gradcheck.layers(net, *inputs)`` finds
    the wrong layer of a net, ``gradcheck.torch(function, *tensors)`` checks functions of PyTorch, and
    ``gradcheck.assert_gradients(function, *inputs)`` is for tests. ``gradcheck.hvp(f, x, v)`` gives second
    derivatives."""

    __call__ = __wrapped__ = staticmethod(check_function)  # wrapped: so that it has its signature
    layers = staticmethod(layers)
    torch = staticmethod(check_torch)
    assert_gradients = staticmethod(assert_gradients)
    hvp = staticmethod(hvp)


gradcheck = Gradcheck()  # an object with methods: what is called stays one name, and types and help() see them all
