"""Chapter 6: overlapping pooling. Who wins each window, and where the gradient goes."""

import marimo

app = marimo.App(app_title="6 · Pooling that overlaps")

with app.setup:
    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from matplotlib.patches import ConnectionPatch, Rectangle
    from page import attempt, figure, picture, say, table

    from minicnn import Tensor, gradcheck, ops
    from minicnn.data import read_picture
    from minicnn.kernels import max_pool2d as kernels


@app.cell
def _():
    say("""
        # 6 · Pooling that overlaps

        Max-pooling keeps the largest number of every window and drops the others. It has no weights, so it seems that
        going backward it has nothing to do. It has: in every window one pixel made the output, the **winner**, and the
        gradient goes to it alone. The losers get 0: a little more of them would have changed nothing.

        AlexNet's windows are 3 wide and 2 apart (Krizhevsky et al. 2012, §3.4). So neighbours overlap, and one pixel
        may win several windows. Choose how wide they are (size) and how far apart (stride), below.
    """)
    return


@app.cell
def _():
    size_slider = mo.ui.slider(2, 4, value=3, label="size", show_value=True)
    stride_slider = mo.ui.slider(1, 3, value=2, label="stride", show_value=True)
    overwrite = mo.ui.switch(label="the mistake: write = where += belongs")
    mo.vstack([size_slider, stride_slider, overwrite])
    return overwrite, size_slider, stride_slider


