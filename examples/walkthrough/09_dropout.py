"""Chapter 9: dropout. Thinned networks, the factor at test or in training, and random numbers that are counted."""

import marimo

app = marimo.App(app_title="9 · Dropout")

with app.setup:
    from math import comb, log10

    import marimo as mo
    import numpy as np
    from page import answer_box, attempt, figure, one_answer, picture, say, table

    from minicnn import GradientError, Tensor, cpu, gradcheck, nn, ops
    from minicnn.kernels import get_num_threads, set_num_threads
    from minicnn.kernels.dropout import dropout as kernel

    KEY = 2012

    def keeps(images, units, step, p, first_unit=0, key=KEY):
        """The mask of the engine: 1 where a unit is kept, 0 where it is dropped."""
        return ops.dropout(np.ones((images, units)), [key, step], p=p, first_unit=first_unit, inverted=False).numpy()


@app.cell
def _():
    UNITS = 2 * 4096  # of fc6 and of fc7: Krizhevsky et al. 2012, §4.2
    digits = int(UNITS * log10(2)) + 1
    assert len(str(2**UNITS)) == digits
    say(f"""
        # 9 · Dropout

        Each time AlexNet is shown a picture in training, it switches off about half of the units of its two large
        layers fc6 and fc7, chosen at random (§4.2 of the paper). They are *fully connected*: each unit reads every
        number of the layer before. A unit that is off gives 0. What is left is called a **thinned network**.
        Every unit is either on or off, so n units make 2ⁿ thinned networks; with {UNITS:,} units that is a number of
        {digits:,} digits. Each picture trains one of these networks, and hardly any of them is ever met twice. Training
        them works only because they all **share their weights**. It helps because no unit can rely on another one
        being there.
    """)
    return


@app.cell
def _():
    p_slider = mo.ui.slider(steps=[0.0, 0.2, 0.5, 0.8], value=0.5, label="p, the probability of dropping a unit",
                            show_value=True)
    step_slider = mo.ui.slider(0, 7, value=0, label="training step", show_value=True)
    mo.vstack([p_slider, step_slider])
    return p_slider, step_slider


@app.cell
def _(p_slider, step_slider):
    p, step = float(p_slider.value), int(step_slider.value)
    return p, step


@app.cell
def _(p, step):
    def draw_networks():
        drawing = figure(5.6, 2.6)
        rows = {0: 4, 1: 8, 2: 2}  # height in the picture: units

        def places(layer):
            return (np.arange(rows[layer]) + 0.5) / rows[layer]

        alive = []
        for i, axes in enumerate(drawing.subplots(1, 3)):
            kept = keeps(1, rows[1], step + i, p)[0]
            alive.append(int(kept.sum()))
            for unit in np.flatnonzero(kept):
                for layer in (0, 2):
                    for x in places(layer):
                        axes.plot([x, places(1)[unit]], [layer, 1], color="C0", lw=0.7, zorder=1)
            for layer in rows:
                colours = np.where(kept, "C1", "white") if layer == 1 else "C1"
                axes.scatter(places(layer), [layer] * rows[layer], s=46, c=colours, edgecolors="black", zorder=2)
            axes.set(title=f"step {step + i}:\n{alive[-1]} of {rows[1]} on", xlim=(-0.1, 1.1), ylim=(-0.3, 2.3),
                     xticks=[], yticks=[])
        return drawing, alive

    networks, alive = draw_networks()
    picture(networks, f"Three thinned networks, those of steps {step} to {step + 2}, with 4 inputs, 8 hidden units and "
                      f"2 outputs. At p = {p:g}, {', '.join(map(str, alive))} of the 8 hidden units are kept; the "
                      "others are hollow and have no lines.")
    return


