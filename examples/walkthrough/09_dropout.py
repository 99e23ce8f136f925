"""Chapter 9: dropout. Thinned networks, the factor at test or in training, and random numbers that are counted."""

import marimo

app = marimo.App(app_title="9 · Dropout")

with app.setup:
    from math import comb, log10

    import marimo as mo
    import numpy as np
    from page import attempt, figure, picture, say, table

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

        In every training step, and for every picture anew, AlexNet switches off about half of the units of fc6 and of
        fc7 (§4.2 of the paper). A unit that is off gives 0. What is left is a **thinned network**. A unit is on or off,
        so n units make 2ⁿ thinned networks; {UNITS:,} units make a number of {digits:,} digits. Each picture
        trains one of them, and hardly any is ever met twice. They can be trained at all because they **share their
        weights**: no unit can rely on another one being there.
    """)
    return


@app.cell
def _():
    p_slider = mo.ui.slider(0.0, 0.9, step=0.1, value=0.5, label="p, the probability of dropping a unit",
                            show_value=True)
    step_slider = mo.ui.slider(0, 50, value=0, label="training step", show_value=True)
    mo.vstack([p_slider, step_slider])
    return p_slider, step_slider


@app.cell
def _(p_slider, step_slider):
    p, step = round(float(p_slider.value), 1), int(step_slider.value)
    return p, step


@app.cell
def _(p, step):
    def draw_networks():
        drawing = figure(6, 3.4)
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
            axes.set(title=f"step {step + i}: {alive[-1]} of {rows[1]}", xlim=(-0.1, 1.1), ylim=(-0.3, 2.3),
                     xticks=[], yticks=[])
        return drawing, alive

    networks, alive = draw_networks()
    picture(networks, f"Three thinned networks of steps {step} to {step + 2}, 4 inputs, 8 hidden units, 2 outputs, at "
                      f"p = {p:g}: {', '.join(map(str, alive))} of the 8 hidden units are kept; the others are hollow "
                      "and have no lines.")
    return


@app.cell
def _(p, step):
    def draw_masks(images=8, units=40):
        drawing = figure(6, 4.6)
        shares = []
        for i, axes in enumerate(drawing.subplots(4, 1, sharex=True)):
            kept = keeps(images, units, step + i, p)
            shares.append(kept.mean())
            axes.imshow(kept, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set(ylabel="picture", yticks=[0, images - 1], title=f"step {step + i}")
        axes.set(xlabel="unit")
        return drawing, shares

    masks_drawn, shares = draw_masks()
    picture(masks_drawn, f"The masks of steps {step} to {step + 3}, 8 pictures by 40 units, white where kept: "
                         f"{', '.join(f'{share:.0%}' for share in shares)} are kept. Every row differs.")
    return


@app.cell
def _(p, step):
    def count_kept(units=64, times=400):
        """How many of 64 units were kept, in each of 400 masks; the binomial says how often which number is met."""
        counts = keeps(times, units, step, p).sum(1).astype(int)
        expected = [comb(units, k) * (1 - p) ** k * p ** (units - k) for k in range(units + 1)]
        return units, times, counts, np.array(expected)

    units, times, counts, expected = count_kept()
    found_mean, true_mean, spread = counts.mean(), units * (1 - p), (units * p * (1 - p)) ** 0.5
    assert abs(expected.sum() - 1) < 1e-12
    assert abs(expected @ np.arange(units + 1) - true_mean) < 1e-9
    assert abs(found_mean - true_mean) <= 4.5 * spread / times**0.5

    def draw_counts():
        drawing = figure(6, 3)
        axes = drawing.subplots()
        axes.bar(np.arange(units + 1), np.bincount(counts, minlength=units + 1), label=f"{times} pictures")
        axes.plot(np.arange(units + 1), expected * times, "o", ms=3.5, color="black", label="binomial")
        axes.set(xlabel=f"units kept, of {units}", ylabel="pictures",
                 xlim=(max(-1, true_mean - 5 * spread - 2), min(units + 1, true_mean + 5 * spread + 2)))
        axes.legend()
        return drawing

    mo.vstack([
        say(f"""
            "Half" is meant on average only: each unit is asked by itself. Of {units} units, p = {p:g} keeps
            {true_mean:g} on average, give or take {spread:.2g}, the binomial distribution. Over {times} pictures of
            step {step} the engine kept {found_mean:.4g}.
        """),
        picture(draw_counts(), f"How many of {units} units were kept in {times} pictures: mean {found_mean:.4g}, from "
                               f"{counts.min()} to {counts.max()}, beside the binomial with mean {true_mean:g}."),
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
        ## × ½ at test, or × 2 in training

        At test all units are on: twice as many as the next layer has learned with. The paper multiplies by ½ **at
        test**. Most programs multiply what is kept by 2 **in training** and do nothing at test (*inverted* dropout;
        in general 1 / (1 − p)). Either way a unit gives on average in training what it gives at test:

    """, table(["x", "paper: train", "test", "inverted: train", "test"],
               [[x_in[i], plain.mean(0)[i], paper_at_test[i], inverted.mean(0)[i], modern_at_test[i]]
                for i in range(3)]), f"""
        ("train" is the mean over {len(plain):,} masks.) Who forgets to switch to test with `net.eval()` gets another
        answer at every call.
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

        They are equal on average, yet not one thing under another name. Start both from the paper's weights, σ = 0.01,
        and look at what fc7 makes of it in training:

    """, table(["", "paper", "inverted", "ratio"], [
        ["deviation of w·x", y_paper.std(), y_inverted.std(), y_inverted.std() / y_paper.std()],
        ["deviation of gw", gw_paper.std(), gw_inverted.std(), gw_inverted.std() / gw_paper.std()],
    ]), """
        The next layer sees **twice** the scale, beside the same biases of 1, and its weights get twice the gradient:
        with the same start and the same rate another training begins. To get the paper's training back, halve the
        weights at the start. The gradient stays doubled, so to move half the weights by half as much their rate has to
        be a **quarter**; this cell checks it for one plain step of y = w·x, without biases and weight decay. Hence
        minicnn's "paper" recipe says `inverted_dropout=False`.
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

        y = x · mask · 2 is a product, and the mask a constant. So gx = gy · mask · 2. Here gy is 11 for each unit: the
        next layer reads all of them with weights of 1, from two units where the gradient is 1 and 10.

    """, table(["unit", "x", "y", "gx", "gw (2nd)"],
               [[i, unit_x[i], unit_y[i], unit_gx[i], unit_gw[1, i]] for i in range(6)]), f"""
        Of 6 units {kept_units.sum()} were kept. Where a unit was dropped nothing flows: not to it, not to the weights
        before it, and since its y is 0, not to the weights that read it either. For this picture it does not exist.
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
            ("drawn anew at every call", fresh, lambda gy, x: fresh(gy)),
            ("drawn anew in backward only", counted, lambda gy, x: fresh(gy)),
            ("the next step's mask in backward", counted, lambda gy, x: counted(gy, 8)),
        ):
            try:
                gradcheck(forward, x, backward=backward)
            except GradientError as found:
                yield mistake, found
        gradcheck(forward, x, backward=lambda gy, x: counted(gy))

    found_mistakes = list(mistakes())
    verdicts = [found.verdicts[0].name for _, found in found_mistakes]
    assert verdicts == ["not deterministic", "not deterministic", "zero where it should not be"]
    say("""
        ## The mistake: another mask in backward

        Whoever draws random numbers forwards and draws again backwards sends gradients through units that were off.
        All shapes fit, and so does the size on average, so nothing complains. `gradcheck` does:

    """, table(["mask", "verdict"], [[mistake, found.verdicts[0].name] for mistake, found in found_mistakes]),
        "Of the third it says:", f"```\n{found_mistakes[2][1]}\n```", """
        With the same mask both ways it is content. The usual cure is to keep the mask until backward. There is another.
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

        A generator hands out numbers one after the other, and has to remember where it stands. minicnn **counts**
        instead: Philox 4×32 is a function that scrambles a counter, here (unit, picture, step), under a key, which is
        {KEY} here. Its output looks like chance, but the number of unit 2 in picture 3 at step 7 can be asked for at
        any time and in any order. It is a word of 32 bits, from 0 to 2³² − 1; a unit stays where the word is at least
        p · 2³². Ten rounds of two multiplications, in plain Python; step 7, p = 0.5, word / 2³²:

    """, table(["picture", "unit 0", "unit 1", "unit 2", "kept"],
               [[n, *(f"{word / 2**32:.4f}" for word in words[n]), " ".join(f"{k:.0f}" for k in by_engine[n])]
                for n in range(4)]), """
        The engine's kernel and its plain loop keep the same units as these lines: integers do not round.
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
        yield "two towers, `first_unit` 0 and 3", (np.concatenate(halves, 1) == whole).all()
        yield "3 pictures of the 8", (keeps(3, 6, 7, 0.5) == whole[:3]).all()
        keeps(8, 6, 8, 0.5)
        yield "asked again, after another step", (keeps(8, 6, 7, 0.5) == whole).all()
        before, large = get_num_threads(), []
        try:
            for cores in (1, 3):
                set_num_threads(cores)
                large.append(keeps(128, 4096, 7, 0.5))
        finally:
            set_num_threads(before)
        yield "1 core, 3 cores", (large[0] == large[1]).all()
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
        So backward does not keep a mask: it counts once more, with the same key and step. And the mask stays the same
        whatever else changes:

    """, table(["", "same mask"], [[what, "yes" if same else "NO"] for what, same in stays]), f"""
        Drawn numbers belong to whoever asks first: two towers of three units, each with a generator of the same seed,
        agree with one network of six in {agree:.0%} of the places, not in all.

        The state of a layer is two whole numbers, key and step; the masks of fc6 and fc7, kept as floats, would be
        {mask_bytes / 1e6:.1f} MB at batch 128. The CUDA text beside the kernel computes with the same integers.
    """)
    return


@app.cell
def _(p):
    def all_networks(p, n=10):
        """Every mask of ten units, and how probable it is."""
        bits = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
        kept = bits.sum(1)
        return bits, (1 - p) ** kept * p ** (n - kept)

    bits, chance = all_networks(p)
    weights = np.random.default_rng(5)
    x_small, w_small, b_small = weights.normal(size=10), weights.normal(size=(3, 10)), weights.normal(size=3)

    def outputs(masks):
        """(linear, after ReLU, log of softmax) of the thinned networks, a row each"""
        z = ops.linear(x_small * masks / (1 - p), w_small, b_small)
        return z.numpy(), z.relu().numpy(), z.log_softmax().numpy()

    means = [chance @ each for each in outputs(bits)]
    linear, after_relu, log_softmax = (each[0] for each in outputs(np.full((1, 10), 1 - p)))  # scaled, all units on
    geometric = np.exp(means[2]) / np.exp(means[2]).sum()
    assert abs(chance.sum() - 1) < 1e-12
    assert np.abs(means[0] - linear).max() < 1e-12
    assert np.abs(geometric - np.exp(log_softmax)).max() < 1e-12
    assert (means[1] >= after_relu - 1e-12).all()
    rows = [[f"{name}, output {i}", mean[i], whole[i], f"{abs(mean[i] - whole[i]):.1e}"]
            for name, mean, whole in (("linear", means[0], linear), ("ReLU", means[1], after_relu),
                                      ("softmax *", geometric, np.exp(log_softmax))) for i in range(3)]
    say(f"""
        ## Many networks, one answer

        Why should one network with all its units on stand for all the thinned ones? Ten units have 2¹⁰ =
        {len(bits):,} masks, few enough to try every one, weighted by how probable it is at p = {p:g}:

    """, table(["", "mean of all", "scaled net", "apart"], rows), f"""
        \\* the geometric mean of the probabilities, brought back to a sum of 1.

        Through a **linear** layer the mean is exact: the mean of a sum is the sum of the means. Through a **softmax**
        the geometric mean is exact too, as its logarithm is linear but for a constant. Through a **ReLU** it is only
        near: the mean of bent values is not the bent mean. It is never below it, and here above by up to
        {np.max(means[1] - after_relu):.2g}. With more layers on top, the scaled network is a good guess that has proven
        itself in practice, and no more than that.
    """)
    return after_relu, linear, means, outputs


@app.cell
def _(after_relu, linear, means, outputs, p):
    def averaging(steps=4096):
        """The error of the mean over the masks of steps 0 … M − 1."""
        masks = np.concatenate([keeps(1, 10, step, p) for step in range(steps)])
        z, bent, _ = outputs(masks)
        M = 2 ** np.arange(int(np.log2(steps)) + 1)

        def off(values, target):
            return [np.sqrt(((values[:m].mean(0) - target) ** 2).mean()) for m in M]

        return M, off(z, linear), off(bent, after_relu)

    M, off_linear, off_relu = averaging()
    stays_off = np.sqrt(((means[1] - after_relu) ** 2).mean())
    if p:
        assert off_linear[-1] < off_linear[0] / 8

    def draw_errors():
        drawing = figure(6, 3.2)
        axes = drawing.subplots()
        if p:
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
        say("At p = 0 nothing is dropped, and one network is all of them. Move p to see more." if not p else f"""
            With masks from the counter, steps 0, 1, 2, …, the mean of {M[-1]:,} thinned networks comes within
            {off_linear[-1]:.2g} of the scaled one where the layer is linear, {off_linear[0]:.2g} with one mask alone,
            and goes on falling as 1 / √M. After ReLU it stops near {stays_off:.2g}, the difference above.
        """),
        picture(draw_errors(), f"Distance from the scaled network over the number of masks averaged: linear from "
                               f"{off_linear[0]:.2g} to {off_linear[-1]:.2g}; after ReLU from {off_relu[0]:.2g} to "
                               f"{off_relu[-1]:.2g}, beside a level of {stays_off:.2g}."),
    ])
    return


@app.cell
def _():
    start = '''def backward(gy, mask, p):
    # y = x · mask / (1 − p): the mask is 1 where a unit was kept and 0 where not
    gx = gy * mask
    return gx
'''
    answer = start.replace("gy * mask", "gy * mask / (1 - p)")

    def check(backward):
        p = 0.2
        mask = keeps(4, 6, 7, p)
        x = np.random.default_rng(0).normal(size=mask.shape)
        gradcheck(lambda x: ops.dropout(x, [KEY, 7], p=p), x)  # the engine's
        gradcheck(lambda x: x * mask / (1 - p), x, backward=lambda gy, x: backward(gy, mask, p))

    asked = "backward"
    say("""
        ## Exercise

        Mend this backward of inverted dropout. It is checked at p = 0.2. What `gradcheck` says of it stands below.
    """)
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