@app.cell
def _():
    def pool(x, size, stride):
        """y and winner, both (P, Q), of one picture x (H, W). winner is the place r · size + s inside the window."""
        P, Q = ((pixels - size) // stride + 1 for pixels in x.shape)
        y, winner = np.empty((P, Q)), np.empty((P, Q), int)
        for p in range(P):
            for q in range(Q):
                window = x[p * stride : p * stride + size, q * stride : q * stride + size]
                winner[p, q] = window.argmax()  # row by row; of equal ones the first
                y[p, q] = window.flat[winner[p, q]]
        return y, winner

    def pixel_of(p, q, place, size, stride):
        return p * stride + place // size, q * stride + place % size

    def pool_backward(gy, winner, shape, size, stride, add=True):
        gx = np.zeros(shape)
        for p, q in np.ndindex(gy.shape):
            pixel = pixel_of(p, q, winner[p, q], size, stride)
            gx[pixel] = gx[pixel] + gy[p, q] if add else gy[p, q]
        return gx

    return pixel_of, pool, pool_backward


@app.cell
def _():
    def engine(x, gy, size, stride, padding=0):
        """y and gx of the op, for one picture x (H, W)."""
        t = Tensor(x[None, None], requires_grad=True)  # (N, C, H, W) = (1, 1, H, W)
        y = ops.max_pool2d(t, size=size, stride=stride, padding=padding)
        y.backward(np.broadcast_to(gy, y.shape).astype(x.dtype))
        return y.numpy()[0, 0], t.grad.numpy()[0, 0]

    return (engine,)


@app.cell
def _(overwrite, pool, pool_backward, size_slider, stride_slider):
    size, stride, adds = size_slider.value, stride_slider.value, not overwrite.value
    x = 1.0 + np.random.default_rng(108).permutation(49).reshape(7, 7)  # 1 … 49, each once
    y, winner = pool(x, size, stride)
    P, Q = y.shape
    gy = 1.0 + np.arange(P * Q).reshape(P, Q)  # 1, 2, 3 …, so that a sum shows who sent its parts
    gx = pool_backward(gy, winner, x.shape, size, stride)
    shown = gx if adds else pool_backward(gy, winner, x.shape, size, stride, add=False)
    wins = pool_backward(np.ones((P, Q)), winner, x.shape, size, stride)
    assert gx.sum() == gy.sum()
    return P, Q, adds, gx, gy, shown, size, stride, wins, winner, x, y


@app.cell
def _(P, Q, engine, gx, gy, size, stride, winner, x, y):
    def winners_of(run):
        y_kernel = np.empty((1, P, Q, 1))  # (C, P, Q, N)
        winner_kernel = np.empty((1, P, Q, 1), np.uint8)
        run(y_kernel, winner_kernel, x[None, :, :, None], size, size, stride, stride, 0, 0)
        return y_kernel[0, :, :, 0], winner_kernel[0, :, :, 0]

    def agree():
        compiled = winners_of(kernels.max_pool2d)
        loop = winners_of(lambda *a: kernels.max_pool2d.plain(0, P, *a))
        for y_found, winner_found in (compiled, loop):
            assert np.array_equal(y_found, y)
            assert np.array_equal(winner_found, winner)
        y_op, gx_op = engine(x, gy, size, stride)
        assert np.array_equal(y_op, y)
        assert np.array_equal(gx_op, gx)

    agree()
    say(f"""
        ## A grid small enough to follow

        x holds the numbers 1 to {x.size}, each once. Windows {size} wide and {stride} apart make {P} × {Q} outputs.
        While it looks for the largest number, the kernel also writes down where it was: `winner` holds the place
        r·size + s inside the window, from 0 to {size * size - 1}. Of x, nothing else is needed to go backward.

        Three ways give the same y, winners and gradient, number for number: the loop written out in this chapter,
        `kernels.max_pool2d` (plain and compiled), and the op `ops.max_pool2d` with its `backward`.
    """)
    return


@app.cell
def _(P, Q):
    p_slider = mo.ui.slider(0, P - 1, value=1, label="p, the row of the output", show_value=True)
    q_slider = mo.ui.slider(0, Q - 1, value=1, label="q, its column", show_value=True)
    mo.vstack([p_slider, q_slider])
    return p_slider, q_slider


@app.cell
def _(p_slider, pixel_of, q_slider, size, stride, winner, x, y):
    p, q = p_slider.value, q_slider.value
    place = winner[p, q]
    row, column = pixel_of(p, q, place, size, stride)
    window = x[p * stride : p * stride + size, q * stride : q * stride + size]
    assert y[p, q] == x[row, column] == window.max()
    others = [f"y[{i}, {j}]" for i, j in np.ndindex(y.shape)
              if (i, j) != (p, q) and pixel_of(i, j, winner[i, j], size, stride) == (row, column)]
    say(f"""
        y[{p}, {q}] looks at rows {p * stride} to {p * stride + size - 1} and columns {q * stride} to
        {q * stride + size - 1} of x: {" / ".join(" ".join(f"{v:g}" for v in line) for line in window)}. The largest is
        **{y[p, q]:g}**, at place {place} = {place // size}·{size} + {place % size}, so r = {place // size} and
        s = {place % size}. In x that is row p·stride + r = {row}, column q·stride + s = {column}.
        This pixel also wins {" and ".join(others) if others else "no other window"}.
    """)
    return column, p, q, row


@app.cell
def _():
    def grid(axes, numbers, shade, title, cmap="Blues"):
        """Numbers in cells; the darker, the larger ``shade``."""
        axes.imshow(shade, cmap=cmap, vmin=0, vmax=max(1.6 * shade.max(), 1))
        for i, j in np.ndindex(numbers.shape):
            axes.text(j, i, f"{numbers[i, j]:g}", ha="center", va="center", fontsize=11)
        axes.set_title(title, fontsize=11)
        axes.set(xticks=range(numbers.shape[1]), yticks=range(numbers.shape[0]))
        axes.tick_params(length=0, labelsize=9, colors="dimgray")

    def frame(axes, row, column, height, width, **how):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), width, height, fill=False, **how))

    def behind_numbers(axes, left):
        """Arrows that the axes ``left`` draws pass behind the numbers of ``axes``."""
        axes.set_zorder(left.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.images[0].remove()
        axes.yaxis.tick_right()
        axes.tick_params(length=0)
        for text in axes.texts:
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})

    return behind_numbers, frame, grid


@app.cell
def _(P, Q, behind_numbers, column, frame, grid, p, pixel_of, q, row, size, stride, wins, winner, x, y):
    def draw_winners():
        drawing = figure(7, 3.8)
        left, right = drawing.subplots(1, 2, width_ratios=[7, max(3, min(P, 6))])
        grid(left, x, wins, "x; blue: the winners")
        grid(right, y, np.zeros((P, Q)), "y")
        behind_numbers(right, left)
        frame(left, p * stride, q * stride, size, size, color="black", lw=2.5)
        frame(right, p, q, 1, 1, color="black", lw=2.5)
        for i, j in np.ndindex(P, Q):
            there = pixel_of(i, j, winner[i, j], size, stride)
            chosen = (i, j) == (p, q)
            arrow = left.add_artist(ConnectionPatch(
                (j, i), (there[1] + 0.35, there[0]), "data", "data", axesA=right, axesB=left, arrowstyle="->",
                color="black" if chosen else "C1", lw=2 if chosen else 1, clip_on=False, zorder=2))
            arrow.set_in_layout(False)  # it leaves its axes
        return drawing

    picture(draw_winners(), f"Left x, 7 by 7 numbers, right y, {P} by {Q}. From every output an arrow goes to the "
                            f"pixel that it was taken from; from y[{p}, {q}] to x[{row}, {column}] = "
                            f"{x[row, column]:g}, in its window of {size} by {size}. A winner is the darker blue, the "
                            f"more windows it wins: {wins.max():g} at most.")
    return