@app.cell
def _(p, step):
    def draw_masks(images=8, units=40):
        drawing = figure(5.6, 2.9)
        shares = []
        for i, axes in enumerate(drawing.subplots(2, 1, sharex=True)):
            kept = keeps(images, units, step + i, p)
            shares.append(kept.mean())
            axes.imshow(kept, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set(ylabel="picture", yticks=[0, images - 1], title=f"step {step + i}")
        axes.set(xlabel="unit")
        return drawing, shares

    masks_drawn, shares = draw_masks()
    picture(masks_drawn, f"The masks of steps {step} and {step + 1}, 8 pictures by 40 units, white where a unit is "
                         f"kept: {' and '.join(f'{share:.0%}' for share in shares)} are kept. All rows differ.")
    return


@app.cell
def _():
    kept_slider = mo.ui.slider(steps=[0.0, 0.2, 0.5, 0.8], value=0.5, label="p", show_value=True)
    mo.vstack([say("""
        ## How many units are kept?

        "Half of the units" is true only on average, because the dice are thrown for each unit by itself. How many are
        kept follows the **binomial distribution**: k of n units are kept with probability C(n, k) (1 − p)ᵏ pⁿ⁻ᵏ, where
        C(n, k) counts the ways to choose them. On average n (1 − p) are kept, with standard deviation √(n p (1 − p)).
    """), kept_slider])
    return (kept_slider,)


@app.cell
def _(kept_slider):
    def count_kept(p, step=0, units=64, times=400):
        """How many of 64 units were kept, in each of 400 masks; the binomial says how often which number is met."""
        counts = keeps(times, units, step, p).sum(1).astype(int)
        expected = [comb(units, k) * (1 - p) ** k * p ** (units - k) for k in range(units + 1)]
        return units, times, counts, np.array(expected)

    kept_p = float(kept_slider.value)
    units, times, counts, expected = count_kept(kept_p)
    found_mean, true_mean, spread = counts.mean(), units * (1 - kept_p), (units * kept_p * (1 - kept_p)) ** 0.5
    assert abs(expected.sum() - 1) < 1e-12
    assert abs(expected @ np.arange(units + 1) - true_mean) < 1e-9
    assert abs(found_mean - true_mean) <= 4.5 * spread / times**0.5

    def draw_counts():
        drawing = figure(5.6, 2.9)
        axes = drawing.subplots()
        axes.bar(np.arange(units + 1), np.bincount(counts, minlength=units + 1), label=f"{times} pictures")
        axes.plot(np.arange(units + 1), expected * times, "o", ms=3.5, color="black", label="binomial")
        axes.set(xlabel=f"units kept, of {units}", ylabel="pictures",
                 xlim=(max(-1, true_mean - 5 * spread - 2), min(units + 1, true_mean + 5 * spread + 2)))
        axes.legend()
        return drawing

    mo.vstack([
        picture(draw_counts(), f"How many of {units} units were kept for {times} pictures: {found_mean:.4g} on "
                               f"average, from {counts.min()} to {counts.max()}, beside the binomial with mean "
                               f"{true_mean:g}."),
        say(f"""
            Of {units} units, p = {kept_p:g} keeps {true_mean:g} on average, with a standard deviation of {spread:.2g}.
            For {times} pictures of the first step the engine kept {found_mean:.4g} on average.
        """),
    ])
    return


@app.cell
def _():
    def factors(p=0.5, times=20000):
        x = np.tile([1.0, 2.0, -3.0], (times, 1))
        plain = ops.dropout(x, [KEY, 1], p=p, inverted=False).numpy()
        inverted = ops.dropout(x, [KEY, 1], p=p).numpy()
        assert (inverted == plain / (1 - p)).all()
        paper, modern = (nn.Dropout(p, inverted=form, key=KEY).eval() for form in (False, True))
        return x[0], plain, inverted, paper(Tensor(x)).numpy()[0], modern(Tensor(x)).numpy()[0]

    x_in, plain, inverted, paper_at_test, modern_at_test = factors()
    assert (paper_at_test == x_in / 2).all()
    assert (modern_at_test == x_in).all()
    error = 4.5 * np.abs(x_in) / len(plain) ** 0.5
    assert (np.abs(plain.mean(0) - paper_at_test) < error / 2).all()
    assert (np.abs(inverted.mean(0) - modern_at_test) < error).all()
    say("""
        ## Times ½ at test, or times 2 in training

        When the trained network is used, all units are on: twice as many as the next layer was trained with. So the
        paper multiplies their outputs by ½ **at test**. Most programs do it the other way round: they multiply what is
        kept by 2 **in training**, or in general by 1 / (1 − p), and do nothing at test. This is called *inverted*
        dropout. In both cases a unit gives, on average over training, what it gives at test:

    """, table(["x", "paper: training", "test", "inverted: training", "test"],
               [[x_in[i], plain.mean(0)[i], paper_at_test[i], inverted.mean(0)[i], modern_at_test[i]]
                for i in range(3)]), f"""
        ("Training" is the mean over {len(plain):,} masks.) If you forget to switch to testing with `net.eval()`, you
        get a different answer every time you ask.
    """)
    return


@app.cell
def _():
    def two_forms():
        """fc6 → dropout → fc7 of a quarter of the paper's width, σ = 0.01 in both forms; one step of each."""
        random = np.random.default_rng(0)
        x = np.maximum(random.standard_normal((64, 1024)), 0)
        w = 0.01 * random.standard_normal((1024, 1024))
        gy = random.standard_normal((64, 1024))

        def layer(w, inverted):
            w = Tensor(w, requires_grad=True)
            y = ops.linear(ops.dropout(x, [KEY, 3], inverted=inverted), w, np.zeros(1024))
            y.backward(gy)
            return y.numpy(), w.grad.numpy()

        return w, layer(w, False), layer(w, True), layer(w / 2, True)

    w_same, (y_paper, gw_paper), (y_inverted, gw_inverted), (y_halved, gw_halved) = two_forms()
    same = {"rtol": 1e-12, "atol": 1e-12}
    assert np.allclose(y_inverted, 2 * y_paper, **same)
    assert np.allclose(gw_inverted, 2 * gw_paper, **same)
    assert np.allclose(y_halved, y_paper, **same)
    lr = 0.01
    after_paper, after_halved = w_same - lr * gw_paper, w_same / 2 - lr / 4 * gw_halved
    assert np.allclose(after_halved, after_paper / 2, **same)
    assert not np.allclose(w_same / 2 - lr * gw_halved, after_paper / 2, rtol=1e-3, atol=1e-6)
    say("""
        ## Where the two differ

        On average they agree, and yet they do not train alike. Start both with the paper's weights, σ = 0.01, and look
        at what fc7 computes in training:

    """, table(["", "paper", "inverted", "ratio"], [
        ["standard deviation of w·x", y_paper.std(), y_inverted.std(), y_inverted.std() / y_paper.std()],
        ["standard deviation of gw", gw_paper.std(), gw_inverted.std(), gw_inverted.std() / gw_paper.std()],
    ]), """
        With inverted dropout, the next layer's inputs are **twice** as large, while its biases, which the paper starts
        at 1, stay the same, and its weights get twice the gradient. So the same initial weights and the same learning
        rate lead to a different training. To get the paper's training back, start with half the weights. The gradient
        is still doubled, and half the weights should move half as far, so their learning rate has to be a **quarter**.
        (Checked here for one step of y = w·x, without biases and weight decay.) That is why minicnn's recipe "paper"
        says `inverted_dropout=False`.
    """)
    return


@app.cell
def _():
    def one_picture():
        x = Tensor(np.array([[1.0, -2.0, 3.0, 0.5, 4.0, -1.0]]), requires_grad=True)
        w = Tensor(np.ones((2, 6)), requires_grad=True)  # of the next layer: both of its units read all six
        dropped = ops.dropout(x, [KEY, 2])
        ops.linear(dropped, w, np.zeros(2)).backward(np.array([[1.0, 10.0]]))
        return x.numpy()[0], dropped.numpy()[0], x.grad.numpy()[0], w.grad.numpy()

    unit_x, unit_y, unit_gx, unit_gw = one_picture()
    kept_units = unit_y != 0
    assert 0 < kept_units.sum() < 6
    assert (unit_gx == 2 * 11 * kept_units).all()  # ∂/∂(what is kept) is 1 + 10
    assert (unit_gw == np.outer([1, 10], unit_y)).all()
    say("""
        ## Backward: the same mask, the same factor

        y = x · mask · 2 is a product in which the mask is a constant. So gx = gy · mask · 2. In this example gy is 11
        for every unit: two units of the next layer read it with weights of 1, and their gradients are 1 and 10.

    """, table(["unit", "x", "y", "gx", "gw of the 2nd"],
               [[i, unit_x[i], unit_y[i], unit_gx[i], unit_gw[1, i]] for i in range(6)]), f"""
        Of the 6 units, {kept_units.sum()} were kept. No gradient reaches a unit that was dropped, nor the weights
        before it. And since its y is 0, the weights that read it get no gradient either. For this picture, the unit
        does not exist.
    """)
    return


@app.cell
def _():
    def mistakes():
        random = np.random.default_rng(1)
        x = np.random.default_rng(0).normal(size=(4, 6))

        def fresh(a):
            return a * (random.random(a.shape) >= 0.5) * 2

        def counted(a, step=7):
            return ops.dropout(a, [KEY, step]).numpy()

        for mistake, forward, backward in (
            ("drawn again at every call", fresh, lambda gy, x: fresh(gy)),
            ("drawn again in backward only", counted, lambda gy, x: fresh(gy)),
            ("the next step's mask in backward", counted, lambda gy, x: counted(gy, 8)),
        ):
            try:
                gradcheck(forward, x, backward=backward)
            except GradientError as found:
                yield mistake, found
        gradcheck(forward, x, backward=lambda gy, x: counted(gy))

    found_mistakes = list(mistakes())
    verdicts = [found.verdicts[0].name for _, found in found_mistakes]
    assert verdicts == ["not deterministic", "not deterministic", "wrong mask"]
    say("""
        ## The mistake: another mask in backward

        If backward draws its random numbers anew, gradients flow through units that were off. All shapes fit, and on
        average so does the size of the gradient, so nothing complains. But `gradcheck` does:

    """, table(["mask", "verdict"], [[mistake, found.verdicts[0].name] for mistake, found in found_mistakes]),
        "Of the third it says:", f"```\n{found_mistakes[2][1]}\n```", """
        With the same mask in both directions it finds no fault. The usual way is to keep the mask in memory until
        backward. There is another way.
    """)
    return


@app.cell
def _():
    WORD = 2**32 - 1

    def philox(counter, key):
        """Four random words from a counter of four words and a key of two (Salmon et al. 2011): ten rounds of two
        products, whose upper and lower halves are mixed with the rest."""
        a, b, c, d = counter
        k, l = key  # noqa: E741
        for _ in range(10):
            left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
            a, b, c, d = right >> 32 ^ b ^ k, right & WORD, left >> 32 ^ d ^ l, left & WORD
            k, l = k + 0x9E3779B9 & WORD, l + 0xBB67AE85 & WORD  # noqa: E741
        return a, b, c, d

    def mask_by_hand(images, units, step, p):
        def number(unit, image):
            words = philox((unit, image // 4, step & WORD, step >> 32), (KEY & WORD, KEY >> 32))
            return words[image % 4]

        return np.array([[number(u, n) for u in range(units)] for n in range(images)])

    words = mask_by_hand(4, 3, 7, 0.5)
    by_hand = (words >= 0.5 * 2**32).astype(float)
    by_engine = keeps(4, 3, 7, 0.5)
    loop = np.empty((3, 4))  # the kernel's order: units, pictures
    kernel.plain(0, 3, loop, np.ones((3, 4)), np.array([KEY, 7]), 0, 0, np.uint64(2**31), 1.0)
    assert (by_hand == by_engine).all()
    assert (by_engine == loop.T).all()
    say(f"""
        ## Counted, not drawn

        A usual generator of random numbers hands them out one after the other, and has to remember where it is.
        minicnn **counts** instead. Philox 4×32 is a function that scrambles a counter, here
        (unit, picture // 4, step), with a key, here {KEY}, into four numbers, one for each of four pictures. What it
        gives looks random, but you can ask for the number of unit 2 in picture 3 at step 7 whenever you like and in any
        order. Each number is a word of 32 bits, from 0 to 2³² − 1, and a unit is kept if its word is at least p · 2³².
        The function takes ten rounds of two multiplications each. Here it is computed in plain Python, for step 7 and
        p = 0.5, and shown as word / 2³²:

    """, table(["picture", "unit 0", "unit 1", "unit 2", "kept"],
               [[n, *(f"{word / 2**32:.4f}" for word in words[n]), " ".join(f"{k:.0f}" for k in by_engine[n])]
                for n in range(4)]), """
        The engine's kernel, and the same loop in plain Python, keep exactly these units: whole numbers are not rounded.
    """)
    return


@app.cell
def _():
    def drawn(units, images=8):
        return np.random.default_rng(KEY).random((images, units)) >= 0.5

    def what_stays():
        whole = keeps(8, 6, 7, 0.5)
        halves = []
        for index, first_unit in enumerate((0, 3)):  # two towers of three units, each on its own device
            with cpu(index):
                halves.append(keeps(8, 3, 7, 0.5, first_unit))
        yield "two towers of 3 units each (`first_unit` 0 and 3)", (np.concatenate(halves, 1) == whole).all()
        yield "only 3 of the 8 pictures", (keeps(3, 6, 7, 0.5) == whole[:3]).all()
        keeps(8, 6, 8, 0.5)
        yield "asked for again, after another step", (keeps(8, 6, 7, 0.5) == whole).all()
        before, large = get_num_threads(), []
        try:
            for cores in (1, 3):
                set_num_threads(cores)
                large.append(keeps(128, 4096, 7, 0.5))
        finally:
            set_num_threads(before)
        yield "1 core or 3 cores", (large[0] == large[1]).all()
        layer, x = nn.Dropout(key=KEY), Tensor(np.ones((8, 6)))
        layer(x)
        saved = layer.state_dict()
        straight_on = layer(x).numpy()
        resumed = nn.Dropout(key=1)
        resumed.load_state_dict(saved)
        yield "resumed from a saved state", (resumed(x).numpy() == straight_on).all()

    stays = list(what_stays())
    assert all(same for _, same in stays)
    drawn_halves = np.concatenate([drawn(3), drawn(3)], 1)
    agree = (drawn_halves == drawn(6)).mean()
    assert agree < 1
    mask_bytes = 2 * 128 * 4096 * 4
    say("""
        So backward need not keep a mask: it computes it once more, from the same key and step. And the mask stays the
        same whatever else changes:

    """, table(["", "same mask"], [[what, "yes" if same else "NO"] for what, same in stays]), f"""
        With an ordinary generator the numbers depend on who asks first. Two towers of three units, each with a
        generator of the same seed, agree with one network of six units in only {agree:.0%} of the places.

        All that a layer has to remember is two whole numbers, key and step. The masks of fc6 and fc7, kept as floats,
        would take {mask_bytes / 1e6:.1f} MB at batch 128. The CUDA version of the kernel computes with the same whole
        numbers.
    """)
    return


@app.cell
def _():
    mean_slider = mo.ui.slider(steps=[0.0, 0.2, 0.5, 0.8], value=0.5, label="p", show_value=True)
    mo.vstack([say("""
        ## Many networks, one answer

        At test one network stands for all the thinned ones: it has all its units on, and scaled outputs. Does it give
        what they give on average? Ten units have only 2¹⁰ masks, few enough to try every one of them, each weighted by
        how probable it is. And with the masks of training steps 0, 1, 2, … one can watch the average settle.
    """), mean_slider])
    return (mean_slider,)


@app.cell
def _(mean_slider):
    mean_p = float(mean_slider.value)

    def all_networks(p, n=10):
        """Every mask of ten units, and how probable it is."""
        bits = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
        kept = bits.sum(1)
        return bits, (1 - p) ** kept * p ** (n - kept)

    bits, chance = all_networks(mean_p)
    assert len(bits) == 2**10
    weights = np.random.default_rng(5)
    x_small, w_small, b_small = weights.normal(size=10), weights.normal(size=(3, 10)), weights.normal(size=3)

    def outputs(masks):
        """(linear, after ReLU, log of softmax) of the thinned networks, a row each"""
        z = ops.linear(x_small * masks / (1 - mean_p), w_small, b_small)
        return z.numpy(), z.relu().numpy(), z.log_softmax().numpy()

    means = [chance @ each for each in outputs(bits)]
    linear, after_relu, log_softmax = (each[0] for each in outputs(np.full((1, 10), 1 - mean_p)))  # all on, scaled
    geometric = np.exp(means[2]) / np.exp(means[2]).sum()
    assert abs(chance.sum() - 1) < 1e-12
    assert np.abs(means[0] - linear).max() < 1e-12
    assert np.abs(geometric - np.exp(log_softmax)).max() < 1e-12
    assert (means[1] >= after_relu - 1e-12).all()
    return after_relu, geometric, linear, log_softmax, mean_p, means, outputs


@app.cell
def _(after_relu, linear, mean_p, means, outputs):
    def averaging(steps=4096):
        """The error of the mean over the masks of steps 0 … M − 1."""
        masks = np.concatenate([keeps(1, 10, step, mean_p) for step in range(steps)])
        z, bent, _ = outputs(masks)
        M = 2 ** np.arange(int(np.log2(steps)) + 1)

        def off(values, target):
            return [np.sqrt(((values[:m].mean(0) - target) ** 2).mean()) for m in M]

        return M, off(z, linear), off(bent, after_relu)

    M, off_linear, off_relu = averaging()
    stays_off = np.sqrt(((means[1] - after_relu) ** 2).mean())
    if mean_p:
        assert off_linear[-1] < off_linear[0] / 8

    def draw_errors():
        drawing = figure(5.6, 3)
        axes = drawing.subplots()
        if mean_p:
            axes.loglog(M, off_linear, "o-", label="linear")
            axes.loglog(M, off_relu, "s--", label="after ReLU")
            axes.axhline(stays_off, color="black", ls=":", label="ReLU, all masks")
            axes.legend()
        else:
            axes.text(0.5, 0.5, "p = 0: no unit is dropped,\nevery network is the whole one", ha="center")
        axes.set(xlabel="masks averaged", ylabel="distance from the scaled net")
        axes.grid(alpha=0.3)
        return drawing

    mo.vstack([
        picture(draw_errors(), f"Distance from the scaled network against the number of masks averaged: linear from "
                               f"{off_linear[0]:.2g} to {off_linear[-1]:.2g}; after ReLU from {off_relu[0]:.2g} to "
                               f"{off_relu[-1]:.2g}, beside a level of {stays_off:.2g}."),
        say("At p = 0 nothing is dropped, and one network is all of them. Move p to see more." if not mean_p else f"""
            Where the layer is linear, a single thinned network is {off_linear[0]:.2g} away from the scaled one, and the
            mean of {M[-1]:,} of them only {off_linear[-1]:.2g}; the distance goes on falling as 1 / √M. After ReLU it
            stops near {stays_off:.2g}. The table shows why.
        """),
    ])
    return


@app.cell
def _(after_relu, geometric, linear, log_softmax, mean_p, means):
    rows = [[f"{name}, output {i}", mean[i], whole[i], f"{abs(mean[i] - whole[i]):.1e}"]
            for name, mean, whole in (("linear", means[0], linear), ("ReLU", means[1], after_relu),
                                      ("softmax *", geometric, np.exp(log_softmax))) for i in range(3)]
    say(f"""
        The mean of all {2**10:,} thinned networks, beside the scaled network, at p = {mean_p:g}:

    """, table(["", "mean of all", "scaled network", "difference"], rows), f"""
        \\* the geometric mean of the probabilities, which is e to the mean of their logarithms, divided by their sum so
        that they add up to 1.

        Through a **linear** layer the mean is exact, because the mean of a sum is the sum of the means. Through
        **softmax** the geometric mean is exact too, because the logarithm of softmax is the logits, which are
        linear, less a number that is the same for all classes. That number goes when the probabilities are divided by
        their sum.
        Through a **ReLU** it is only approximate: ReLU of the mean is not the mean of the ReLUs. It is never larger
        than that, and here it is smaller by up to {np.max(means[1] - after_relu):.2g}. With more layers on top, the
        scaled network is an approximation that works well in practice, and no more than that is known.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, mask, p):
    # y = x · mask / (1 − p): the mask is 1 where a unit was kept and 0 where not
    gx = gy * mask
    return gx
'''
    answer = start.replace("gy * mask", "gy * mask / (1 - p)")
    tries = {
        "times 2, as at p = 0.5": start.replace("gy * mask", "gy * mask * 2"),
        "divide by p": start.replace("gy * mask", "gy * mask / p"),
        "scale, but forget the mask": start.replace("gy * mask", "gy / (1 - p)"),
        "scale the other way": start.replace("gy * mask", "gy * mask * (1 - p)"),
    }

    def check(backward):
        p = 0.2
        mask = keeps(4, 6, 7, p)
        x = np.random.default_rng(0).normal(size=mask.shape)
        gradcheck(lambda x: ops.dropout(x, [KEY, 7], p=p), x)  # the engine's
        gradcheck(lambda x: x * mask / (1 - p), x, backward=lambda gy, x: backward(gy, mask, p))

    asked = "backward"
    say("""
        ## Exercise

        This backward of inverted dropout is wrong. Mend it. It is checked at p = 0.2, and you can read below what
        `gradcheck` says of it.
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
