"""Chapter 3: shapes. What was copied forwards is summed backwards; bias gradients; products found from their shapes."""

import marimo

app = marimo.App(app_title="3 · Shapes")

with app.setup:
    import inspect
    import itertools

    import marimo as mo
    import numpy as np
    from matplotlib.patches import Rectangle
    from page import answer_box, attempt, figure, one_answer, picture, say, table

    from minicnn import GradientError, Tensor, gradcheck, ops
    from minicnn.ops.arithmetic import summed_to


@app.cell
def _():
    def gradients(function, *arrays, gy):
        """The gradients of all inputs by the engine, given that of the output."""
        inputs = [Tensor(array, requires_grad=True) for array in arrays]
        function(*inputs).backward(gy)
        return [x.grad.numpy() for x in inputs]

    def verdict(function, *arrays, backward):
        """What gradcheck says of a backward written by hand."""
        try:
            gradcheck(function, *arrays, backward=backward)
        except GradientError as error:
            return str(error)
        return "right"

    def written(shape):
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"

    say("""
        # 3 · Shapes

        A gradient has the shape of its value, **always**: each number of an array has a slope of its own, and there is
        nothing else to have one. This chapter shows how far one gets with that. It tells where a backward has to sum,
        over which axes, and in a matrix product even what to multiply.
    """)
    return gradients, verdict, written


@app.cell
def _(written):
    pairs = {f"{written(a)} + {written(b)}": (a, b) for a, b in [
        ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), (1, 3)), ((3, 1), (1, 4)), ((2, 3), (1,)), ((2, 3), ()),
        ((2, 3), (2, 3))]}
    pair = mo.ui.dropdown(list(pairs), value=next(iter(pairs)), label="shapes of a + b")
    pair
    return pair, pairs


@app.cell
def _(gradients, pair, pairs, written):
    def numbers_for(A, B):
        random = np.random.default_rng(3)
        a, b = random.integers(-4, 5, A).astype(float), random.integers(-4, 5, B).astype(float)
        return a, b, random.integers(1, 10, np.broadcast_shapes(A, B)).astype(float)

    def owners(shape, out):
        """For each place of the output: the number of the element that was copied to it."""
        return np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), out)

    def by_owner(g, shape):
        """Each element collects the gradient of all places it was copied to."""
        sums = np.zeros(np.prod(shape, dtype=int))
        for owner, share in zip(owners(shape, g.shape).flat, g.flat, strict=True):
            sums[owner] += share
        return sums.reshape(shape)

    A, B = pairs[pair.value]
    a, b, gy = numbers_for(A, B)
    ga, gb = gradients(ops.add, a, b, gy=gy)
    assert np.array_equal(ga, by_owner(gy, A)) and np.array_equal(gb, by_owner(gy, B))
    assert np.array_equal(gb, summed_to(gy, B)) and gb.sum() == gy.sum()
    assert ga.shape == A and gb.shape == B
    times_a, times_b = gradients(ops.multiply, a, b, gy=gy)
    assert np.array_equal(times_a, by_owner(gy * b, A)) and np.array_equal(times_b, by_owner(gy * a, B))
    axes = []
    for i, size in enumerate(gy.shape):
        own = i - (gy.ndim - len(B))
        axes.append([i, size, "none" if own < 0 else B[own],
                     "summed away" if own < 0 else "summed, kept as 1" if B[own] == 1 else "as it is"])
    say(f"""
        ## Copied forwards, summed backwards

        Where two shapes differ, NumPy stretches the smaller one: it **copies** its numbers until both fit. Here
        {written(A)} and {written(B)} both become {written(gy.shape)}. A number that was copied to several places is
        used several times, and as in chapter 1 what comes back along all its uses is added. So what was copied
        forwards is summed backwards.

        Of $b$, whose shape is {written(B)}:

    """, table(["axis of y", "its size", "of b", "gradient"], axes), f"""
        That is all the rule: an axis that $b$ does not have is summed away, one where $b$ has size 1 is summed, but
        kept. The engine's `gb` has the shape {written(gb.shape)} and sums up to {gb.sum():g}, as `gy` does: nothing was
        lost. Choose other shapes.
    """)
    return A, B, ga, gb, gy, owners