@app.cell
def _(P, Q, adds, frame, grid, gx, gy, p, pool, pool_backward, q, shown, size, stride, wins, x):
    def lost_by_overwriting(size, stride):
        y, winner = pool(x, size, stride)
        gy = 1.0 + np.arange(y.size).reshape(y.shape)
        return gy.sum(), pool_backward(gy, winner, x.shape, size, stride, add=False).sum()

    arrived, arrived_overwritten = lost_by_overwriting(3, 2)
    assert arrived_overwritten < arrived  # windows overlap
    assert np.equal(*lost_by_overwriting(2, 2))  # they do not, and nobody can see the mistake

    def draw_gradient():
        drawing = figure(7, 3.8)
        left, right = drawing.subplots(1, 2, width_ratios=[7, max(3, min(P, 6))])
        grid(left, shown, (shown > 0) + 0.5 * (wins > 1), "gx" if adds else "gx with = for +=", cmap="Oranges")
        grid(right, gy, np.zeros((P, Q)), "gy")
        frame(left, p * stride, q * stride, size, size, color="black", lw=2.5)
        frame(right, p, q, 1, 1, color="black", lw=2.5)
        return drawing

    several = [(i, j) for i, j in np.argwhere(wins > 1)]
    largest = np.unravel_index(np.argmax(wins), wins.shape)
    mo.vstack([
        say(f"""
            ## Back along the same arrows

            Let gy number the windows: 1, 2, 3 and so on. Each number goes where its window's arrow ends, and where
            several end it is their **sum**. Of the {np.count_nonzero(wins)} winners here {len(several)} won more than
            one window; pixel [{largest[0]}, {largest[1]}] wins {wins[largest]:g} and gets {gx[largest]:g}.

            A check by eye: pooling hands on everything it is given, so gx must add up to what gy does. Here
            {shown.sum():g} of {gy.sum():g} arrive. At size 3 and stride 2, `=` for `+=` would deliver
            {arrived_overwritten:g} of {arrived:g}: the window that comes last wipes out the others. At 2 and 2 no
            windows overlap and **the mistake does not show**. Test pooling where windows overlap.
        """),
        picture(draw_gradient(), f"Left gx, right gy. {np.count_nonzero(shown)} of {shown.size} pixels get something, "
                                 f"{len(several)} of them from several windows, in a darker orange. gx adds up to "
                                 f"{shown.sum():g}, gy to {gy.sum():g}."),
    ])
    return


@app.cell
def _(engine):
    def ties():
        same = np.full((3, 3), 2.0)
        _, gx = engine(same, 1.0, 3, 2)
        h = 1e-3
        raised, lowered = same.copy(), same.copy()
        raised[1, 1] += h
        lowered[1, 1] -= h
        largest = [engine(v, 1.0, 3, 2)[0].item() for v in (lowered, same, raised)]
        return gx, (largest[1] - largest[0]) / h, (largest[2] - largest[1]) / h

    def nan_by_comparing(window):
        largest = -np.inf
        for value in window.flat:
            if value > largest:  # NaN > anything is False
                largest = value
        return largest

    gx_tie, slope_below, slope_above = ties()
    assert gx_tie[0, 0] == gx_tie.sum() == 1
    assert slope_below == 0
    assert abs(slope_above - 1) < 1e-9
    broken = np.arange(9.0).reshape(3, 3)
    broken[1, 1] = np.nan
    y_nan, gx_nan = engine(broken, 1.0, 3, 2)
    hidden = nan_by_comparing(broken)
    assert np.isnan(y_nan).all()
    assert gx_nan[1, 1] == gx_nan.sum() == 1
    assert hidden == 8
    checked = gradcheck(ops.max_pool2d, np.full((1, 1, 5, 5), 2.0))
    say(f"""
        ## Equal numbers, and NaN

        Who wins a window of nine equal numbers? In minicnn the first, row by row, takes all: gx[0, 0] =
        {gx_tie[0, 0]:g}, the others get {gx_tie[1:].sum():g}. There is no right answer: raise the middle pixel and y
        rises with slope {slope_above:g}, lower it and the slope is {slope_below:g}. `gradcheck` knows such ties and
        tests a little away from them ({sum(checked.moved.values())} of 25 equal pixels, all found right). What does
        matter is that the rule is one rule: the plain loop, the compiled kernel and the CUDA twin must choose alike.

        **NaN wins.** Put NaN into the middle of 0, 1 … 8: minicnn gives {y_nan.item()} and sends the gradient there. A
        loop that only asks `value > largest` gives {hidden:g}, since NaN is not larger than anything, and what went
        wrong upstream stays hidden.
    """)
    return


