"""gradcheck in other people's tools: pytest, notebooks, PyTorch, and arrays of other libraries."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from gpus import gpus  # noqa: F401 - the fixture
from helpers import normal

from minicnn import GradientError, cuda, gradcheck

pytestmark = pytest.mark.processor
X, W = normal(3, 4), normal(4, 4, seed=1)


def matmul(x, w):
    return x @ w


def right(gy, x, w):
    return gy @ w.T, x.T @ gy


def transposed(gy, x, w):
    return gy @ w.T, gy.T @ x


def failure(check, *arguments, **options):
    with pytest.raises(GradientError) as caught:
        check(*arguments, **options)
    return caught.value


# -- pytest ------------------------------------------------------------------------------------------------------------


def test_assert_gradients_passes_what_is_right_and_takes_the_same_options():
    assert gradcheck.assert_gradients(matmul, X, normal(4, 2), backward=right) is None
    error = failure(gradcheck.assert_gradients, matmul, X, W, backward=transposed, elements=3)
    assert str(error) == str(failure(gradcheck, matmul, X, W, backward=transposed, elements=3))
    assert "of 3 elements looked at (it has 16)" in str(error)
    with pytest.raises(TypeError, match="function is None"):
        gradcheck.assert_gradients(None, X)


def test_pytest_shows_the_line_and_the_verdict_and_nothing_of_what_is_inside(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\nfrom minicnn import gradcheck\n\n\ndef test_square():\n"
        "    gradcheck.assert_gradients(np.square, np.ones(3), backward=lambda gy, x: -2 * x * gy)\n")  # fmt: skip
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"], cwd=tmp_path,
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert run.returncode == 1
    assert re.findall(r"^(\S+\.py):\d+: ?\w*", run.stdout, re.M) == ["test_mine.py"]
    assert "Verdict: wrong sign" in run.stdout
    assert len(run.stdout.splitlines()) < 30


# -- notebooks ---------------------------------------------------------------------------------------------------------


def parsed(html):
    """The page, which must be well formed."""
    return ElementTree.fromstring(html)


def rects(error):
    return parsed(error._repr_html_()).findall(".//rect")


def wrong_at(*places, shape):
    """The error of a square whose gradient is off by a half in some places."""
    def backward(gy, x):
        g = 2 * x * gy
        for place in places:
            g[place] *= 1.5
        return g

    return failure(gradcheck, np.square, np.abs(normal(*shape)) + 1, backward=backward, elements=10**6)


def test_the_map_shows_where_it_is_wrong():
    error = wrong_at((1, 2), shape=(3, 4))
    drawn = rects(error)
    assert parsed(error._repr_html_()).find(".//svg/title").text == "errors"
    assert parsed(error._repr_html_()).find(".//svg").attrib.items() >= {"width": "58", "height": "44",
                                                                         "viewBox": "-1 -1 58 44"}.items()
    assert [(r.get("x"), r.get("y")) for r in drawn] == [(str(14 * c), str(14 * r)) for r in range(3) for c in range(4)]
    colours = [r.get("fill") for r in drawn]
    assert colours.count(colours[6]) == 1 and len(set(colours)) == 2
    assert drawn[6].find("title").text.startswith("(1, 2): 3.3e-01")
    text = "".join(parsed(error._repr_html_()).itertext())
    assert "input 0 (x), shape (3, 4)" in text and str(error) in text


def test_the_colour_is_that_of_the_size_of_the_error():
    def backward(gy, x):
        return 2 * x * gy * (1 + np.array([0, 1e-7, 1e-5, 1e-3, 1e-1, np.nan]))

    error = failure(gradcheck, np.square, np.arange(1.0, 7), backward=backward, seed=3)
    colours = [r.get("fill") for r in rects(error)]
    assert colours == ["#4477aa", "#4477aa", "#ccbb44", "#ee8866", "#cc3311", "#cc3311"]
    html = error._repr_html_()
    assert all(colour in html.partition("relative error: ")[2] for colour in colours)


@pytest.mark.parametrize("shape, maps, cells", [
    ((5,), 1, 5), ((1, 7), 1, 7), ((2, 3, 4), 2, 24), ((2, 2, 3, 4), 4, 48), ((200, 3), 1, 50 * 3), ((3000,), 1, 64),
    ((90, 80), 1, 30 * 27), ((40, 3, 3), 16, 144), ((20, 30, 30), 16, 16 * 64), ((), 1, 1),
], ids=str)  # fmt: skip
def test_however_large_it_is_the_map_stays_small_and_hides_nothing(shape, maps, cells):
    errors = np.full(shape, 1e-9)
    errors[tuple(n - 1 for n in shape)] = 0.3
    error = GradientError("wrong", "x", [], errors=errors)
    page = parsed(error._repr_html_())
    assert len(page.findall(".//svg")) == maps
    fills = [r.get("fill") for r in page.findall(".//rect")]
    assert len(fills) == cells <= 1024
    assert fills.count("#cc3311") == 1
    assert len(error._repr_html_()) < 200_000


def test_a_square_of_several_elements_says_where_they_begin():
    errors = np.zeros((200, 3))
    errors[150, 1] = 0.3
    page = parsed(GradientError("wrong", "x", [], errors=errors)._repr_html_())
    assert [t.text for t in page.findall(".//title")] == ["errors; a square is 4 × 1 elements", "(148, 1): 3.0e-01"]
    page = parsed(GradientError("wrong", "x", [], errors=np.stack([errors] * 20))._repr_html_())
    assert page.find(".//title").text == "errors at (0,); a square is 10 × 1 elements"
    assert "4 more, with no larger errors." in "".join(page.itertext())


def test_what_was_not_looked_at_is_not_shown_as_right():
    error = failure(gradcheck, matmul, X, W, backward=transposed, elements=5)
    assert [r.get("fill") for r in rects(error)].count("none") == 16 - 5


def test_nothing_that_somebody_wrote_is_taken_for_html():
    def square(x):
        return x * x

    square.input_names = ["<b>x</b> & 'y'"]
    for error in (failure(gradcheck, square, X, backward=lambda gy, x: x * gy),
                  failure(gradcheck, square, X, backward=lambda gy, x: (gy, gy)[0].sum(0))):
        html = error._repr_html_()
        assert "<b>x" not in html and "&lt;b&gt;x&lt;/b&gt; &amp; " in html
        assert "<b>x</b> & 'y'" in "".join(parsed(html).itertext())


def test_errors_without_numbers_and_without_verdicts_are_shown_too():
    for error in (failure(gradcheck, np.square, X, backward=lambda gy, x: np.zeros(2)),
                  failure(gradcheck, np.square, X, backward=lambda gy, x: x)):
        assert not rects(error)
        assert str(error) in "".join(parsed(error._repr_html_()).itertext())
    assert "No known mistake fits." in failure(gradcheck, np.square, X, backward=lambda gy, x: gy[:2])._repr_html_()


def test_a_wrong_layer_is_named_in_the_notebook():
    class Square:
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, gy):
            return gy * self.x

    html = failure(gradcheck.layers, [Square()], X)._repr_html_()
    assert "layer 0 (Square): input 0, shape (3, 4)" in html


def test_a_report_is_shown_as_right_with_what_was_left_out():
    report = gradcheck(lambda x: np.maximum(x, 0), np.array([0.0, 1, -1]), backward=lambda gy, x: gy * (x > 0))
    text = "".join(parsed(report._repr_html_()).itertext())
    assert text.startswith(f"Right: the largest relative error is {report.error:.1e}, by {report.evaluations} ")
    assert "input 0 (x)1at kinks or ties, left out" in text
    assert "table" not in gradcheck(np.square, X, backward=lambda gy, x: 2 * x * gy)._repr_html_()
    report = gradcheck(lambda x: np.maximum(x, 0), np.zeros(3), backward=lambda gy, x: gy * (x > 0))
    assert "input 0 (x)3at kinks all over, checked a little away" in "".join(parsed(report._repr_html_()).itertext())


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def of_torch(gradient_of_w):
    torch = pytest.importorskip("torch")

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(ctx, gy):
            x, w = ctx.saved_tensors
            return gy @ w.T, gradient_of_w(gy, x)

    return torch, Product


def test_a_function_of_torch_is_checked():
    torch, product = of_torch(lambda gy, x: x.T @ gy)
    x, w = torch.tensor(X, dtype=torch.float32), torch.tensor(W)
    assert gradcheck.torch(product.apply, x, w).error < 1e-8
    with torch.no_grad():
        assert gradcheck.torch(product.apply, x, w).error < 1e-8
    assert gradcheck.torch(product.apply, X, W).error < 1e-8
    assert (x.dtype, x.requires_grad, w.requires_grad) == (torch.float32, False, False)
    assert (w.numpy() == W).all()
    torch, product = of_torch(lambda gy, x: gy.T @ x)
    error = failure(gradcheck.torch, product.apply, x, w)
    assert (error.input, error.verdicts[0].name) == ("input 1", "transposed")
    assert str(error).startswith("gradcheck: Product: ")
    assert "input 0 (a)" in str(failure(gradcheck.torch, lambda a: a.detach() * a, x))
    cut = failure(gradcheck.torch, lambda a, b: (a * b).detach(), x, x)
    assert cut.verdicts[0].name == "zero where it should not be"


def test_inputs_of_torch_that_require_no_gradient_are_left_alone_if_others_do():
    torch = pytest.importorskip("torch")
    x, mask, labels = torch.randn(3, 4), torch.randn(3, 4), torch.tensor([1, 0, 3])

    def loss(x, mask, labels):
        return torch.nn.functional.cross_entropy(x * mask.detach(), labels)

    assert gradcheck.torch(loss, x.requires_grad_(), mask, labels).error < 1e-6
    assert failure(gradcheck.torch, loss, x.detach(), mask, labels).input == "input 1 (mask)"
    assert gradcheck.torch(lambda x: x.sum() * 2.0, x, picture=None).evaluations == 17
    assert x.grad is None


def test_a_module_of_torch_is_checked_and_stays_as_it_was():
    torch, product = of_torch(lambda gy, x: gy.T @ x)

    class Layer(torch.nn.Module):
        def __init__(self, wrong):
            super().__init__()
            self.w, self.wrong = torch.nn.Parameter(torch.randn(4, 4)), wrong
            self.norm, self.frozen = torch.nn.BatchNorm1d(4), torch.nn.Parameter(torch.ones(4), requires_grad=False)

        def forward(self, x):
            return (product.apply(x, self.w) if self.wrong else self.norm(x @ self.w)) * self.frozen

    layer = Layer(wrong=False)
    before = {name: (t, t.clone(), t.data_ptr()) for name, t in layer.state_dict(keep_vars=True).items()}
    assert gradcheck.torch(layer, torch.randn(6, 4)).error < 1e-6
    for name, t in layer.state_dict(keep_vars=True).items():
        assert t is before[name][0] and t.dtype == before[name][1].dtype and (t == before[name][1]).all()
        assert t.data_ptr() == before[name][2] and t.grad is None
    wrong = Layer(wrong=True)
    assert failure(gradcheck.torch, wrong, torch.randn(6, 4)).input == "parameter w"
    assert failure(gradcheck.torch, lambda x: wrong(x) * 2, torch.randn(6, 4), parameters=wrong).input == "parameter w"
    for given in ([wrong.w], [("w", wrong.w)]):
        assert failure(gradcheck.torch, wrong, torch.randn(6, 4), parameters=given).input == "parameter w"
    assert failure(gradcheck.torch, lambda x: product.apply(x, wrong.w), X, parameters=[wrong.w]).input == "parameter 0"
    assert wrong.w.dtype == torch.float32
    assert failure(gradcheck.torch, torch.nn.Dropout(), X).verdicts[0].name == "not deterministic"


def test_what_torch_cannot_be_asked_is_said_by_name():
    torch, product = of_torch(lambda gy, x: x.T @ gy)
    for function, inputs, options, says in [
        (product, [X, W], {}, r"function is the class Product: give Product.apply"),
        (torch.nn.ReLU, [X], {}, r"function is the class ReLU: give an instance"),
        (lambda x: (x, x), [X], {}, "returned tuple: return one tensor of real numbers"),
        (lambda x: x.argmax(), [X], {}, "returned torch.int64: return one tensor"),
        (torch.abs, [torch.ones(3, dtype=torch.complex64)], {}, "an input is complex: give its real"),
        (torch.abs, [X], {"parameters": torch.ones(3)}, "parameters is Tensor: give a list of tensors, or the module"),
        (torch.abs, [X], {"parameters": 3}, "parameters is int: give a list"),
        (torch.abs, [X], {"parameters": [torch.ones(3, requires_grad=True) * 2]}, "parameter 0 is no leaf"),
    ]:  # fmt: skip
        with pytest.raises(TypeError, match=f"gradcheck.torch: .*{says}"):
            gradcheck.torch(function, *inputs, **options)
    with pytest.raises(ValueError, match="was given no real numbers"):
        gradcheck.torch(torch.abs, torch.arange(3))


def test_without_torch_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"gradcheck.torch: PyTorch is not installed: pip install torch"):
        gradcheck.torch(abs, X)


# -- arrays of other libraries -----------------------------------------------------------------------------------------


class Foreign:
    """An array as JAX has them: it can be read by NumPy and not be written, and computes by itself."""

    def __init__(self, array):
        self.array = np.array(array)
        self.shape, self.dtype, self.ndim = self.array.shape, self.array.dtype, self.array.ndim

    def __array__(self, dtype=None, copy=None):
        return self.array.astype(dtype or self.dtype)

    def __array_priority__(self):
        return 100


def test_arrays_that_numpy_can_read_are_enough():
    def function(x, w):
        return Foreign(np.asarray(x) @ np.asarray(w))

    def backward(gy, x, w):
        return [Foreign(g) for g in right(gy, x, w)]

    assert gradcheck(function, Foreign(X), Foreign(W.astype(np.float32)), backward=backward).error < 1e-8
    error = failure(gradcheck, function, Foreign(X), Foreign(W), backward=transposed)
    assert (error.input, error.verdicts[0].name) == ("input 1 (w)", "transposed")
    single = failure(gradcheck, lambda x, w: Foreign(np.float32(x @ w)), Foreign(X), Foreign(W), backward=right)
    assert single.verdicts[0].name == "single precision"


@pytest.mark.usefixtures("gpus")
def test_functions_of_cupys_arrays_are_given_such():
    import cupy

    with cuda(0):
        x, w = cupy.asarray(X), cupy.asarray(W.astype(np.float32))
    seen = []

    def backward(gy, x, w):
        seen.extend(isinstance(a, cupy.ndarray) for a in (gy, x, w))
        return right(gy, x, w)

    with cuda(0):
        assert gradcheck(matmul, x, w, backward=backward).error < 1e-8
        assert seen and all(seen)
        error = failure(gradcheck, matmul, x, w, backward=transposed)
    assert (error.input, error.verdicts[0].name) == ("input 1 (w)", "transposed")
    assert (x.get() == X).all()


# -- one name, four ways ----------------------------------------------------------------------------------------------


def test_what_stands_at_gradcheck_is_found_by_help_and_by_signature():
    import inspect
    import pydoc

    assert list(inspect.signature(gradcheck).parameters)[:3] == ["function", "inputs", "backward"]
    page = pydoc.render_doc(gradcheck, renderer=pydoc.plaintext)
    for name in ("layers", "torch", "assert_gradients", "Raises GradientError, which says which input"):
        assert name in page