@app.cell
def _(A, B, ga, gb, gy, owners, written):
    def draw_flow():
        drawing = figure(7, 4.6)
        grid = drawing.subplots(2, 2, gridspec_kw={"width_ratios": [gy.shape[1], max(ga.shape[-1:] + gb.shape[-1:])]})
        for row, name, shape, g in zip(grid, "ab", (A, B), (ga, gb), strict=True):
            sides = ((f"gy: to which number of {name}", gy, owners(shape, gy.shape)),
                     (f"g{name} {written(shape)}", g, owners(shape, shape)))
            for axes, (title, values, to) in zip(row, sides, strict=True):
                flat, flat_to = np.atleast_2d(values), np.atleast_2d(to)
                axes.imshow(flat_to, cmap="cividis", vmin=-1.2 * g.size, vmax=max(1, g.size - 1), aspect="equal")
                for (i, j), value in np.ndenumerate(flat):
                    axes.text(j, i, f"{value:g}\n{name}{flat_to[i, j]}", ha="center", va="center", fontsize=9)
                axes.set(xticks=np.arange(flat.shape[1] + 1) - 0.5, yticks=np.arange(flat.shape[0] + 1) - 0.5)
                axes.tick_params(length=0, labelbottom=False, labelleft=False)
                axes.grid(color="white", lw=2)
                axes.set_title(title, fontsize=10)
        return drawing

    def collected_by(name, shape, g):
        to = owners(shape, gy.shape)
        return f"{name}0 collects {' + '.join(f'{share:g}' for share in gy[to == 0])} = {g.flat[0]:g}"

    picture(draw_flow(), f"Two rows, for a and for b. On the left gy, {written(gy.shape)}, each place marked with the "
                         "number that was copied to it; on the right the gradient, which sums over equal marks. "
                         f"{collected_by('a', A, ga)}; {collected_by('b', B, gb)}.")
    return


@app.cell
def _():
    source = inspect.getsource(summed_to)
    say("""
        ## The same in the engine

        Every operator of minicnn that broadcasts ends its backward with this function, from `ops/arithmetic.py`. Its
        first line sums the axes away that the shape lacks, its second those of size 1:

    """, f"```python\n{source}```", """
        For $y = a + b$ each use has slope 1, and it is `gy` that is summed. For $y = a \\cdot b$ it is `gy * a`: first
        multiply, place by place, then sum.
    """)
    return


@app.cell
def _():
    def unsummed(b, gy):
        """A step downhill with a gradient that was not summed, as two ways to write it go."""
        stepped = b - 0.1 * gy
        try:
            b -= 0.1 * gy
        except ValueError as error:
            return stepped.shape, str(error)
        raise AssertionError("NumPy made room")

    grown, told = unsummed(np.zeros(3), np.ones((2, 3)))
    assert grown == (2, 3) and "broadcast" in told
    say(f"""
        ## When nobody sums

        Let $b$ have the shape (3,) and hand it `gy` as it is, (2, 3). `b = b - 0.1 * gy` goes through, for NumPy
        stretches $b$ once more: $b$ now has the shape {grown}, a bias of its own for each image of the batch, and
        nothing has complained. `b -= 0.1 * gy` has no room for that, and NumPy says:

    """, f"```\n{told}\n```", """
        This is why minicnn's `backward()` compares the shapes, each gradient with its value, before it goes on.
    """)
    return


@app.cell
def _():
    batch = mo.ui.slider(1, 8, step=1, value=4, label="images in the batch, N", show_value=True)
    batch
    return (batch,)