@app.cell
def _(engine, pool, pool_backward):
    def padded_with_zeros(x, gy, size, stride):
        padded = np.pad(x, 1)
        y, winner = pool(padded, size, stride)
        return y, pool_backward(np.full(y.shape, gy), winner, padded.shape, size, stride)[1:-1, 1:-1]

    below = -1.0 - np.random.default_rng(0).permutation(25).reshape(5, 5)
    y_right, gx_right = engine(below, 1.0, 3, 2, padding=1)
    y_wrong, gx_wrong = padded_with_zeros(below, 1.0, 3, 2)
    y_positive, y_positive_zeros = engine(-below, 1.0, 3, 2, padding=1)[0], padded_with_zeros(-below, 1.0, 3, 2)[0]
    from_nowhere = int((y_wrong == 0).sum())
    assert y_right.max() < 0
    assert gx_right.sum() == y_right.size
    assert from_nowhere == y_right.size - 1
    assert gx_wrong.sum() == 1
    assert np.array_equal(y_positive, y_positive_zeros)
    say("""
        ## Padding is −∞, not 0

        AlexNet pools without padding; other networks add a border. A border of zeros is right for a convolution, where
        0 adds nothing. Here it is a number that may win. Take a 5 × 5 picture of the numbers −1 to −25, size 3,
        stride 2 and a border of 1:
    """, table(["border", "y[0, 0]", "y[0, 1]", "y[1, 1]", "Σ gx"], [
        ["−∞ (minicnn)", *y_right[[0, 0, 1], [0, 1, 1]], gx_right.sum()],
        ["0 (the mistake)", *y_wrong[[0, 0, 1], [0, 1, 1]], gx_wrong.sum()],
    ]), f"""
        With zeros {from_nowhere} of {y_wrong.size} outputs are 0, a number that the picture does not hold, and their
        gradient falls into the border and is lost: of {gx_right.sum():g} that were sent, {gx_wrong.sum():g} arrives.
        After a ReLU no number is negative and both give the same y, so the mistake waits until somebody pools before
        the ReLU, as the program of 2012 did in blocks 1 and 5.
    """)
    return


@app.cell
def _():
    photograph = read_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = photograph[35:132, 85:182].mean(axis=2)  # (97, 97), of 256 × 256
    return (grey,)


@app.cell
def _(engine, grey, size, stride):
    def draw_photograph():
        y, gx = engine(grey, 1.0, size, stride)
        eye = slice(22, 47), slice(10, 35)
        drawing = figure(7, 7.2)
        axes = drawing.subplots(2, 2).ravel()
        maps = ((grey, "gray", "x"), (y, "gray", "y"), (gx, "cividis", "windows won"), (grey[eye], "gray", "an eye"))
        for ax, (image, colours, title) in zip(axes, maps, strict=True):
            shown = ax.imshow(image, cmap=colours, interpolation="nearest")
            ax.set_title(f"{title}, {image.shape[0]} × {image.shape[1]}", fontsize=12)
            ax.set(xticks=[], yticks=[])
            if image is gx:
                drawing.colorbar(shown, ax=ax, location="bottom", ticks=range(int(gx.max()) + 1))
        rows, columns = np.nonzero(gx[eye])
        axes[3].scatter(columns, rows, s=12 * gx[eye][rows, columns], color="C1", edgecolor="white", lw=0.5)
        axes[3].set_xlabel("dots: winners, the larger\nthe more windows they win", fontsize=11)
        return drawing, gx

    drawn, won = draw_photograph()
    picture(drawn, f"Grace Hopper's face, {grey.shape[0]} by {grey.shape[1]} grey pixels; the same pooled with windows "
                   f"{size} wide and {stride} apart; how many windows each pixel wins: {won.max():g} at most, none for "
                   f"{100 * (won == 0).mean():.1f} % of the pixels; and one eye, its winners marked by dots.")
    return


