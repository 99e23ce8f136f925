"""Chapter 4: checking. Differences and their steps, kinks, why u is random, and a lab of planted faults."""

import marimo

app = marimo.App(app_title="4 · Checking")

with app.setup:
    import inspect

    import five_mistakes
    import marimo as mo
    import numpy as np
    from page import answer_box, attempt, figure, in_words, one_answer, picture, say, table

    from minicnn import GradientError, Tensor, gradcheck, ops, optim


@app.cell
def _():
    say("""
        # 4 · Checking

        It is easy to get a backward pass wrong, and hard to notice. The program runs, the shapes fit, and often the
        loss falls all the same. A falling loss only tells you that the steps led downhill. It does not tell you that
        they were the steps that you meant. But a gradient makes a claim that can be checked: by how much the loss
        changes if a number changes a little. This chapter checks that claim. At the end there is a laboratory: choose a
        fault, and see what the loss says about it and what the check says.
    """)
    return


@app.cell
def _():
    exponent = mo.ui.slider(0, 15, step=1, value=3, label="n, for a step of h = 10⁻ⁿ", show_value=True)
    return (exponent,)


@app.cell
def _():
    steps = 10 ** -np.linspace(0, 15, 61)

    def errors_over_steps(dtype, sides):
        """The relative error of the slope of x³ by step: the median over 201 x from 1 to 2."""
        def f(x):
            return (Tensor(x) ** 3).numpy()

        def error(h):
            rise = (f(x + h) - f(x - h)) / (2 * h) if sides == 2 else (f(x + h) - f(x)) / h
            return np.median(np.abs(rise / (3 * x.astype(np.float64) ** 2) - 1))

        x = np.linspace(1, 2, 201).astype(dtype)
        return np.array([error(h) for h in steps.astype(dtype)])

    curves = {(dtype, sides): errors_over_steps(dtype, sides) for dtype in ("float64", "float32") for sides in (1, 2)}
    return curves, steps


@app.cell
def _(curves, exponent, steps):
    def at_one_step(h, x=1.5):
        """(one-sided, central) difference of x³ and the slope by backward()."""
        def f(x):
            return (Tensor(np.float64(x), requires_grad=True) ** 3).item()

        t = Tensor(np.float64(x), requires_grad=True)
        (t**3).backward()
        return (f(x + h) - f(x)) / h, (f(x + h) - f(x - h)) / (2 * h), t.grad.item()

    step = 10.0 ** -int(exponent.value)
    one_sided, central, slope = at_one_step(step)
    noise = 8 * np.finfo(np.float64).eps * (1.5 + step) ** 3 / step
    assert abs(one_sided - slope - (3 * 1.5 * step + step**2)) <= noise
    assert abs(central - slope - step**2) <= noise
    def draw_curves():
        drawing = figure(5.6, 3.4)
        axes = drawing.subplots()
        for (dtype, sides), errors in curves.items():
            axes.loglog(steps, np.maximum(errors, 1e-13), "-" if sides == 2 else ":", lw=2,
                        color="C0" if dtype == "float64" else "C1", label=f"{dtype}, {SIDES[sides]}")
        axes.axvline(step, color="black", lw=1)
        axes.text(step, 30, "  h", va="top")
        axes.set(xlabel="step h", ylabel="relative error of the slope", xlim=(3e-16, 10), ylim=(1e-13, 100))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
        return drawing

    SIDES = {1: "one side", 2: "both sides"}
    mo.vstack([
        say("""
            ## One side or both, and how large a step

            The slope of $y = x^3$ is $3x^2$. We measure it by a small step $h$, either to one side or to both sides.
            The picture shows how far the measured slope is off, as a share of the slope, for all sizes of the step. So
            that chance does not decide, each point is the median for 201 values of $x$ from 1 to 2. A number of the
            kind float64 (double precision) has about 16 digits, one of float32 (single precision) about 7. Move $n$:
        """),
        exponent,
        picture(draw_curves(), "The error of the slope over the step, four curves like a V: in double and in single "
                               f"precision, by one side and by both. A line marks h = {step:g}."),
        say(f"With a step of $h$ = {step:g} at $x = 1.5$:", table(["slope by", "∂y/∂x", "error"], [
            ["`y.backward()`", slope, slope - 3 * 1.5**2],
            ["one side, (f(x + h) − f(x)) / h", one_sided, one_sided - slope],
            ["both sides, (f(x + h) − f(x − h)) / 2h", central, central - slope],
        ]), """
            If you multiply out, one side gives $3x^2 + 3xh + h^2$ and both sides give $3x^2 + h^2$: whatever bends the
            curve in the same way on both sides cancels. So the errors in the table should be $3xh + h^2$ and $h^2$, and
            with a tenth of the step, the first error falls to a tenth
            and the second to a hundredth. This goes well for a while, and then it gets worse again.
        """),
    ])
    return (SIDES,)