@app.cell
def _(batch, gradients):
    N, inputs, K = int(batch.value), 5, 3
    draws = np.random.default_rng(5)
    x, w, b_linear = (draws.standard_normal(size) for size in ((N, inputs), (K, inputs), K))
    g_linear = draws.integers(-4, 5, (N, K)).astype(float) + 0.5  # + 0.5: so that few sums are 0
    gb_linear = gradients(ops.linear, x, w, b_linear, gy=g_linear)[2]

    def slopes(h=1e-6):
        """Each bias moved a little: how much L = Σ y · gy changes."""
        def loss(b):
            return (ops.linear(x, w, b).numpy() * g_linear).sum()

        return np.array([(loss(b_linear + h * e) - loss(b_linear - h * e)) / (2 * h) for e in np.eye(K)])

    measured, summed, averaged = slopes(), g_linear.sum(axis=0), g_linear.mean(axis=0)
    assert np.allclose(measured, summed, atol=1e-6) and np.array_equal(gb_linear, summed)
    assert np.allclose(averaged * N, summed) and (N == 1) == np.allclose(averaged, summed)
    say(f"""
        ## Sum or mean?

        A linear layer is $y = x w^T + b$ with $y$ (N, K), and $b$ (K,) is copied to every image of the batch. So its
        gradient is the **sum** over the batch, axis 0. With N = {N} images and K = {K} units, moving each bias a little
        and looking at the loss:

    """, table(["bias", "measured", "engine", "sum", "mean"],
               [[f"b{k}", round(float(measured[k]), 6), gb_linear[k], summed[k], averaged[k]] for k in range(K)]),
        f"""
        {"The mean is the sum divided by N." if N > 1 else "With one image mean and sum are the same, and the mistake "
         "cannot be seen: check a backward with a batch of more than one."}
    """)
    return K, N, g_linear, gb_linear


@app.cell
def _():
    def from_cross_entropy(n):
        logits = Tensor(np.random.default_rng(1).standard_normal((n, 3)), requires_grad=True)
        ops.cross_entropy(logits, np.zeros(n, int)).backward()
        share = logits.softmax().numpy() - np.eye(3)[np.zeros(n, int)]
        return np.allclose(logits.grad.numpy(), share / n)

    assert all(from_cross_entropy(n) for n in (1, 4, 16))
    say("""
        ## Where the mean really is

        But is the loss not a mean over the batch? It is, and its 1/N is the loss's own: `cross_entropy` divides by N,
        and so `gy` comes to each layer already divided. Who takes the mean in the layer divides twice. A layer sums,
        and does not know what its loss is.
    """)
    return


@app.cell
def _(K, N, gradients, verdict):
    P, Q = 2, 4
    random = np.random.default_rng(8)
    images, kernels, biases = (random.standard_normal(s) for s in ((N, 2, P + 2, Q + 2), (K, 2, 3, 3), (K,)))
    g_conv = random.integers(1, 10, (N, K, P, Q)).astype(float)
    gb_conv = gradients(ops.conv2d, images, kernels, biases, gy=g_conv)[2]
    assert np.array_equal(gb_conv, g_conv.sum(axis=(0, 2, 3))) and gb_conv.shape == (K,)
    without_bias = ops.conv2d(images, kernels).numpy()

    def layer(b):
        return without_bias + b[:, None, None]  # (N, K, P, Q) + (K, 1, 1)

    said = {way: verdict(layer, biases, backward=backward) for way, backward in {
        "mean": lambda gy, b: gy.mean(axis=(0, 2, 3)),
        "sum over the batch": lambda gy, b: gy.sum(axis=0),
        "sum over batch and places": lambda gy, b: gy.sum(axis=(0, 2, 3)),
    }.items()}
    assert "constant factor" in said["mean"] and f"1 / {N * P * Q}" in said["mean"]
    assert said["sum over the batch"] != said["sum over batch and places"] == "right"
    say(f"""
        ## One bias, every image and every place

        A convolution adds the bias $b_k$ to the whole map of kernel $k$, in every image: $y$ is (N, K, P, Q), and $b_k$
        serves N · P · Q = {N} · {P} · {Q} = {N * P * Q} numbers. Its gradient is the sum over all of them, the axes 0,
        2 and 3, and what is left is (K,). Written with the mean instead, `gy.mean(axis=(0, 2, 3))`, `gradcheck` says:

    """, f"```\n{said['mean']}\n```", """
        And of a sum over the batch alone, `gy.sum(axis=0)`:

    """, f"```\n{said['sum over the batch']}\n```", f"""
        Mended, `gy.sum(axis=(0, 2, 3))`: {said["sum over batch and places"]}. Move N: the factor moves with it.
    """)
    return P, Q, g_conv, gb_conv