@app.cell
def _(engine, grey):
    noise = np.random.default_rng(0).normal(size=grey.shape)

    def reach(image, size, stride):
        y, gx = engine(image, 1.0, size, stride)
        return y.size, int((gx > 0).sum()), gx.max()

    slope = np.add.outer(*[np.arange(pixels) * 1.0 for pixels in grey.shape])  # brighter from corner to corner
    pictures = {"photograph": grey, "noise": noise, "slope": slope}
    counted = {(name, size): reach(image, size, 2) for size in (3, 2) for name, image in pictures.items()}
    left3, got3, most3 = counted["photograph", 3]
    left2, got2, most2 = counted["photograph", 2]
    assert left3 == left2 == got2 > got3
    assert most2 == 1 < most3
    assert counted["noise", 3][1] < got3 < counted["slope", 3][1] == left3
    covered = (grey.shape[0] // 2 * 2) ** 2  # at 2/2 the last row and column of an odd picture are in no window
    assert 4 * got2 == covered
    overlapped = [(i, *(ops.max_pool2d(np.zeros((1, 1, i, i)), size=size, stride=2).shape[2] for size in (3, 2)))
                  for i in (55, 27, 13)]
    assert all(three == two for _, three, two in overlapped)
    edges = Tensor(np.diff(grey)[None, None], requires_grad=True)
    pooled = ops.max_pool2d(ops.relu(edges))
    pooled.backward(np.ones(pooled.shape))
    zeros = (pooled.numpy() == 0).mean()
    assert 0 < zeros < 1
    assert edges.grad.numpy().sum() == (pooled.numpy() > 0).sum()  # what windows of zeros send is stopped
    say("""
        ## How much of the picture learns?

        One would think that wider windows spread the gradient over more pixels. It is the other way round:
    """, table(["picture", "windows", "outputs", "pixels that win", "% of all"], [
        [name, f"{size}/2", left, got, round(100 * got / grey.size, 1)]
        for (name, size), (left, got, _) in counted.items()
    ]), f"""
        At 2/2 every window has a winner of its own, so exactly a quarter of what the windows cover gets something (they
        leave out the last row and column of these {grey.shape[0]}). At 3/2 there are as many outputs, {left3}, but one
        bright pixel may win up to {most3:g} of them: the gradient reaches **fewer** pixels, and each gets more. That is
        strongest in noise, which is all peaks, and does not happen on a slope, where each window has a brightest corner
        of its own. A photograph is something of both.

        Overlap costs no outputs either. Per side, AlexNet's three poolings leave the same number both ways:
    """, table(["pixels", "3/2 leaves", "2/2 leaves", "% of the numbers"], [
        [i, three, two, round(100 * three**2 / i**2, 1)] for i, three, two in overlapped
    ]), f"""
        The authors measured 0.4 % (top-1) and 0.3 % (top-5) less error with 3/2 than with 2/2, and found the network
        slightly harder to overfit (§3.4). Ties do happen: behind an edge filter (right pixel less left) and a ReLU,
        {100 * zeros:.0f} % of the 3/2 windows of this photograph hold nothing but zeros. Their first pixel gets the
        gradient, and the ReLU stops it there.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # y[p] = the largest of x[2p], x[2p + 1], x[2p + 2]: 3 wide, 2 apart
    gx = np.zeros_like(x)
    for p in range(len(gy)):
        winner = 2 * p + np.argmax(x[2 * p : 2 * p + 3])
        gx[winner] = gy[p]
    return gx
'''
    answer = start.replace("gx[winner] = gy[p]", "gx[winner] += gy[p]")

    def check(backward):
        def pool_1d(x):
            return np.array([x[i : i + 3].max() for i in range(0, len(x) - 2, 2)])

        gradcheck(pool_1d, np.array([1.0, 4, 6, 0, 3, 9, 5, 2, 8, 2, 7]), backward=backward)

    asked = "backward"
    say("## Exercise\n\nMend this backward of pooling in one dimension. What `gradcheck` says of it stands below.")
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