@app.cell
def _(SIDES, curves, steps):
    def bottom(dtype, sides):
        errors, eps = curves[dtype, sides], np.finfo(dtype).eps
        best, predicted = steps[errors.argmin()], eps ** (1 / (1 + sides))
        assert 0.05 < best / predicted < 20 and errors.min() < 30 * predicted**sides
        return [dtype, SIDES[sides], *(f"{number:.0e}" for number in (best, predicted, errors.min()))]

    bottoms = [bottom(*which) for which in curves]
    defaults = {name: p.default for name, p in inspect.signature(gradcheck).parameters.items()}
    assert curves["float32", 2].min() > 1e3 * curves["float64", 2].min()
    say("""
        ## Neither too large nor too small

        Each curve in the picture is a V. To the **right** of its lowest point the step is too large: the curve bends
        within the step. To the **left** the step is too small. There $f(x + h)$ and $f(x - h)$ agree in nearly all
        their digits, so that their difference is mostly the noise of rounding, and the division by $2h$ makes that
        noise large. Where the curves of float32 are flat, the step is lost altogether: $x + h$ is rounded to $x$
        again, the measured slope is 0, and all of the slope is missing.
    """, f"""
        The lowest point lies where both errors are about the same. Rounding costs about $ε / h$, where $ε$ is the
        distance from 1 to the next number that the computer knows: {np.finfo("float64").eps:.1e} in float64,
        {np.finfo("float32").eps:.1e} in float32. The bend costs about $h$ from one side, and $ε / h = h$ gives a best
        step of about $ε^{{1/2}}$. From both sides it costs about $h^2$, and $ε / h = h^2$ gives about $ε^{{1/3}}$:

    """, table(["numbers", "slope by", "best h", "predicted", "error there"], bottoms), f"""
        In single precision (float32) no step gets below {curves["float32", 2].min():.0e}, so a fault of that size
        cannot be told from rounding. This is why `gradcheck` computes in double precision (float64), whatever the
        network trains in. Its first step is {defaults["step"]:.0e} times the size of the numbers. From several larger
        steps it computes how much the bend costs, and subtracts that. It also measures by how much the function and its
        backward round, and calls a gradient wrong only if its error is larger than that can explain.
    """)
    return


@app.cell
def _():
    def at_zero(h=1e-6):
        x = Tensor(np.array([-1.0, 0.0, 2.0]), requires_grad=True)
        ops.relu(x).sum().backward()

        def f(x):
            return ops.relu(Tensor(x)).numpy()

        v = x.numpy()
        return v, (f(v) - f(v - h)) / h, (f(v + h) - f(v)) / h, (f(v + h) - f(v - h)) / (2 * h), x.grad.numpy()

    v, below, above, both, said = at_zero()
    report = gradcheck(ops.relu, v)
    assert np.allclose(both, [0, 0.5, 1]) and np.array_equal(said, [0, 0, 1])
    assert list(report.kinks.values()) == [1]

    def slope_at_zero(slope):
        """What the check says of a backward of ReLU with this slope at 0."""
        def backward(gy, x):
            return gy * np.where(x == 0, slope, x > 0)

        try:
            gradcheck(lambda x: np.maximum(x, 0), v, backward=backward)
        except GradientError as error:
            return error.verdicts[0].name
        return "right"

    allowed = {slope: slope_at_zero(slope) for slope in (0.0, 0.3, 1.0, 2.0, -1.0)}
    assert [verdict == "right" for verdict in allowed.values()] == [True, True, True, False, False]
    say("""
        ## Where there is no slope

        ReLU is max(x, 0), an activation function that chapter 8 is about. At 0 it has a kink: the slope is 0 on the
        left and 1 on the right.

    """, table(["x", "left", "right", "both", "backward"],
             [list(row) for row in np.stack([v, below, above, both, said], axis=1)]), f"""
        At 0 the difference over both sides gives {both[1]:g}, the slope of neither side. `backward()` gives
        {said[1]:g}, and that is not wrong: any number between 0 and 1 would do. `gradcheck` notices that left and right
        disagree. It leaves the element out and counts it: `report.kinks` is `{report.kinks}`, one element of the first
        input, which is called x. But it still checks that the slope from backward lies between the two. Here is what it
        says of some backwards of ReLU. "kink or tie" is its name for a slope that no side of the kink allows:

    """, table(["their slope at 0", "the check says"], [[slope, verdict] for slope, verdict in allowed.items()]), """
        It is the same with the maximum of several numbers, which pooling takes (chapter 6). If two of them are equally
        large, a tie, the gradient may go to either of them, but not to both.
    """)
    return


