"""Chapter 7: local response normalisation. Neighbouring channels compete, forwards and backwards."""

import marimo

app = marimo.App(app_title="7 · Local response normalisation")

with app.setup:
    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from page import attempt, figure, picture, say, table

    from minicnn import GradientError, Tensor, gradcheck, models, nn, ops
    from minicnn.data import read_picture


@app.cell
def _():
    say(r"""
        # 7 · Local response normalisation

        Behind a convolution every pixel holds a column of numbers, one for each channel. Here neighbours in that column
        compete: where the channels next door answer loudly, one's own answer is divided by more (Krizhevsky et al.
        2012, §3.3). With the letters of this engine, for channel i of one pixel:

        $$y(i) = \frac{x(i)}{d(i)^\beta}$$

        $$d(i) = k + \alpha \sum_{j=i-\lfloor n/2\rfloor}^{i+\lfloor n/2\rfloor} x(j)^2$$

        The sum runs over n channels around i, fewer at the ends of the column. Nothing is learned, no mean is taken
        away, and neither other pixels nor other pictures matter: it is not batch normalisation.
    """)
    return


@app.cell
def _():
    def window(v, n):
        """For every channel the sum over the n channels around it; v: (C, ...)."""
        return np.stack([v[max(0, i - n // 2) : i + n // 2 + 1].sum(axis=0) for i in range(len(v))])

    def norm(x, n=5, alpha=1e-4, beta=0.75, k=2.0):
        d = k + alpha * window(x * x, n)
        return x * d**-beta, d

    def engine(x, n=5, gy=None, **settings):
        """y, or where gy is given gx, of the op; x: (C, ...), one picture."""
        t = Tensor(x[None], requires_grad=True)  # (1, C, ...)
        y = ops.local_response_norm(t, size=n, **settings)
        if gy is None:
            return y.numpy()[0]
        y.backward(gy[None])
        return t.grad.numpy()[0]

    random = np.random.default_rng(53)
    x = np.maximum(random.normal(0.8, 1.2, 12), 0).round(1)  # what a ReLU lets through of 12 channels, at one pixel
    gy = random.normal(size=12).round(1)
    return engine, gy, norm, window, x


@app.cell
def _():
    alpha_slider = mo.ui.slider(steps=[10.0**e for e in (-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0)], value=1.0,
                                label="α", show_value=True)
    beta_slider = mo.ui.slider(steps=[0.25, 0.5, 0.75, 1.0, 1.5], value=0.75, label="β", show_value=True)
    k_slider = mo.ui.slider(0.5, 4.0, step=0.5, value=2.0, label="k", show_value=True)
    n_slider = mo.ui.slider(steps=[1, 3, 5, 7, 9], value=5, label="n, the channels of a window", show_value=True)
    channel_slider = mo.ui.slider(0, 11, value=5, label="channel i", show_value=True)
    mo.vstack([alpha_slider, beta_slider, k_slider, n_slider, channel_slider])
    return alpha_slider, beta_slider, channel_slider, k_slider, n_slider


@app.cell
def _(alpha_slider, beta_slider, channel_slider, engine, k_slider, n_slider, norm, x):
    alpha, beta, k = float(alpha_slider.value), float(beta_slider.value), float(k_slider.value)
    n, i = int(n_slider.value), int(channel_slider.value)
    y, d = norm(x, n, alpha, beta, k)
    first, last = max(0, i - n // 2), min(len(x) - 1, i + n // 2)
    squares = x[first : last + 1] ** 2
    assert np.allclose(y, engine(x, n, alpha=alpha, beta=beta, k=k), rtol=1e-12)
    assert abs(d[i] - (k + alpha * squares.sum())) < 1e-12
    say(f"""
        ## One column of {len(x)} channels

        Channel {i} looks at channels {first} to {last}. Their squares are
        {" + ".join(f"{v:.3g}" for v in squares)} = {squares.sum():.4g}, so d({i}) = {k:g} + {alpha:.3g} ·
        {squares.sum():.4g} = {d[i]:.6g}, and y({i}) = {x[i]:g} / {d[i]:.6g}^{beta:g} = {x[i]:g} /
        {d[i] ** beta:.5g} = **{y[i]:.5g}**. `ops.local_response_norm` says the same of every channel, to twelve digits.
    """)
    return alpha, beta, d, first, i, k, last, n, y


@app.cell
def _(alpha, beta, first, i, k, last, x, y):
    def draw_column():
        drawing = figure(7, 4.6)
        above, below = drawing.subplots(2, 1, sharex=True)
        channels = np.arange(len(x))
        alone = x * k**-beta
        for axes, values, label in ((above, x, "x"), (below, y, "y")):
            axes.axvspan(first - 0.5, last + 0.5, color="0.88", zorder=0)
            axes.bar(channels, values, color=["C1" if c == i else "C0" for c in channels])
            axes.set_ylabel(label)
        below.plot(channels, alone, "_", color="black", ms=16, label="if α were 0: x / k^β")
        below.set_xlabel("channel (grey: the window; orange: channel i)")
        below.set_xticks(channels)
        below.set_ylim(0, 1.35 * max(alone.max(), y.max()))
        below.legend(loc="upper right", fontsize=9)
        return drawing

    picture(draw_column(), f"Bars of {len(x)} channels, above x and below y. Channel {i} falls from {x[i]:g} to "
                           f"{y[i]:.3g}; the channels {first} to {last} of its window lie on grey. Black dashes show "
                           f"what k alone would leave of each: {x[i] * k**-beta:.3g} of channel {i}. "
                           f"α is {alpha:.3g}.")
    return


@app.cell
def _(engine, norm, window, x):
    def misprinted(x, n=5, alpha=1.0, beta=0.75, k=2.0):
        return x * (k + alpha * window(np.ones_like(x), n) * x**2) ** -beta  # Σ x(i)²: the same square, again and again

    right, wrong = norm(x, alpha=1.0)[0], misprinted(x)
    louder = np.full(12, 1.5)
    assert np.allclose(engine(x, alpha=1.0), right, rtol=1e-12)
    assert np.abs(wrong - right).max() > 0.1
    assert np.allclose(misprinted(louder), norm(louder, alpha=1.0)[0], rtol=1e-12)
    worst = int(np.abs(wrong - right).argmax())
    say("""
        ## j, not i

        Some notes print the sum with x(i)² in place of x(j)². Then every term is the same, the neighbours no longer
        matter, and nobody competes. On the column above, with α = 1, β = 0.75, k = 2 and n = 5:
    """, table(["channel", "x", "y with x(j)²", "y with x(i)²"], [
        [c, x[c], round(right[c], 4), round(wrong[c], 4)] for c in sorted({worst, 4, 5, 6})
    ]), f"""
        They differ by up to {np.abs(wrong - right).max():.3f}, in channel {worst}. minicnn follows x(j)², as the paper
        does. Beware of a test whose channels are all alike: on twelve times {louder[0]:g} both give the same.
    """)
    return


@app.cell
def _(engine, norm, x):
    def one_short(x, alpha, n=5, beta=0.75, k=2.0):
        half = n // 2
        sums = [np.sum(x[max(0, c - half) : c + half] ** 2) for c in range(len(x))]  # + half + 1 would be right
        return x * (k + alpha * np.array(sums)) ** -beta

    def off(alpha):
        present = x > 0  # 0 stays 0
        return np.abs(one_short(x, alpha)[present] / norm(x, alpha=alpha)[0][present] - 1).max()

    assert off(1e-4) < 1e-3
    assert off(1.0) > 0.1
    at_255 = engine(100 * x, alpha=1e-4)
    assert np.allclose(at_255, 100 * engine(x, alpha=1.0), rtol=1e-12)
    say("""
        ## α = 10⁻⁴ hides mistakes

        The paper's α is 10⁻⁴. With x of about 1 the sum then hardly moves d from k, and neither do mistakes in the
        sum. A window one channel short, `range(i - 2, i + 2)` for `range(i - 2, i + 3)`, changes y by at most:
    """, table(["α", "largest change of y"], [
        ["1e-4", f"{100 * off(1e-4):.4f} %"], ["1e-2", f"{100 * off(1e-2):.3f} %"], ["1", f"{100 * off(1.0):.1f} %"],
    ]), """
        A test that allows one thousandth lets the first pass. **Test with α near 1**, train with what you like. Nor is
        10⁻⁴ small everywhere, since it multiplies a square: with x a hundred times as large, as pixels of 0 to
        255 may well make it, it does exactly what α = 1 does to x.
    """)
    return


@app.cell
def _(alpha, beta, d, engine, gy, i, k, n, window, x, y):
    direct = gy * d**-beta
    cross = -2 * alpha * beta * x * window(gy * y / d, n)
    gx = direct + cross
    assert np.allclose(gx, engine(x, n, gy, alpha=alpha, beta=beta, k=k), rtol=1e-10, atol=1e-14)
    gradcheck(lambda t: ops.local_response_norm(t, size=n, alpha=alpha, beta=beta, k=k), x[None])
    members = range(max(0, i - n // 2), min(len(x), i + n // 2 + 1))
    say(rf"""
        ## Backward: two roads again

        x(i) stands in its own numerator. And it stands, squared, in d(j) of **every** channel j whose window holds i,
        itself among them: ∂d(j)/∂x(i) = 2α x(i). So what comes back is a sum of two terms:

        $$g_x(i) = d(i)^{{-\beta}}\, g_y(i) \;-\; 2\alpha\beta\, x(i) \sum_j \frac{{g_y(j)\, y(j)}}{{d(j)}}$$

        The first is what i gets for itself. The second, the **cross term**, is what it costs its neighbours. For
        channel {i}, where x({i}) = {x[i]:g}:
    """, table(["j", "gy(j)", "y(j)", "d(j)", "gy·y / d"], [
        [j, gy[j], round(y[j], 4), round(d[j], 4), round(gy[j] * y[j] / d[j], 5) + 0.0] for j in members
    ]), f"""
        First term: {d[i] ** -beta:.4f} · {gy[i]:g} = {direct[i]:.5f}. Cross term: −2αβ x({i}) times the sum of the last
        column, −2 · {alpha:.3g} · {beta:g} · {x[i]:g} · {window(gy * y / d, n)[i]:.5f} = {cross[i]:.5f}. Together
        **{gx[i]:.5f}**. `backward()` agrees in all {len(x)} channels, and `gradcheck` finds nothing wrong with it.
    """)
    return cross, direct, gx


@app.cell
def _(cross, direct, first, gx, i, last):
    def draw_terms():
        drawing = figure(7, 3.4)
        axes = drawing.subplots()
        channels = np.arange(len(gx))
        axes.axvspan(first - 0.5, last + 0.5, color="0.9", zorder=0)
        axes.bar(channels - 0.2, direct, 0.4, label="first term")
        axes.bar(channels + 0.2, cross, 0.4, label="cross term")
        axes.plot(channels, gx, "D", color="black", ms=5, label="gx, their sum")
        axes.axhline(0, color="black", lw=0.8)
        axes.set(xticks=channels, xlabel="channel (grey: the window of channel i)")
        top = max(np.abs(np.concatenate([direct, cross, gx])).max(), 1e-9)
        axes.set_ylim(-1.15 * top, 1.6 * top)
        axes.legend(ncols=3, loc="upper center", fontsize=9)
        return drawing

    picture(draw_terms(), f"For each of {len(gx)} channels the first term, the cross term, and a diamond for their "
                          f"sum. In channel {i} they are {direct[i]:.3f}, {cross[i]:.3f} and {gx[i]:.3f}. The largest "
                          f"cross term is {np.abs(cross).max():.3g}, the largest first term "
                          f"{np.abs(direct).max():.3g}.")
    return


@app.cell
def _(gy, norm, window, x):
    positive = x + 0.1  # away from 0, where nothing competes

    def half_a_backward(alpha):
        def layer(x):
            return norm(x, alpha=alpha)[0]

        def backward(gy, x):
            return gy * norm(x, alpha=alpha)[1] ** -0.75  # and no cross term

        try:
            gradcheck(layer, positive, backward=backward)
        except GradientError as error:
            return error
        raise AssertionError("gradcheck let it pass")

    def share_missing(alpha):
        y, d = norm(positive, alpha=alpha)
        cross = 1.5 * alpha * positive * window(gy * y / d, 5)
        return np.linalg.norm(cross) / np.linalg.norm(gy * d**-0.75 - cross)

    error_near_1 = half_a_backward(1.0)
    half_a_backward(1e-4)
    assert any(v.name == "term missing" for v in error_near_1.verdicts)
    assert share_missing(1.0) > 0.1
    assert share_missing(1e-4) < 1e-3
    say("""
        ## The cross term left out

        It is easy to divide gy by d^β, as y was made from x, and to think that this is all. What `gradcheck` says to
        it, with α = 1:
    """, f"```\n{error_near_1}\n```", f"""
        (gy · y / x is the first term by another name: gy · d^−β.) This gradient is wrong by
        {100 * share_missing(1.0):.0f} % of its length. With α = 10⁻⁴ it is only {100 * share_missing(1e-4):.3f} %.
        `gradcheck` still sees it, as it computes in double precision and allows a millionth. A comparison of float32
        numbers that allows a thousandth of that length would let it pass.
    """)
    return


@app.cell
def _(engine):
    def alone(x):
        return engine(np.array([x]), alpha=1.0).item(), engine(np.array([x]), gy=np.ones(1), alpha=1.0).item()

    peak, peak_of_paper = (np.sqrt(2 / (alpha * (2 * 0.75 - 1))) for alpha in (1.0, 1e-4))
    at = {v: alone(v) for v in (peak / 2, peak, 2 * peak, 4 * peak)}
    assert at[peak / 2][1] > 0 > at[2 * peak][1]
    assert abs(at[peak][1]) < 1e-12
    assert at[peak][0] == max(y for y, _ in at.values())
    say("""
        ## Louder in, quieter out

        Does a larger x always give a larger y? Not where 2β > 1. A channel whose neighbours are all silent, with α = 1,
        β = 0.75 and k = 2:
    """, table(["x", "y", "∂y/∂x"], [
        [v, round(y, 4), round(slope, 4) + 0.0] for v, (y, slope) in at.items()
    ]), f"""
        At x = {peak:g} the two terms cancel, and beyond it the cross term wins: the channel competes with itself. In
        general the turn is at x² = k / (α (2β − 1)); with the paper's α = 10⁻⁴ that is x = {peak_of_paper:g}.
    """)
    return


@app.cell
def _(engine, window, x):
    def dividing(x, alpha, n=5, beta=0.75, k=2.0):
        return x * (k + alpha / n * window(x * x, n)) ** -beta

    ours, theirs = engine(x, alpha=1.0), dividing(x, 1.0)
    at_i = int(x.argmax())
    assert np.allclose(dividing(x, 5 * 1.0), ours, rtol=1e-12)
    assert np.allclose(engine(x, alpha=1.0 / 5), theirs, rtol=1e-12)
    assert np.abs(ours - theirs).max() > 0.1
    assert np.allclose(dividing(100 * x, 5e-4), engine(100 * x, alpha=1e-4), rtol=1e-12)
    say(f"""
        ## α, or α / n?

        The paper's text multiplies the sum by α, and so does minicnn. PyTorch, Caffe and the authors' own program of
        2012 multiply it by α / n. Both are called α, so the same number means two things. Here y({at_i}),
        where x({at_i}) = {x[at_i]:g}, with n = 5:
    """, table(["α given", "sum × α", "sum × α / n"], [
        ["1", round(ours[at_i], 5), round(theirs[at_i], 5)],
        ["5", round(engine(x, alpha=5.0)[at_i], 5), round(dividing(x, 5.0)[at_i], 5)],
        ["0.2", round(engine(x, alpha=0.2)[at_i], 5), round(dividing(x, 0.2)[at_i], 5)],
    ]), f"""
        {ours[at_i]:.5f} and {theirs[at_i]:.5f} stand there twice: the two agree where the one that divides is given n
        times as much. So what minicnn gives at α, PyTorch gives at α·n. The 10⁻⁴ of the paper is the number in its
        program's files, so what really multiplied the sum was {1e-4 / 5:.0e}. And mind k: the paper has 2, PyTorch and
        Caffe take 1 where nothing is said.
    """)
    return


@app.cell
def _(engine):
    channels = np.random.default_rng(1).normal(size=(96, 4))  # 96 channels of conv1, 4 positions
    whole = engine(channels, alpha=1.0)
    towers = np.concatenate([engine(half, alpha=1.0) for half in np.split(channels, 2)])
    touched = np.flatnonzero((np.abs(whole - towers) > 1e-12).any(axis=1))
    assert touched.tolist() == [46, 47, 48, 49]
    net = models.alexnet(width=1 / 16)
    norms = [[sum(isinstance(layer, nn.LocalResponseNorm) for layer in row) for _, row in tower.children()]
             for tower in (net.a, net.b)]
    assert norms[0] == norms[1]
    assert sum(norms[0]) == 3
    say(f"""
        ## Where a tower ends

        The 96 channels of AlexNet's first layer live in two towers of 48, on two GPUs, and its normalisation stays
        inside a tower: {sum(norms[0])} layers of it in each, as `models.alexnet` says (the paper has 2; after block 5
        is a choice of the default variant). Channel 47 has no right neighbour. Run over all 96 at once, and channels
        {", ".join(map(str, touched))} come out differently, n − 1 = 4 of them, while the others agree. The paper's
        formula lets the sum run over all kernels of the layer; its program did not. Which channels are neighbours is
        an accident anyway: their order means nothing before training.
    """)
    return


@app.cell
def _():
    photograph = read_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = photograph[35:132, 85:182].mean(axis=2)
    grey = (grey - grey.mean()) / grey.std()
    angles = np.arange(8) * np.pi / 4
    across = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4  # brighter to the right
    w = np.cos(angles)[:, None, None] * across + np.sin(angles)[:, None, None] * -across.T  # (8, 3, 3)
    maps = ops.relu(ops.conv2d(grey[None, None], w[:, None])).numpy()[0]  # (8, 95, 95)
    return angles, maps


@app.cell
def _(alpha, angles, beta, engine, k, maps, n, norm):
    normed = engine(maps, n, alpha=alpha, beta=beta, k=k)
    assert np.allclose(normed, norm(maps, n, alpha, beta, k)[0], rtol=1e-10, atol=1e-14)

    def draw_maps():
        drawing = figure(7, 4)
        for row, (images, name) in zip(drawing.subplots(2, 4), ((maps, "x"), (normed, "y")), strict=True):
            for c, axes in enumerate(row):
                axes.imshow(images[c], cmap="gray", vmin=0, vmax=images.max())
                axes.set_title(f"{name}({c}), {np.degrees(angles[c]):g}°", fontsize=11)
                axes.set(xticks=[], yticks=[])
        return drawing

    def lead(images):
        return images.max() / images[images > 0].mean()

    leads = [lead(engine(maps, alpha=10.0**e)) for e in (-4, -3, -2, -1, 0)]
    assert leads == sorted(leads, reverse=True)
    mo.vstack([
        say(f"""
            ## On a photograph

            Eight edge filters, each turned by 45° from the one before, then a ReLU: eight channels, of which the first
            four are shown, each row on its own scale of grey. With the sliders as they stand the strongest response is
            {lead(maps):.1f} times the mean one before and {lead(normed):.1f} times after. The nearer α
            is to 1, the more loud edges are turned down, and faint ones come to light.
        """),
        picture(draw_maps(), f"Edges of Grace Hopper's face in four directions, above before and below after "
                             f"normalisation. The largest value falls from {maps.max():.2f} to {normed.max():.2f}."),
    ])
    return


@app.cell
def _():
    ds = np.random.default_rng(0).uniform(2, 100, 100_000).astype(np.float32)
    true = ds.astype(np.float64) ** -0.75
    rounding = float(np.finfo(np.float32).eps)

    def error(found):
        return float(np.abs(found / true - 1).max() / rounding)

    by_power, by_roots = error(ds ** np.float32(-0.75)), error(1 / np.sqrt(ds * np.sqrt(ds)))
    assert by_power < 2
    assert by_roots < 2
    assert (1 / np.sqrt(ds * np.sqrt(ds))).dtype == np.float32
    say(f"""
        ## Two square roots for a power

        A power is computed by a logarithm and an exponential, a square root by one instruction of the processor. With
        β = 0.75, d^0.75 = √(d·√d): d^(1/2) under the root makes d·d^(1/2) = d^(3/2), and its root is d^(3/4). Over
        {ds.size:,} values of d between 2 and 100, in single precision, the largest error is {by_roots:.2f} roundings
        for the roots and {by_power:.2f} for the power (one rounding is {rounding:.1e} of the value). So minicnn's
        kernel takes the roots where β is 0.75, and the power otherwise.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # y = x d^-beta, d = k + alpha window(x²), with alpha = 1, beta = 0.75, k = 2, n = 5
    def window(v):
        return np.array([v[max(0, i - 2) : i + 3].sum() for i in range(len(v))])

    d = 2 + window(x * x)
    y = x * d**-0.75
    gx = gy * d**-0.75
    return gx
'''
    answer = start.replace("    return gx\n", "    gx -= 2 * 0.75 * x * window(gy * y / d)\n    return gx\n")

    def check(backward):
        def normalised(x):
            d = [2 + np.sum(x[max(0, i - 2) : i + 3] ** 2) for i in range(len(x))]
            return x * np.array(d) ** -0.75

        gradcheck(normalised, np.random.default_rng(3).normal(size=12), backward=backward)

    asked = "backward"
    say("## Exercise\n\nAdd the cross term to this backward. What `gradcheck` says of it stands below.")
    return answer, asked, check, start


@app.cell
def _(start):
    editor = mo.ui.code_editor(value=start, language="python", label="your backward")
    editor
    return (editor,)


@app.cell
def _(asked, check, editor):
    say(attempt(editor.value, asked, check)[1])
    return


@app.cell
def _(answer):
    mo.accordion({"One answer": mo.md(f"```python\n{answer}```")})
    return


if __name__ == "__main__":
    app.run()