@app.cell
def _(K, N, P, Q, g_conv, g_linear, gb_conv, gb_linear):
    def draw_biases():
        drawing = figure(7, 4.4)
        left, right = drawing.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.4]})
        for n, k in np.ndindex(N, K):
            left.text(k, n, f"{g_linear[n, k]:g}", ha="center", va="center", fontsize=9)
        for k in range(K):
            left.add_patch(Rectangle((k - 0.45, -0.45), 0.9, N - 0.1, fill=False, ec="C0", lw=1.5))
            left.annotate(f"{gb_linear[k]:g}", (k, N - 0.5), (k, N + 0.75), ha="center", va="center", weight="bold",
                          arrowprops={"arrowstyle": "<-", "color": "C0"})
        left.set(xlim=(-0.6, K - 0.4), ylim=(N + 1.2, -0.6))
        left.set_title(f"linear: gy ({N}, {K})\nsums over the batch", fontsize=10)
        for n in range(N):
            row, column = divmod(n, 2)
            for p, q in np.ndindex(P, Q):
                right.text(column * (Q + 0.6) + q, row * (P + 0.6) + p, f"{g_conv[n, 0, p, q]:g}", ha="center",
                           va="center", fontsize=9)
            right.add_patch(Rectangle((column * (Q + 0.6) - 0.5, row * (P + 0.6) - 0.5), Q, P, fill=False, ec="C1",
                                      lw=1.5))
        bottom = -(-N // 2) * (P + 0.6)
        right.annotate(f"{gb_conv[0]:g}", (Q - 0.2, bottom - 0.9), (Q - 0.2, bottom + 0.8), ha="center", va="center",
                       weight="bold", arrowprops={"arrowstyle": "<-", "color": "C1"})
        right.set(xlim=(-0.8, 2 * Q + 0.4), ylim=(bottom + 1.4, -0.8))
        right.set_title(f"conv2d: gy of kernel 0, {N} × ({P}, {Q})\none sum over batch and places", fontsize=10)
        for axes in (left, right):
            axes.axis("off")
        return drawing

    picture(draw_biases(), f"On the left gy of the linear layer, {N} rows and {K} columns, and below each column its "
                           f"sum: {', '.join(f'{g:g}' for g in gb_linear)}. On the right, of the convolution, the {N} "
                           f"maps of gy that belong to kernel 0, and one sum of all their numbers, {gb_conv[0]:g}.")
    return


@app.cell
def _(gradients):
    def reduced():
        x, rows = np.arange(6.0).reshape(2, 3), []
        for op, axis, gy in ((ops.sum, 0, [1, 2, 3]), (ops.sum, 1, [1, 2]), (ops.mean, 1, [1, 2]), (ops.mean, None, 1)):
            gy = np.array(gy, float)
            gx = gradients(lambda x, op=op, axis=axis: op(x, axis=axis), x, gy=gy)[0]
            n = x.size // gy.size if op is ops.mean else 1
            column = gy if axis is None else np.expand_dims(gy, axis)
            assert np.array_equal(gx, np.broadcast_to(column, x.shape) / n)
            inside = f"axis={axis}" if axis is not None else ""
            rows.append([f"`x.{op.__name__}({inside})`", f"`{gy.tolist()}`", f"`{np.round(gx, 2).tolist()}`"])
        return rows

    say("""
        ## And the other way round

        `sum` adds forwards, so it copies backwards: each number went into one sum with slope 1, and gets that sum's
        gradient. Of a mean over $n$ numbers each slope is 1/n, so it copies and divides by $n$. With $x$ (2, 3):

    """, table(["y", "gy", "gx"], reduced()), """
        Copying and summing are each other's backward. Before copying, the axis that was summed away has to come back
        with size 1, else a gradient of shape (2,) would not fit beside (2, 3), or, worse, one of shape (3,) would fit
        along the wrong axis.
    """)
    return


@app.cell
def _(gradients):
    def products(N, D, K):
        """All that can be made of gy and the other matrix, each as it is or transposed, in both orders."""
        random = np.random.default_rng(2)
        x, w, gy = (random.standard_normal(shape) for shape in ((N, D), (D, K), (N, K)))
        right, rows = dict(zip("xw", gradients(ops.matmul, x, w, gy=gy), strict=True)), []
        for goal, name, other in (("x", "w", w), ("w", "x", x)):
            choices = list(itertools.product((("gy", gy), ("gy.T", gy.T)), ((name, other), (f"{name}.T", other.T))))
            for (n1, m1), (n2, m2) in choices + [(second, first) for first, second in choices]:
                if m1.shape[1] != m2.shape[0]:
                    rows.append([goal, f"`{n1} @ {n2}`", "does not fit", False, False])
                else:
                    y = m1 @ m2
                    fits = y.shape == right[goal].shape
                    rows.append([goal, f"`{n1} @ {n2}`", str(y.shape), fits, fits and np.allclose(y, right[goal])])
        return rows

    unequal, square = products(2, 3, 4), products(3, 3, 3)
    fitting = [row for row in unequal if row[3]]
    assert [row[1] for row in fitting] == ["`gy @ w.T`", "`x.T @ gy`"] and all(row[4] for row in fitting)
    fitting_square = sum(row[3] for row in square)
    assert fitting_square == len(square) and sum(row[4] for row in square) == 2
    say(f"""
        ## Transposes, found from the shapes alone

        Take $y = x w$, with $x$ (N, D) = (2, 3), $w$ (D, K) = (3, 4), and so $y$ and `gy` (N, K) = (2, 4). The gradient
        of $x$ must be made of `gy` and $w$, that of $w$ of `gy` and $x$, each perhaps transposed, in either order. That
        is {len(unequal)} candidates. Those that can be multiplied at all:

    """, table(["for", "product", "shape", "wanted"],
               [[f"g{goal}", name, shape, f"{(2, 3) if goal == 'x' else (3, 4)}{': yes' * fits}"]
                for goal, name, shape, fits, _ in unequal if shape != "does not fit"]), f"""
        One is left for each, and it is the engine's: **gx = gy wᵀ** and **gw = xᵀ gy**. But where N = D = K, all
        {fitting_square} candidates have the right shape and only {sum(row[4] for row in square)} are right. So test
        with sizes that are all different, then the shapes help you.
    """)
    return


@app.cell
def _(gradients):
    def as_broadcast(x, w):
        return (x.reshape(*x.shape, 1) * w.reshape(1, *w.shape)).sum(axis=1)  # (N, D, 1) · (1, D, K), summed over D

    def same():
        random = np.random.default_rng(4)
        x, w, gy = (random.standard_normal(shape) for shape in ((2, 3), (3, 4), (2, 4)))
        return [np.allclose(one, other) for one, other in zip(gradients(as_broadcast, x, w, gy=gy),
                                                              gradients(ops.matmul, x, w, gy=gy), strict=True)]

    assert all(same())
    say("""
        ## Why the shapes know it

        A matrix product is broadcasting, then a sum: $y_{nk} = \\sum_d x_{nd} w_{dk}$. The number $x_{nd}$ has no
        $k$, so it was copied to all $k$, and its gradient sums over $k$: $gx_{nd} = \\sum_k gy_{nk} w_{dk}$, which is
        $gy\\, w^T$. And $w_{dk}$ has no $n$: it served the whole batch, and its gradient sums over $n$. Written so,
        `(x.reshape(N, D, 1) * w.reshape(1, D, K)).sum(axis=1)`, the engine finds the same two gradients.

        One rule for all of this chapter: **a gradient is summed over every index that its value does not have.**
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x, w, b):
    # y = x * w + b    gy, x: (N, C)   w: (C,)   b: (1,)
    gx = gy * w
    gw = gy * x
    gb = gy.mean().reshape(1)
    return gx, gw, gb
'''
    answer = start.replace("gy * x", "(gy * x).sum(axis=0)").replace("gy.mean()", "gy.sum()")
    tries = {
        "sum w, and leave the mean": start.replace("gy * x", "(gy * x).sum(axis=0)"),
        "means for both": start.replace("gy * x", "(gy * x).mean(axis=0)"),
        "sum over the wrong axis": answer.replace("axis=0", "axis=1"),
        "sum gy before it is multiplied": answer.replace("(gy * x).sum(axis=0)", "gy.sum(axis=0) * x.sum(axis=0)"),
    }

    def check(backward):
        random = np.random.default_rng(6)
        gradcheck(lambda x, w, b: x * w + b, *(random.standard_normal(shape) for shape in ((4, 3), (3,), (1,))),
                  backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        A layer that scales each of C channels and shifts all of them by one number: $y = x w + b$ with $x$ (N, C), $w$
        (C,) and $b$ (1,). Two of its three gradients are wrong. Which indexes do $w$ and $b$ not have? What `gradcheck`
        says of yours stands below.
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