@app.cell
def _():
    def right(gy, y):
        return y * (gy - (gy * y).sum())

    def no_factor(gy, y):
        return gy - (gy * y).sum()

    def nothing(gy, y):
        return np.zeros(y.shape)

    def furthest(backward, u, h=1e-6):
        """The largest difference between a backward of softmax, and differences of L = Σ y · u."""
        def f(x):
            return ops.softmax(Tensor(x)).numpy()

        x = np.array([0.5, -1.0, 2.0, 0.0])
        slopes = [((f(x + h * e) - f(x - h * e)) * u).sum() / (2 * h) for e in np.eye(4)]
        return np.abs(backward(u, f(x)) - slopes).max()

    drawn = np.random.default_rng(0).standard_normal(4)
    off = {backward: [furthest(backward, u) for u in (np.ones(4), drawn)] for backward in (right, no_factor, nothing)}
    assert all(ones < 1e-9 for ones, _ in off.values())
    assert off[right][1] < 1e-9 and off[no_factor][1] > 0.1 and off[nothing][1] > 0.1
    say("""
        ## Why u is random

        A layer has many outputs, but a difference needs a single number. The obvious choice is the sum of all outputs,
        and it is a trap. Softmax turns any numbers into shares that add up to 1. Their sum never changes, so its
        gradient is 0. A backward that gives 0 here passes the check, however wrong it is with another loss. So
        `gradcheck` gives each output a random factor $u$ and takes the sum $L = Σ\\, y · u$. That loss grows by $u$
        when $y$ grows by 1, so $u$ is also the `gy` that backward is given. This is the largest error of three
        backwards of softmax:

    """, table(["backward", "with u = 1, 1, …", "with a random u"], [
        ["y · (gy − Σ gy · y), right", *(f"{e:.0e}" for e in off[right])],
        ["gy − Σ gy · y, a factor lost", *(f"{e:.0e}" for e in off[no_factor])],
        ["0", *(f"{e:.0e}" for e in off[nothing])],
    ]), """
        With ones, no mistake is caught: all that is left is rounding. Chance also makes the check cheap: it moves *all*
        numbers of an input at once, along a random line, and compares a single slope. Only if that slope is wrong does
        it look at each number by itself, to find out what is wrong.
    """)
    return


@app.cell
def _():
    program = '''\
kept = {}  # what forward keeps for backward

def windows(x, size, stride):  # (N, C, P, Q, R, S)
    seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return seen[:, :, ::stride, ::stride]

def padded(x):
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))

def conv(x, w, b):
    seen = windows(padded(x), 3, 1)
    return np.einsum("ncpqrs,kcrs->nkpq", seen, w, optimize=True) + b[:, None, None]

def conv_backward(gy, x, w, b):
    (N, C, H, W), seen = x.shape, windows(padded(x), 3, 1)
    gw = np.einsum("nkpq,ncpqrs->kcrs", gy, seen, optimize=True)
    gb = gy.sum(axis=(0, 2, 3))
    sent = np.einsum("nkpq,kcrs->ncpqrs", gy, w, optimize=True)
    gx = np.zeros((N, C, H + 2, W + 2))
    for r, s in np.ndindex(3, 3):
        gx[:, :, r : r + H, s : s + W] += sent[..., r, s]  # windows overlap
    return gx[:, :, 1:-1, 1:-1], gw, gb

def relu(x):
    return np.maximum(x, 0)

def relu_backward(gy, x):
    return gy * (x > 0)

def pool(x):
    return windows(x, 3, 2).max(axis=(4, 5))

def pool_backward(gy, x):
    N, C, P, Q = gy.shape
    best = windows(x, 3, 2).reshape(N, C, P, Q, 9).argmax(axis=4)
    gx = np.zeros(x.shape)
    for r, s in np.ndindex(3, 3):
        gx[:, :, r : r + 2 * P : 2, s : s + 2 * Q : 2] += gy * (best == 3 * r + s)
    return gx

def mask(x, key):
    return 2 * np.random.default_rng(key).integers(2, size=x.shape)

def dropout(x, key):
    return x * mask(x, key)

def dropout_backward(gy, x, key):
    return gy * mask(x, key)

def linear(x, w, b):
    return x @ w.T + b

def linear_backward(gy, x, w, b):
    return gy @ w, gy.T @ x, gy.sum(axis=0)

def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def softmax_backward(gy, x):
    y = softmax(x)
    return y * (gy - (gy * y).sum(axis=1, keepdims=True))

def loss(y, labels):
    return -np.log(y[np.arange(len(y)), labels]).mean()

def loss_backward(gy, y, labels):
    return -gy / len(y) / y * (labels[:, None] == np.arange(y.shape[1]))

def network(b3, w3, b2, w2, b1, w1, x, labels, key):
    z1 = conv(x, w1, b1)
    a1 = relu(z1)
    h1 = pool(a1)
    z2 = conv(h1, w2, b2)
    a2 = relu(z2).reshape(len(x), -1)
    h2 = a2 if key is None else dropout(a2, key)
    z3 = linear(h2, w3, b3)
    y = softmax(z3)
    kept["network"] = z1, a1, h1, z2, a2, h2, z3, y
    return loss(y, labels)

def network_backward(gy, b3, w3, b2, w2, b1, w1, x, labels, key):
    z1, a1, h1, z2, a2, h2, z3, y = kept["network"]
    g = softmax_backward(loss_backward(gy, y, labels), z3)
    g, gw3, gb3 = linear_backward(g, h2, w3, b3)
    g = dropout_backward(g, a2, key).reshape(z2.shape)
    g, gw2, gb2 = conv_backward(relu_backward(g, z2), h1, w2, b2)
    g = relu_backward(pool_backward(g, a1), z1)
    gx, gw1, gb1 = conv_backward(g, x, w1, b1)
    return gb3, gw3, gb2, gw2, gb1, gw1, gx, None, None

def update(w, v, g, rate=0.01, momentum=0.9, decay=0.005):
    v[...] = momentum * v - rate * (g + decay * w)
    w += v
'''
    FAULTS = {  # name: (a part of the program, what becomes of it, how that comes about)
        "loss: wrong sign": (
            "return -gy / len(y) / y *", "return gy / len(y) / y *", "The minus of −ln was forgotten on the way back."),
        "conv gb: mean for sum": (
            "gb = gy.sum(axis=(0, 2, 3))", "gb = gy.mean(axis=(0, 2, 3))",
            "The bias is used at every place of every image, so it gets the sum. A mean looks right, and is not."),
        "conv gw: transposed": (
            'gw = np.einsum("nkpq,ncpqrs->kcrs"', 'gw = np.einsum("nkpq,ncpqrs->kcsr"',
            "Two letters have changed places. The kernels are square, so every shape still fits."),
        "conv gx: = for +=": (
            "s : s + W] += sent[..., r, s]", "s : s + W] = sent[..., r, s]",
            "Up to nine windows see a pixel, and what they send back must be added up."),
        "conv gx: off by one": (
            "return gx[:, :, 1:-1, 1:-1]", "return gx[:, :, :-2, :-2]",
            "The frame of zeros is cut off below and on the right only, so everything has moved by a pixel."),
        "conv gx: border left out": (
            "gx[:, :, r : r + H, s : s + W] += sent[..., r, s]",
            "gx[:, :, r + 1 : r + H - 1, s + 1 : s + W - 1] += sent[:, :, 1:-1, 1:-1, r, s]",
            "Windows that reach over the border send nothing back."),
        "ReLU: mask missing": (
            "return gy * (x > 0)", "return gy", "What ReLU has cut off gets a gradient nevertheless."),
        "ReLU: mask of wrong layer": (
            "pool_backward(g, a1), z1)", "pool_backward(g, a1), x)",
            "The mask is made of the pictures, one layer too early. NumPy stretches it to the shape without a word."),
        "pool: to every place": (
            "+= gy * (best == 3 * r + s)", "+= gy",
            "All nine places of a window get the gradient that belongs to the largest."),
        "softmax: term missing": (
            "return y * (gy - (gy * y).sum(axis=1, keepdims=True))", "return y * (gy - gy * y)",
            "Each share is taken to depend on its own input only. But when one share grows, all the others shrink."),
        "dropout: mask drawn anew": (
            "return gy * mask(x, key)", "return gy * mask(x, random)",
            "Backward tosses the coins again, and drops other units than forward did."),
        "conv gw: stale windows": (
            "seen = x.shape, windows(padded(x), 3, 1)",
            "seen = x.shape, kept.setdefault(x.shape, windows(padded(x), 3, 1))",
            "The windows are kept, by shape, to save time. All later batches of this shape get those of the first."),
        "conv gw: single precision": (
            "1:-1, 1:-1], gw, gb", "1:-1, 1:-1], gw.astype(np.float32), gb", "A conversion to float32 was left in."),
        "update: decay twice": (
            "w += v", "w += v - rate * decay * w",
            "Weight decay, which draws every weight a little towards 0, is inside v already."),
    }
    assert all(program.count(part) == 1 for part, _, _ in FAULTS.values())

    def built(fault="none"):
        """The names of the program, with a fault in it."""
        part, becomes, _ = FAULTS.get(fault, ("\n", "\n", ""))
        names = {"np": np, "random": np.random.default_rng(0)}
        exec(compile(program.replace(part, becomes), "<network>", "exec"), names)
        return names
    return FAULTS, built, program


@app.cell
def _(program):
    def pictures(count, random):
        """(N, 1, 9, 9) and labels: stripes in four directions, shifted by chance, with noise."""
        labels = random.permutation(np.arange(count) % 4)
        h, w = np.mgrid[:9, :9]
        along = np.stack([h, w, h + w, h - w])[labels]
        shift = random.uniform(0, 2 * np.pi, (count, 1, 1))
        x = np.sin(along * np.pi / 2 + shift) + 0.3 * random.standard_normal((count, 9, 9))
        return x[:, None], labels

    def weights():
        """b3, w3, b2, w2, b1, w1: from the last layer to the first."""
        random = np.random.default_rng(1)
        return [part for shape in ((4, 128), (8, 6, 3, 3), (6, 1, 3, 3))
                for part in (np.zeros(shape[0]), random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])))]

    def draw_pictures():
        drawing = figure(5.6, 1.7)
        x, labels = pictures(16, np.random.default_rng(2))
        for label, axes in enumerate(drawing.subplots(1, 4)):
            axes.imshow(x[labels == label][0, 0], cmap="gray")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"class {label}", fontsize=10)
        return drawing

    mo.vstack([
        say(f"""
            ## Break it

            Here is a network of {sum(w.size for w in weights()):,} numbers. It is written in plain NumPy, and its
            backward is written by hand. Its task is to tell four kinds of stripes apart:
        """),
        picture(draw_pictures(), "Four noisy pictures of 9 by 9 pixels: stripes across, stripes down, and stripes in "
                                 "both slanting directions."),
        say("""
            Its layers are: conv (6 kernels, 3 × 3) → ReLU → max-pooling (3 × 3, 2 apart) → conv (8 kernels, 3 × 3) →
            ReLU → dropout → linear → softmax → loss.

            Later chapters are about these layers. Here you need to know only what they do. A convolution, conv, moves
            small grids of weights, its kernels, over the picture and sums up products (chapter 5). Max-pooling keeps
            the largest number of each window of 3 × 3 (chapter 6). Dropout sets half of the numbers to 0 by chance
            (chapter 9). The two convolutions have the weights w1 and w2 and the biases b1 and b2, and the linear layer
            has w3 and b3. In the program, `einsum` sums up products over the indexes that its letters name.
        """),
        mo.accordion({f"The program, {program.count(chr(10))} lines": mo.md(f"```python\n{program}```")}),
    ])
    return pictures, weights


@app.cell
def _(built, pictures, weights):
    def by_minicnn(ws, x, labels, mask):
        """The loss and all gradients, by the engine."""
        b3, w3, b2, w2, b1, w1, x = leaves = [Tensor(a, requires_grad=True) for a in (*ws, x)]
        h = ops.max_pool2d(ops.conv2d(x, w1, b1, padding=1).relu(), size=3, stride=2)
        h = ops.conv2d(h, w2, b2, padding=1).relu().flatten() * mask
        y = ops.cross_entropy(ops.linear(h, w3, b3), labels)
        y.backward()
        return y.item(), [leaf.grad.numpy() for leaf in leaves]

    def same_steps_as_sgd(net, w, g):
        """Whether update() does what minicnn's SGD does, twice."""
        theirs, ours, v = Tensor(w, requires_grad=True), w.copy(), np.zeros(w.shape)
        sgd = optim.SGD([("w", theirs)], lr=0.01, momentum=0.9, weight_decay=0.005)
        for _ in range(2):
            theirs.grad = Tensor(g)
            sgd.step()
            net["update"](ours, v, g)
        return np.allclose(ours, theirs.numpy(), rtol=0, atol=1e-12)

    def compare():
        net, ws, (x, labels) = built(), weights(), pictures(16, np.random.default_rng(4))
        ours = net["network"](*ws, x, labels, 0)
        gs = net["network_backward"](1.0, *ws, x, labels, 0)[:7]
        theirs, their_gs = by_minicnn(ws, x, labels, net["mask"](net["kept"]["network"][4], 0))
        apart = max(np.abs(g - t).max() for g, t in zip(gs, their_gs, strict=True))
        steps = [same_steps_as_sgd(built(fault), ws[3], gs[3]) for fault in ("none", "update: decay twice")]
        return ours, theirs, apart, steps

    loss_by_hand, loss_by_minicnn, apart, same_steps = compare()
    assert abs(loss_by_hand - loss_by_minicnn) < 1e-12 and apart < 1e-12 and same_steps == [True, False]
    say(f"""
        As it stands, the program is right. Its loss on the first batch is {loss_by_hand:.6f}. The same network built of
        minicnn's ops has a loss of {loss_by_minicnn:.6f}, and the gradients of weights, biases and pixels differ by
        {apart:.0e} at most. Each of the faults below changes one line of the program. Choose one: then the network is
        trained with it and shown pictures that it was not trained on, and `gradcheck` looks at its gradients. Where a
        verdict names a line, it is one of the program.
    """)
    return


@app.cell
def _(FAULTS, built, pictures, weights):
    STEPS = 60
    unseen = pictures(48, np.random.default_rng(2))

    def trained(net):
        """The loss on pictures that are not trained on, without dropout: before the first step, and after each."""
        random, ws, losses = np.random.default_rng(3), weights(), []
        vs = [np.zeros(w.shape) for w in ws]
        with np.errstate(all="ignore"):  # some faults lead to infinity
            for step in range(STEPS):
                losses.append(net["network"](*ws, *unseen, None))
                x, labels = pictures(16, random)
                net["network"](*ws, x, labels, step)
                gs = net["network_backward"](1.0, *ws, x, labels, step)
                for w, v, g in zip(ws, vs, gs[: len(ws)], strict=True):
                    net["update"](w, v, g)
            losses.append(net["network"](*ws, *unseen, None))
        return np.array(losses)

    def whole(net):
        """What the check says of the network with its first weights. Inputs are looked at from the last layer to the
        first, as gradients go, so the first one that is wrong is the one next to the fault."""
        try:
            return gradcheck(net["network"], *weights(), *pictures(16, np.random.default_rng(4)), 0,
                             backward=net["network_backward"], elements=25)
        except GradientError as error:
            return error

    def alone(net):
        """(layer, what the check says) of the first layer that is wrong by itself, from the last to the first."""
        random = np.random.default_rng(5)
        shapes = {"loss": [(5, 4)], "softmax": [(5, 4)], "linear": [(5, 4), (3, 4), 3], "dropout": [(4, 5)],
                  "relu": [(4, 5)], "pool": [(2, 2, 5, 5)], "conv": [(2, 2, 6, 6), (3, 2, 3, 3), 3]}
        for layer in shapes:
            inputs = [random.standard_normal(shape) for shape in shapes[layer]]
            inputs += {"loss": [np.array([0, 1, 2, 3, 0])], "dropout": [0]}.get(layer, [])
            inputs[0] = np.exp(inputs[0]) if layer == "loss" else inputs[0]  # it takes the logarithm

            def backward(gy, *inputs, layer=layer):
                found = net[f"{layer}_backward"](gy, *inputs)
                found = found if isinstance(found, tuple) else (found,)
                return *found, *[None] * (len(inputs) - len(found))  # labels and keys have no gradient

            try:
                gradcheck(net[layer], *inputs, backward=backward, elements=100)
            except GradientError as error:
                return layer, error
        return "", None

    def looked_at(fault):
        net = built(fault)
        return trained(net), whole(net), *alone(net)

    results = {fault: looked_at(fault) for fault in ("none", *FAULTS)}
    fresh = whole(built("conv gw: stale windows"))  # before any batch has gone through
    return fresh, results


@app.cell
def _(FAULTS):
    fault = mo.ui.dropdown(["none", *FAULTS], value="none", label="fault")
    return (fault,)


@app.cell
def _(FAULTS, fault, program, results):
    def number(loss):
        return f"{loss:.4f}" if np.isfinite(loss) else "overflow"

    def draw_losses(chosen):
        drawing = figure(5.6, 2.8)
        axes = drawing.subplots()
        axes.plot(results["none"][0], label="healthy")
        if chosen != "none":
            axes.plot(results[chosen][0], "--", lw=2, label=chosen)
        axes.axhline(np.log(4), color="gray", lw=1, ls=":", label="guessing, ln 4")
        axes.set(xlabel="steps", ylabel="loss on other pictures", ylim=(-0.1, 3))
        axes.grid(alpha=0.3)
        axes.legend()
        return drawing

    def what_is_wrong(chosen):
        if chosen == "none":
            return ["Nothing is broken yet. Choose a fault."]
        part, becomes, why = FAULTS[chosen]
        line = next(line.strip() for line in program.splitlines() if part in line)
        return [why, f"```text\nright:  {line}\nwrong:  {line.replace(part, becomes)}\n```"]

    def what_the_check_says(chosen):
        _, found, layer, error = results[chosen]
        if not isinstance(found, GradientError):
            parts = [f"**The check: right.** The largest relative error is {found.error:.1e}, found with "
                     f"{found.evaluations} evaluations of the network."]
            if chosen != "none":
                parts += ["And the check is right: every gradient is what it should be. The fault lies in what is done "
                          "with the gradients, in the update, and a gradient check knows nothing of that. An update "
                          "has to be compared with its formula, or with another program: two steps of this one differ "
                          "from two steps of `minicnn.optim.SGD`."]
            return parts
        head = ("**The check of the whole network: wrong**, "
                f"{'in all that comes back' if found.input == 'output' else 'first in ' + found.input}.")
        if layer:
            return [f"{head} If each layer is checked alone, `{layer}` is wrong.", in_words(error)]
        return [f"{head} Yet each layer is right when it is checked alone. So the fault lies in what one layer hands "
                "to another, or in what it keeps.", in_words(found)]

    chosen = fault.value
    start_loss, end_loss, healthy_loss = results[chosen][0][0], results[chosen][0][-1], results["none"][0][-1]
    assert (chosen in ("none", "update: decay twice")) != isinstance(results[chosen][1], GradientError)
    mo.vstack([
        fault,
        say(f"### Fault: {chosen}", *what_is_wrong(chosen)),
        picture(draw_losses(chosen), f"The loss over {len(results[chosen][0]) - 1} steps: healthy from "
                f"{number(start_loss)} to {number(healthy_loss)}"
                + (f", with the fault “{chosen}” to {number(end_loss)}." if chosen != "none" else ".")),
        say(f"The loss begins at {number(start_loss)} and ends at **{number(end_loss)}**. Without a fault it ends at "
            f"**{number(healthy_loss)}**.", *what_the_check_says(chosen)),
    ])
    return (number,)


@app.cell
def _(FAULTS, fresh, number, results):
    def row(fault):
        losses, found, layer, error = results[fault]
        if not isinstance(found, GradientError):
            return [f"**{fault}**", number(losses[-1]), "nothing", "right"]
        verdicts = (error or found).verdicts
        said = ", ".join(v.name for v in verdicts) or "no known mistake"
        place = found.input.split("(")[-1].rstrip(")")
        return [fault, number(losses[-1]), "any" if place == "output" else place, f"{layer or 'between'}: {said}"]

    ends = {fault: losses[-1] for fault, (losses, *_) in results.items()}
    in_order = sorted(ends, key=lambda fault: ends[fault] if np.isfinite(ends[fault]) else np.inf)
    healthy = ends["none"]
    harmless = {"none", "update: decay twice"}  # their gradients are right
    broken = [fault for fault in FAULTS if fault not in harmless]
    assert all(isinstance(results[fault][1], GradientError) for fault in broken), "each is found"
    assert not any(isinstance(results[fault][1], GradientError) for fault in harmless)
    visible = [fault for fault in broken if "single" not in fault]  # by more than rounding
    falling = [fault for fault in broken if ends[fault] < np.log(4) / 2]
    near = [fault for fault in visible if abs(ends[fault] / healthy - 1) < 0.05]
    better = [fault for fault in visible if ends[fault] < healthy]
    assert len(falling) >= 6 and near and better
    assert "not a little away" in str(fresh), "the stale windows of the first batch are those of the first batch alone"
    say("""
        ## What the loss knows

        These are all the faults, in the order of the loss that the training ends with, where "overflow" is one that
        float64 can no longer hold. Then comes the first parameter whose gradient is wrong, "any" where all of them are,
        and at the end the layer that is wrong if it is checked alone, with the verdict on it. "between" says that no
        layer is.

    """, table(["fault", "loss", "first wrong", "layer: verdict"], [row(fault) for fault in in_order]), f"""
        - **A falling loss proves nothing.** With {len(falling)} of the {len(broken)} wrong gradients, the loss falls to
          less than half of what guessing costs. "{near[0]}" ends at {number(ends[near[0]])}, and the healthy network at
          {number(healthy)}. Even a *lower* loss proves nothing: {len(better)} of the faults end below the healthy
          network. Steps in a wrong direction may still lead downhill, and in so small a task they may do it even
          faster.
        - **The check finds all {len(broken)}**, and mostly it says what they look like. It is given the inputs in the
          order in which gradients flow, from the last layer to the first: b3, w3, b2 and so on. Everything between the
          loss and the fault is right, so the *first* input that is wrong shows where to look.
        - **It checks gradients and nothing else.** "update: decay twice" passes, and rightly so.
        - **It looks twice.** "conv gw: stale windows" is easy to find once a batch has gone through, as in training. In
          a fresh network, the first windows are the right ones, and so the gradient is right, too. But the check looks
          again a little away from the inputs that it was given, and there the gradient is wrong.
    """)
    return


@app.cell
def _():
    named = five_mistakes.verdicts()
    names = [verdict.name for _, _, verdict in named]
    assert names == ["input for output", "wrong axis", "statistics as constants", "= for +=", "one branch"]

    def written(backward):
        """The line that matters: the last, or of one that fills an array the one that writes to it."""
        lines = [line.strip() for line in inspect.getsource(backward).strip().splitlines()]
        return f"`{next((line for line in lines if line.startswith('g[')), lines[-1])}`"

    say("""
        ## Five that people make

        These five mistakes come from courses and issue trackers. They are in `five_mistakes.py`, beside this chapter,
        and the lines that the verdicts name are lines of that file. Two of the functions may be new to you: batch_norm
        shifts and scales every column to mean 0 and variance 1, and embedding looks up the rows of a table by the
        numbers of words. If you write a backward by hand in NumPy, the check also searches for the slip in it. It runs
        your function and your backward once more, on arrays that write down every operation. Then it changes one thing
        at a time, and looks whether the gradient comes out right.

    """, "\n\n".join(f"- **{function.__name__}**: the backward has {written(backward)}. The check says "
                     f"**{verdict.name}**: {verdict.text}." for function, backward, verdict in named))
    return


@app.cell
def _():
    start = '''def backward(gy, z, labels):
    # p = softmax(z), one row for each image;
    # the loss is the mean over the images of −ln p[label]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    images = np.arange(len(z))
    gz = np.zeros(z.shape)
    gz[images, labels] = p[images, labels] - 1
    return gy * gz / len(z), None  # labels have no gradient
'''
    answer = start.replace("gz = np.zeros(z.shape)", "gz = p.copy()  # the more of a class, the less of the right one")
    answer = answer.replace("gz[images, labels] = p[images, labels] - 1", "gz[images, labels] -= 1")
    tries = {
        "turn the sign": start.replace("p[images, labels] - 1", "1 - p[images, labels]"),
        "the others without the 1": answer.replace("    gz[images, labels] -= 1\n", ""),
        "p as a whole, but not divided by N": answer.replace(" / len(z)", ""),
        "keep gy out of it": answer.replace("gy * gz", "gz"),
    }

    def check(backward):
        def softmax_loss(z, labels):
            return ops.cross_entropy(Tensor(z), labels).numpy()

        z = np.random.default_rng(0).standard_normal((5, 3))
        gradcheck(softmax_loss, z, np.array([0, 1, 2, 0, 1]), backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        Here softmax and the loss are one function, and $z$ (N, classes) are the logits, one row for each image. In part
        4 of the step in chapter 0 you have seen the gradient of one row. This backward pushes the right class up, but
        it leaves the other classes alone. Mend it. Below it stands what `gradcheck` says of the answer.
    """)
    return answer, asked, check, start, tries


@app.cell
def _(start):
    editor = answer_box(start, "your backward")
    editor
    return (editor,)


@app.cell
def _(asked, check, editor):
    say(attempt(editor.value, asked, check)[1])
    return


@app.cell
def _(answer):
    one_answer(answer)
    return


if __name__ == "__main__":
    app.run()
