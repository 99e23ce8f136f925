"""Chapter 5: convolution. Loops, columns, Numba, CUDA and Fourier give the same numbers; why col2im adds; groups."""

import marimo

app = marimo.App(app_title="5 · Convolution")

with app.setup:
    import inspect
    from pathlib import Path
    from statistics import median
    from textwrap import dedent
    from time import perf_counter

    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from matplotlib.patches import Rectangle
    from numpy.lib.stride_tricks import sliding_window_view
    from page import attempt, figure, picture, say, table
    from PIL import Image

    from minicnn import GradientError, Tensor, gradcheck, kernels, ops
    from minicnn.kernels import convolution, fourier
    from minicnn.kernels.im2col import col2im, im2col

    def seconds(spelling, times, *arguments):
        """The median of so many runs."""
        def once():
            start = perf_counter()
            spelling(*arguments)
            return perf_counter() - start
        return median(once() for _ in range(times))


@app.cell
def _():
    say("""
        # 5 · Convolution

        A convolution lays a small **kernel** on the picture, multiplies each of its numbers by the pixel below, and
        writes down the sum. Then it moves on by `stride` pixels. In a formula, for image n, kernel k and place (p, q):

        y[n, k, p, q] = b[k] + Σ w[k, c, r, s] · x[n, c, p · stride + r − padding, q · stride + s − padding]

        The sum runs over the channels c and over the rows r and columns s of the kernel. What lies beyond the border
        counts as 0. (Mathematicians turn the kernel round first. Networks do not: they learn it anyway.)

        Below is a face from a photograph, 6 × 6 pixels with grey levels from 0 to 9, and a 3 × 3 kernel.
    """)
    return


@app.cell
def _():
    HOPPER = np.asarray(Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)), np.float64)

    def face(block):
        """(C, H, W) of the face, where so many pixels along each side became their mean."""
        size = 180 // block
        return HOPPER[90:270, 190:370].reshape(size, block, size, block, 3).mean(axis=(1, 3)).transpose(2, 0, 1)

    def tiny():
        grey = face(30).mean(axis=0)
        return np.round(9 * (grey - grey.min()) / np.ptp(grey))

    x = tiny()  # (H, W)
    KERNELS = {
        "vertical edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8,
        "horizontal edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 8,
        "blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    }

    def places(pixels, size, stride, padding):
        return (pixels + 2 * padding - size) // stride + 1

    return KERNELS, face, places, x


@app.cell
def _(padding_slider, places, stride_slider, x):
    _last = places(len(x), 3, int(stride_slider.value), int(padding_slider.value)) - 1
    p_slider = mo.ui.slider(0, _last, value=1, label="p", show_value=True)
    p_slider
    return (p_slider,)


@app.cell
def _(padding_slider, places, stride_slider, x):
    _last = places(len(x), 3, int(stride_slider.value), int(padding_slider.value)) - 1
    q_slider = mo.ui.slider(0, _last, value=1, label="q", show_value=True)
    q_slider
    return (q_slider,)


@app.cell
def _():
    stride_slider = mo.ui.slider(1, 3, value=1, label="stride", show_value=True)
    stride_slider
    return (stride_slider,)


@app.cell
def _():
    padding_slider = mo.ui.slider(0, 2, value=0, label="padding", show_value=True)
    padding_slider
    return (padding_slider,)


@app.cell
def _(KERNELS):
    kernel_choice = mo.ui.dropdown([*KERNELS], value="vertical edges", label="kernel")
    kernel_choice
    return (kernel_choice,)


@app.cell
def _(KERNELS, kernel_choice, padding_slider, places, stride_slider, x):
    stride, padding = int(stride_slider.value), int(padding_slider.value)
    w = KERNELS[kernel_choice.value]  # (R, S)
    y = ops.conv2d(x[None, None], w[None, None], stride=stride, padding=padding).numpy()[0, 0]  # (P, Q)
    P, Q = y.shape
    assert places(len(x), 3, stride, padding) == P == Q
    return P, Q, padding, stride, w, y


@app.cell
def _(P, p_slider, padding, q_slider, stride, w, x, y):
    p, q = int(p_slider.value), int(q_slider.value)
    top, left = p * stride - padding, q * stride - padding  # the pixel under w[0, 0]

    def window():
        """(r, s), (h, w), pixel, weight, product, one by one."""
        for r, s in np.ndindex(w.shape):
            h, column = top + r, left + s
            inside = 0 <= h < x.shape[0] and 0 <= column < x.shape[1]
            pixel = float(x[h, column]) if inside else 0.0
            yield (r, s), (h, column) if inside else "beyond", pixel, float(w[r, s]), pixel * float(w[r, s])

    seen = list(window())
    total = sum(row[-1] for row in seen)
    assert abs(total - y[p, q]) < 1e-12
    say(f"""
        ## One number of the output

        At p = {p}, q = {q} the window begins at row {p} · {stride} − {padding} = {top} and column {q} · {stride} −
        {padding} = {left}. Its nine products:
    """, table(["(r, s)", "pixel at", "x", "w", "w · x"], [[str(a), str(b), *rest] for a, b, *rest in seen]), f"""
        Their sum is {total:.4f}, and minicnn's `conv2d` says **y[{p}, {q}] = {y[p, q]:.4f}**. There are
        ⌊(6 + 2 · {padding} − 3) / {stride}⌋ + 1 = {P} places along each side.
    """)
    return left, p, q, seen, top


@app.cell
def _(left, p, padding, q, top, x, y):
    def draw_window():
        drawing = figure(5.5, 3.1)
        of_x, of_y = drawing.subplots(1, 2)
        edge = (-padding - 0.5, x.shape[1] + padding - 0.5, x.shape[0] + padding - 0.5, -padding - 0.5)
        of_x.imshow(np.pad(x, padding), cmap="gray", vmin=0, vmax=9, extent=edge)
        for h, column in np.ndindex(x.shape):
            of_x.text(column, h, f"{x[h, column]:g}", ha="center", va="center", fontsize=8,
                      color="white" if x[h, column] < 5 else "black")  # fmt: skip
        of_x.add_patch(Rectangle((-0.5, -0.5), *x.shape, fill=False, color="#5F9ED1", linewidth=1.5))
        of_x.add_patch(Rectangle((left - 0.5, top - 0.5), 3, 3, fill=False, color="#FF800E", linewidth=3))
        of_x.set(title="x and the window", xlabel="column", ylabel="row", xticks=range(6), yticks=range(6))
        most = np.abs(y).max()
        drawing.colorbar(of_y.imshow(y, cmap="PuOr", vmin=-most, vmax=most), ax=of_y, location="bottom", shrink=0.8)
        of_y.add_patch(Rectangle((q - 0.5, p - 0.5), 1, 1, fill=False, color="black", linewidth=3))
        of_y.set(title=f"y[{p}, {q}] = {y[p, q]:.4f}", xlabel="q", ylabel="p", xticks=range(len(y)),
                 yticks=range(len(y)))  # fmt: skip
        return drawing

    picture(draw_window(), f"Left the 6 × 6 picture with {padding} rows and columns of zeros around it, and a frame of "
                           f"3 × 3 whose corner is row {top}, column {left}. Right the output, {y.shape[0]} × "
                           f"{y.shape[1]}, from {y.min():.4f} to {y.max():.4f}, with place ({p}, {q}) framed.")
    return


@app.cell
def _(face, kernel_choice, w):
    grey = face(2).mean(axis=0)
    after = ops.conv2d(grey[None, None], w[None, None], padding=1).numpy()[0, 0]
    drawn = figure(5.5, 2.8)
    for axes, image, title, look in zip(
        drawn.subplots(1, 2), (grey, after), ("x", kernel_choice.value),
        ({"cmap": "gray"}, {"cmap": "PuOr", "vmin": -np.abs(after).max(), "vmax": np.abs(after).max()}), strict=True,
    ):  # fmt: skip
        axes.imshow(image, **look)
        axes.set(title=title, xticks=[], yticks=[])
    picture(drawn, f"The same face in 90 × 90 pixels, grey levels {grey.min():.0f} to {grey.max():.0f}, and what the "
                   f"kernel for {kernel_choice.value} makes of it: {after.min():.0f} to {after.max():.0f}.")
    return


@app.cell
def _():
    def loops(x, w, stride, padding):
        N, C, H, W = x.shape
        K, _, R, S = w.shape
        P, Q = (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1
        x, w = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2)).tolist(), w.tolist()
        y = [[[[0.0] * Q for _ in range(P)] for _ in range(K)] for _ in range(N)]
        for n in range(N):
            for k in range(K):
                for p in range(P):
                    for q in range(Q):
                        for c in range(C):
                            for r in range(R):
                                for s in range(S):
                                    y[n][k][p][q] += w[k][c][r][s] * x[n][c][p * stride + r][q * stride + s]
        return np.array(y)

    say("""
        ## First spelling: seven loops

        The formula as it stands, one loop for each letter. Nothing is hidden, and Python takes its time for each
        product. What the next four spellings give will be compared with this.
    """, f"```python\n{dedent(inspect.getsource(loops))}```")
    return (loops,)


@app.cell
def _(P, Q, p, padding, q, seen, stride, w, x, y):
    def columns_in_numpy(x, R, S, stride, padding):
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        windows = sliding_window_view(x, (R, S), axis=(2, 3))[:, :, ::stride, ::stride]  # (N, C, P, Q, R, S), no copy
        return windows.transpose(1, 4, 5, 2, 3, 0)  # (C, R, S, P, Q, N)

    def product(columns, w):
        K, (C, R, S, P, Q, N) = len(w), columns.shape
        y = w.reshape(K, C * R * S) @ columns.reshape(C * R * S, P * Q * N)
        return y.reshape(K, P, Q, N).transpose(3, 0, 1, 2)

    M = columns_in_numpy(x[None, None], 3, 3, stride, padding).reshape(9, P * Q)
    assert np.array_equal(M[:, p * Q + q], [pixel for _, _, pixel, *_ in seen])
    assert np.abs(w.reshape(9) @ M - y.reshape(-1)).max() < 1e-12
    column = "  ".join(f"{pixel:g}" for pixel in M[:, p * Q + q])
    say("""
        ## Second spelling: columns and one product (im2col)

        Write the nine pixels of a window below each other: a **column**. Put the columns of all places side by side,
        and the convolution is one product of matrices. For that every machine has a fast program.
    """, f"```python\n{dedent(inspect.getsource(columns_in_numpy))}\n{dedent(inspect.getsource(product))}```", f"""
        Here the kernel is a row of 9, the columns are a matrix of 9 × {P * Q}, and the place p = {p}, q = {q} is column
        {p} · {Q} + {q} = {p * Q + q}: {column}. The price: {x.size} pixels became {M.size} numbers, since a pixel is
        copied for each window that sees it. That is why minicnn makes the columns in blocks, small enough to stay near
        the processor, uses each block at once, and forgets it.
    """)
    return M, columns_in_numpy, product


@app.cell
def _(columns_in_numpy, padding, places, stride, x):
    def filled(fill, x, R, S, stride, padding):
        """Columns (C, R, S, P, Q, N) by fill(columns, x, start, Q, down, right, top, left), x as (C, H, W, N)."""
        N, C, H, W = x.shape
        P, Q = places(H, R, stride, padding), places(W, S, stride, padding)
        columns = np.full((C, R, S, P * Q, N), np.nan)
        fill(columns, np.ascontiguousarray(x.transpose(1, 2, 3, 0)), 0, Q, stride, stride, padding, padding)
        return columns.reshape(C, R, S, P, Q, N)

    def by_python(columns, *rest):
        im2col.plain(0, columns.shape[0] * columns.shape[1], columns, *rest)

    batch = np.stack([x, x[:, ::-1], x[::-1], x.T])[:, None]  # (N, C, H, W)
    expected = filled(im2col, batch, 3, 3, stride, padding)
    assert np.array_equal(expected, filled(by_python, batch, 3, 3, stride, padding))
    assert np.array_equal(expected, columns_in_numpy(batch, 3, 3, stride, padding))
    say(f"""
        ## Third spelling: Numba

        `kernels/im2col.py` fills the same columns by loops in Python, which Numba compiles. The compiled loop and the
        same lines run by Python (`im2col.plain`) gave the same {expected.size} numbers here, as did NumPy. The input is
        a batch of N = {len(batch)}: the face, mirrored, upside down, and transposed.

        It takes no pixel by itself where it can copy a run of them. In memory the batch runs fastest, (C, H, W, N): the
        same pixel of all images lies in one piece, and at stride 1 so does all that a row of the output sees.
        `ops.conv2d` is this kernel, the product, and the way back.
    """)
    return batch, by_python, expected, filled


@app.cell
def _():
    FOLDER = Path(kernels.__file__).parent
    CUDA = (FOLDER / "im2col.cu").read_text(encoding="utf-8")
    assert "const int WARP = 32;" in (FOLDER / "prelude.cuh").read_text(encoding="utf-8")
    WARP = 32

    def launched(columns):
        """How many threads minicnn launches to fill them."""
        (blocks,), (threads,), _ = kernels.launch_of("im2col", (columns,))
        return blocks * threads

    say("""
        ## Fourth spelling: CUDA C

        A graphics card (GPU) runs thousands of threads at once. All run the same text, and each asks for its number to
        find out which part of the work is its own. This is `kernels/im2col.cu`:
    """, f"```cpp\n{CUDA}```", f"""
        Threads go in **warps** of {WARP}. `warp()` is the thread's number // {WARP}, its `lane()` is what remains. A
        warp takes a row: one pixel of the kernel at one place, of all images. Its lanes share the images: neighbours
        read neighbours, which a GPU does in one go. Row and place are taken apart by division, as hours and minutes
        are. Where there are more rows than warps, each warp goes on to the row that lies `warps()` further.
    """)
    return WARP, launched


@app.cell
def _(expected, launched):
    thread_slider = mo.ui.slider(0, launched(expected) - 1, value=33, label="thread", show_value=True)
    thread_slider
    return (thread_slider,)


@app.cell
def _(WARP, batch, expected, filled, launched, padding, stride, thread_slider):
    def one_thread(thread, threads, columns, x, start, Q, down, right, top, left):
        """What it writes: where, (c, r, s), position, pixel, value. A line here is a line there."""
        C, R, S, positions, N = columns.shape
        _, H, W, _ = x.shape
        to, image, done = columns.reshape(-1), x.reshape(-1), []
        for row in range(thread // WARP, C * R * S * positions, threads // WARP):
            t = start + row % positions
            s = row // positions % S
            r = row // positions // S % R
            c = row // positions // S // R
            h = t // Q * down + r - top
            w = t % Q * right + s - left
            inside = 0 <= h < H and 0 <= w < W
            for n in range(thread % WARP, N, WARP):
                to[row * N + n] = image[((c * H + h) * W + w) * N + n] if inside else 0
                done.append((row * N + n, (c, r, s), t, (h, w) if inside else "beyond", f"{to[row * N + n]:g}"))
        return done

    written, turns = [], []
    thread, threads = int(thread_slider.value), launched(expected)

    def by_threads(columns, *rest):
        for number in np.random.default_rng(0).permutation(launched(columns)).tolist():
            written.extend(place for place, *_ in one_thread(number, launched(columns), columns, *rest))

    def by_this_one(columns, *rest):
        turns.extend(one_thread(thread, threads, columns, *rest))

    by_all = filled(by_threads, batch, 3, 3, stride, padding)
    assert np.array_equal(by_all, expected)
    assert sorted(written) == list(range(expected.size))
    by_one = filled(by_this_one, batch, 3, 3, stride, padding)
    assert np.array_equal(by_one[~np.isnan(by_one)], expected[~np.isnan(by_one)])
    assert (~np.isnan(by_one)).sum() == len(turns)
    N, lane = len(batch), thread % WARP
    assert bool(turns) == (lane < N and thread // WARP < expected.size // N)
    say(f"""
        ### One thread of it

        This page needs no GPU: Python follows the text, a line for a line. For these {expected.size} numbers minicnn
        launches {threads} threads, {threads // WARP} warps. With {N} images {WARP - N} of the {WARP} lanes of each
        stand idle. With 128, the batch of AlexNet, none does.

        Thread {thread} is lane {lane} of warp {thread // WARP}, so its first image is n = {lane}.
        {f"It writes {len(turns)} numbers:" if turns else f"There are {N} images, 0 to {N - 1}: it has nothing to do."}
    """, *[table(["writes", "c, r, s", "position", "pixel at", "value"], [list(map(str, turn)) for turn in turns])
           for _ in turns[:1]], f"""
        All {threads} threads, in an order drawn by chance, wrote each of the {expected.size} numbers exactly once, and
        what they wrote equals what the Numba kernel wrote. So no order is needed, and all may run at once.
    """)  # fmt: skip
    return (by_threads,)


@app.cell
def _():
    say(r"""
        ## Fifth spelling: by Fourier

        A picture of T × U pixels is a sum of **waves**: stripes that make f whole turns down the picture and g across
        it. With the angles θ = 2πf / T and φ = 2πg / U, the wave (f, g) at pixel (p, q) is

        $$e^{i(\theta p + \varphi q)} = \cos(\theta p + \varphi q) + i \sin(\theta p + \varphi q)$$

        Lay a kernel on it at place (p, q):

        $$\sum_{r,s} w[r, s]\; e^{i(\theta (p + r) + \varphi (q + s))}$$

        $$= e^{i(\theta p + \varphi q)} \sum_{r,s} w[r, s]\; e^{i(\theta r + \varphi s)}$$

        The last sum knows nothing of the place. So out comes the wave that went in, times one complex number: **a
        kernel changes the size and the phase of a wave, and nothing else**. This number is conj(W), where conj turns
        a + ib into a − ib, and W is the **spectrum** of the kernel:

        $$W[f, g] = \sum_{r,s} w[r, s]\; e^{-i(\theta r + \varphi s)}$$

        The spectrum of the picture, X, is made in the same way, and says how much of each wave is in it: x is the sum
        of all waves, each times X[f, g] / (T · U). So the spectrum of the output is

        $$Y[f, g] = \mathrm{conj}(W[f, g]) \cdot X[f, g]$$

        summed over the channels, as ever. That is one complex multiplication for each wave, however large the kernel
        is. (Where the kernel is turned round first, as mathematicians do, it is W · X.)

        Below is a kernel, and how much of each wave it lets through. Choose a wave.
    """)
    return


@app.cell
def _(KERNELS, face):
    T = 18  # pixels along a side of the tile
    tile = face(180 // T).mean(axis=0) / 255  # (T, T)

    def gabor():
        r, s = np.mgrid[-5:6, -5:6]
        return np.exp(-(r**2 + s**2) / 10) * np.cos(2 * np.pi / T * (2 * r + 3 * s) - 1) / 16

    SEEN = {**KERNELS, "random, 5 × 5": np.random.default_rng(6).normal(size=(5, 5)) / 5, "Gabor, 11 × 11": gabor()}

    def spectrum(w):
        """W at f and g from −T/2 to T/2 − 1; rows and columns of w are counted from its middle."""
        down, across = (np.outer(np.arange(-T // 2, T // 2), np.arange(size) - size // 2) for size in w.shape)
        return np.exp(-2j * np.pi / T * down) @ w @ np.exp(-2j * np.pi / T * across).T

    def strongest(w):
        return [int(i) - T // 2 for i in np.unravel_index(np.abs(spectrum(w)).argmax(), (T, T))]

    assert strongest(SEEN["blur"]) == [0, 0]
    assert np.abs(spectrum(SEEN["blur"])[0]).max() < 1e-12  # f = −T/2, the highest
    assert all(np.abs(spectrum(SEEN[name]).real).max() < 1e-12 for name in ("vertical edges", "horizontal edges"))
    assert strongest(SEEN["Gabor, 11 × 11"]) in ([2, 3], [-2, -3])
    return SEEN, T, spectrum, tile


@app.cell
def _(SEEN):
    seen_choice = mo.ui.dropdown([*SEEN], value="Gabor, 11 × 11", label="kernel")
    seen_choice
    return (seen_choice,)


@app.cell
def _(T):
    f_slider = mo.ui.slider(-T // 2, T // 2 - 1, value=2, label="f, turns down", show_value=True)
    f_slider
    return (f_slider,)


@app.cell
def _(T):
    g_slider = mo.ui.slider(-T // 2, T // 2 - 1, value=3, label="g, turns across", show_value=True)
    g_slider
    return (g_slider,)


@app.cell
def _(SEEN, T, f_slider, g_slider, seen_choice, spectrum):
    f, g, w_seen = int(f_slider.value), int(g_slider.value), SEEN[seen_choice.value]
    W_all = spectrum(w_seen)
    W_here = complex(W_all[f + T // 2, g + T // 2])
    size_here = abs(W_here)
    degrees = 180 - (180 + round(np.degrees(np.angle(W_here)))) % 360 if size_here > 1e-12 else 0  # of conj(W)

    def four(number):
        return f"{round(number, 4) + 0.0:.4f}"  # never −0

    def with_i(number):
        return f"{four(number.real)} {'−' if round(number.imag, 4) < 0 else '+'} {four(abs(number.imag))} i"

    def wave(more=0, amount=1.0):
        """The real part of a wave, and more pixels on each side."""
        h, v = np.mgrid[-more : T + more, -more : T + more]
        return (amount * np.exp(2j * np.pi / T * (f * h + g * v))).real

    waved = ops.conv2d(wave(len(w_seen) // 2)[None, None], w_seen[None, None]).numpy()[0, 0]  # (T, T)
    assert np.abs(waved - wave(amount=W_here.conjugate())).max() < 1e-12
    say(f"""
        At f = {f}, g = {g} the spectrum of "{seen_choice.value}" is **W = {with_i(W_here)}**.
        {f"So the wave comes out {size_here:.4f} times as large, its phase changed by {degrees}°."
         if size_here > 1e-12 else "So nothing of this wave comes out."}
        `conv2d`, given the wave, says the same at all {T} × {T} places, to within 10⁻¹². (Here r and s are counted from
        the middle of the kernel, as with padding: counted from its corner, W would be as large, with another phase.)

        In the picture the dashed line is a crest of the wave, the solid one the same crest in what comes out. In the
        spectrum (−f, −g) is as large as (f, g), as they are the same stripes. A blur lets low frequencies through, in
        the middle, and stops high ones. A kernel for edges stops f = g = 0, which is plain grey, and changes phases by
        90°: it makes sines of cosines, as a derivative does. A Gabor kernel, like many that AlexNet learns in its first
        layer, lets through stripes of about one direction and one width.
    """)
    return W_all, W_here, degrees, f, four, g, size_here, w_seen, wave, waved, with_i


@app.cell
def _(T, W_all, degrees, f, g, seen_choice, size_here, w_seen, wave, waved):
    def draw_wave():
        drawing = figure(4.4, 4.6)
        (of_w, of_W), (before, after) = drawing.subplots(2, 2)
        label = f"× {size_here:.3f}, {degrees:+d}°" if size_here > 1e-12 else "× 0"
        most = np.abs(w_seen).max()
        of_w.imshow(w_seen, cmap="PuOr", vmin=-most, vmax=most)
        of_w.set(title="the kernel", xlabel="s", ylabel="r", xticks=[], yticks=[])
        first, end = -T / 2 - 0.5, T / 2 - 0.5
        of_W.imshow(np.abs(W_all), cmap="cividis", vmin=0, extent=(first, end, end, first))
        of_W.add_patch(Rectangle((g - 0.5, f - 0.5), 1, 1, fill=False, color="#FF800E", linewidth=2.5,
                                 clip_on=False))
        of_W.set(title="|W|", xlabel="g", ylabel="f", xticks=(-8, 0, 8), yticks=(-8, 0, 8))
        for axes, image, title in ((before, wave(), "the wave"), (after, waved, label)):
            axes.imshow(image, cmap="gray", vmin=-max(1, size_here), vmax=max(1, size_here))
            axes.set(title=title, xticks=[], yticks=[])
            shifts = [(0, "#FF800E", "--")] + [(degrees, "#5F9ED1", "-")] * (axes is after and size_here > 1e-12)
            for shift, color, style in shifts if f or g else []:  # a crest: f p + g q is a whole number of T
                past = (round((f + g) / 2) - (f + g) / 2 - shift / 360) * T  # beyond the middle
                on_it = T / 2 + np.array([g, f]) * past / (f * f + g * g)
                axes.axline(on_it, on_it + np.array([f, -g]), color=color, linestyle=style, linewidth=2)
            axes.set(xlim=(-0.5, T - 0.5), ylim=(T - 0.5, -0.5))
        return drawing

    _made = (f"the same wave, {size_here:.4f} times as large, its phase changed by {degrees}°, which moves a crest "
             "from the dashed line to the other" if size_here > 1e-12 else "nothing")
    picture(draw_wave(), f"The kernel {seen_choice.value}, and the sizes of its spectrum, {T} × {T} numbers from "
                         f"{np.abs(W_all).min():.4f} to {np.abs(W_all).max():.4f}, with f = {f}, g = {g} framed. Below "
                         f"the wave, and what the kernel makes of it: {_made}.")
    return


@app.cell
def _(KERNELS, x):
    def waves(T, pixels):
        """cos θt − i sin θt: a row for each angle θ, a column for each pixel t."""
        return np.exp(-2j * np.pi / T * np.outer(np.arange(T), np.arange(pixels)))

    def by_fourier(x, w, stride, padding):
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        (T, U), (R, S) = x.shape[2:], w.shape[2:]
        P, Q = T - R + 1, U - S + 1
        X = waves(T, T) @ x @ waves(U, U).T  # (N, C, T, U)
        W = waves(T, R) @ w @ waves(U, S).T  # (K, C, T, U)
        Y = np.einsum("kcfg,ncfg->nkfg", W.conj(), X)
        y = waves(T, P).conj().T @ Y @ waves(U, Q).conj() / (T * U)
        return y.real[:, :, ::stride, ::stride]

    def by_one_line(x, w):
        return np.fft.ifft2(np.fft.fft2(w, x.shape).conj() * np.fft.fft2(x)).real

    def off_by_fourier():
        for kernel in KERNELS.values():
            for stride, padding in ((1, 0), (1, 1), (2, 1), (3, 2)):
                arguments = x[None, None], kernel[None, None]
                expected = ops.conv2d(*arguments, stride=stride, padding=padding, algorithm="columns").numpy()
                yield np.abs(by_fourier(*arguments, stride, padding) - expected).max()
                if stride == 1:
                    engine = ops.conv2d(*arguments, padding=padding, algorithm="fourier").numpy()
                    yield np.abs(engine - expected).max()

    off_most = max(off_by_fourier())
    assert off_most < 1e-12
    wrapped = np.pad(x, (0, 2), mode="wrap")[None, None]  # below and beside the last pixel comes the first again
    in_circles = ops.conv2d(wrapped, KERNELS["blur"][None, None]).numpy()[0, 0]
    assert np.abs(by_one_line(x, KERNELS["blur"]) - in_circles).max() < 1e-12
    one_line = inspect.getsource(by_one_line).split("return ")[1].strip()
    say("""
        ### A tile in which nothing wraps around

        All these waves begin again after T pixels. So a kernel that sticks out at the bottom of the tile sees its top.
        P places, with kernels of R rows, see P + R − 1 rows: with **T ≥ P + R − 1** nothing wraps around, and likewise
        across. At stride 1 that is just the picture with its padding. Its transform is a product with matrices, and so
        is the way back:
    """, f"```python\n{dedent(inspect.getsource(waves))}\n{dedent(inspect.getsource(by_fourier))}```", f"""
        On the face, with three kernels and four pairs of stride and padding, this and minicnn's own differed from the
        columns by {off_most:.0e} at most. NumPy's fast transform does it in one line, for one channel:
    """, f"```python\n{one_line}\n```", """
        Of its 6 × 6 numbers the first 4 × 4 are the convolution without padding. The others wrapped around.

        The engine (`kernels/fourier.py`) has constant matrices, too, but real ones, cosines above sines: so BLAS does
        all of it, transforms as well as products. And as x is real, X[−f, −g] = conj(X[f, g]), so half of the angles θ
        are enough.
    """)
    return (by_fourier,)


@app.cell
def _(T, W_here, f, four, g, tile, with_i):
    X_here = complex(np.fft.fft2(tile)[f, g])  # −1 is the last, here and there
    a, b, u, v = W_here.real, W_here.imag, X_here.real, X_here.imag
    three = a * (u + v), (a + b) * u, (a - b) * v
    Y_here = complex(three[0] - three[2], three[0] - three[1])
    assert abs(Y_here - W_here.conjugate() * X_here) < 1e-12 * max(1, abs(X_here))

    say(f"""
        ### Three products in place of four

        A product of complex numbers takes four real ones. Gauss found that three do. With W = a + ib and X = u + iv:

        m₁ = a (u + v),  m₂ = (a + b) u,  m₃ = (a − b) v

        conj(W) · X = m₁ − m₃ + i (m₁ − m₂)

        At the wave chosen above, W = {with_i(W_here)}. The face in {T} × {T} pixels holds X = {with_i(X_here)} of it.
        So m₁ = {four(three[0])}, m₂ = {four(three[1])}, m₃ = {four(three[2])}, and **Y = {with_i(Y_here)}**, which is
        conj(W) · X. The sums a + b, a − b and u + v cost nothing, as the constant matrices contain them. What remains,
        at every wave, is three real products of a matrix (kernels, channels) by one (channels, images).
    """)
    return


@app.cell
def _(by_fourier, by_python, by_threads, columns_in_numpy, face, filled, loops, product):
    def engine(x, w, stride, padding):
        return ops.conv2d(x, w, stride=stride, padding=padding, algorithm="columns").numpy()

    def engine_by_fourier(x, w, stride, padding):
        return ops.conv2d(x, w, padding=padding, algorithm="fourier").numpy()[:, :, ::stride, ::stride]

    def with_columns(make, *how):
        return lambda x, w, stride, padding: product(make(*how, x, *w.shape[2:], stride, padding), w)

    SPELLINGS = {  # and how often each is measured
        "1 seven loops, Python": (loops, 3),
        "2 columns, NumPy": (with_columns(columns_in_numpy), 9),
        "3 `ops.conv2d`, Numba": (engine, 9),
        "3 its loop as Python": (with_columns(filled, by_python), 3),
        "4 `im2col.cu`, followed by Python": (with_columns(filled, by_threads), 1),
        "5 cosines and sines, NumPy": (by_fourier, 9),
        "5 `ops.conv2d`, by Fourier": (engine_by_fourier, 9),
    }
    random = np.random.default_rng(4)

    def agree(x, w, stride, padding):
        found = [spelling(x, w, stride, padding) for spelling, _ in SPELLINGS.values()]
        return all(np.abs(y - found[0]).max() < 1e-12 for y in found)

    for size, by, around in ((3, 1, 0), (3, 2, 1), (2, 3, 2)):
        assert agree(random.normal(size=(2, 2, 7, 6)), random.normal(size=(3, 2, size, size)), by, around)
    small = face(5)[None] / 255, random.normal(size=(8, 3, 3, 3)), 1, 1
    assert agree(*small)  # now Numba has compiled
    took = {name: seconds(*way, *small) for name, way in SPELLINGS.items()}
    products = small[1].size * 36 * 36
    large = random.normal(size=(16, 48, 27, 27)), random.normal(size=(128, 48, 5, 5)), 1, 2
    way_of_numpy, way_of_engine = (SPELLINGS[name][0] for name in list(SPELLINGS)[1:3])
    assert np.allclose(way_of_numpy(*large), way_of_engine(*large), rtol=0, atol=1e-10)
    ratio = seconds(way_of_numpy, 3, *large) / seconds(way_of_engine, 3, *large)
    say(f"""
        ## The same test, and times

        All passed one test: three sizes, strides and paddings, then the face in colour, x {small[0].shape} and w
        {small[1].shape}, padding 1. That is {products:,} products to add up, in double precision. Nowhere did one
        differ from the loops by 10⁻¹².
    """, table(["spelling", "µs", "million products/s", "× loops"], [
        [name, round(1e6 * t), round(products / t / 1e6, 1), round(took["1 seven loops, Python"] / t, 1)]
        for name, t in took.items()
    ]), f"""
        These are medians of a few runs (of `im2col.cu`, one run) on the machine that made this page, just now, with
        whatever else it was doing. Elsewhere, and tomorrow, they are others. The line of `im2col.cu` says nothing about
        a GPU: there the threads run at once, here one after the other, and in Python. Products are those of the
        formula; Fourier makes others.

        So small a picture says little about blocks. On one tower of AlexNet's second layer, x {large[0].shape} and w
        {large[1].shape}, the columns are {large[1][0].size * 16 * 27 * 27 * 8 / 1e6:.0f} million bytes if they are made
        at once. There NumPy took {ratio:.1f} times as long as `ops.conv2d`.
    """)
    return


@app.cell
def _():
    LAYERS = {  # one tower: channels, kernels, pixels along a side, of a kernel, padding
        "conv2": (48, 128, 27, 5, 2), "conv3": (256, 192, 13, 3, 1),
        "conv4": (192, 192, 13, 3, 1), "conv5": (192, 128, 13, 3, 1),
    }  # fmt: skip

    def as_in_memory(layer, N):
        C, K, H, R, padding = LAYERS[layer]
        return (C, H, H, N), (C, R, R, K), convolution.Geometry(1, H, H, 1, 1, padding, padding)

    def multiplications(layer, N=128):
        """(places along a side of a tile, direct, the products by Fourier, its transforms) for each of N images."""
        C, K, H, R, _ = LAYERS[layer]
        along = convolution.chosen(*as_in_memory(layer, N))
        T = along + R - 1
        products = 3 * T * -(-T // 2) * (-(-H // along)) ** 2 * C * K
        return along, K * C * R * R * H * H, products, fourier.work(*as_in_memory(layer, N), along)[0] / N - products

    def choice(layer, N):
        return "Fourier" if convolution.chosen(*as_in_memory(layer, N)) else "columns"

    counted = {layer: multiplications(layer) for layer in LAYERS}
    assert all(along == LAYERS[layer][2] for layer, (along, *_) in counted.items()), "one tile covers the image"
    choices = [[layer, *(choice(layer, N) for N in (1, 32, 128))] for layer in LAYERS]
    assert {row[1] for row in choices} == {"columns"}

    random_2 = np.random.default_rng(5)
    x_2, w_2 = random_2.normal(size=(32, 48, 27, 27)), random_2.normal(size=(128, 48, 5, 5))
    took_by = {name: seconds(lambda name=name: ops.conv2d(x_2, w_2, padding=2, algorithm=name), 3)
               for name in convolution.ALGORITHMS}  # fmt: skip

    def spoilt(algorithm):
        x = np.zeros((1, 1, 27, 27))
        x[0, 0, 13, 13] = np.nan
        return int(np.isnan(ops.conv2d(x, np.ones((1, 1, 5, 5)), padding=2, algorithm=algorithm).numpy()).sum())

    assert spoilt("columns") == 25 < spoilt("fourier")
    spectrum_2 = counted["conv2"][2]  # each of its numbers is multiplied once an image, as one tile covers it
    say("""
        ## What Fourier saves

        Millions of multiplications for one image, in one tower of AlexNet. Direct, as loops and columns do it, they are
        K · C · R · S · P · Q. By Fourier there are three for each of T · ⌈T / 2⌉ waves, each k and each c, with
        T = P + R − 1; and the transforms, as the engine makes them, that of the weights shared by a batch of 128:
    """, table(["layer", "T", "direct", "products", "transforms", "sum", "direct / sum"], [
        [layer, along + LAYERS[layer][3] - 1, *(round(n / 1e6, 1) for n in (direct, *parts, sum(parts))),
         f"{direct / sum(parts):.1f} ×"] for layer, (along, direct, *parts) in counted.items()
    ]), """
        But it moves more numbers, and makes many small products. From counts of all three, by shapes alone, minicnn
        chooses for each layer (`kernels/convolution.py`):
    """, table(["layer", "1 image", "32", "128"], choices), f"""
        Why not for one picture? The spectrum of conv2's {w_2.size:,} weights, three numbers for each wave, is
        {spectrum_2:,} numbers: it is made for each batch, and pays where it serves many images. For 32, just now,
        conv2 took {1000 * took_by["columns"]:.0f} ms by columns and {1000 * took_by["fourier"]:.0f} ms by Fourier.

        `ops.conv2d(..., algorithm="fourier")` asks for it, for stride 1: at a larger one most of the places would be
        thrown away. On a GPU minicnn takes columns unless asked. And as each wave goes through a whole tile, one pixel
        that is NaN spoils every tile that sees it: here, with 5 × 5 on 27 × 27, {spoilt("fourier")} places, where by
        columns it spoils {spoilt("columns")}.
    """)
    return


@app.cell
def _(M, P, Q, padding, stride, w, x):
    def backward_by_hand(gy):
        """What reached each pixel, and each weight."""
        g_columns = w.reshape(9, 1) * gy.reshape(1, P * Q)  # of the matrix of columns
        gx = np.zeros((1, *x.shape, 1))
        col2im.plain(0, 1, gx, g_columns.reshape(1, 3, 3, P * Q, 1), 0, Q, stride, stride, padding, padding)
        return gx[0, :, :, 0], (M @ gy.reshape(P * Q)).reshape(3, 3)

    def backward_by_engine(gy):
        tensors = Tensor(x[None, None], requires_grad=True), Tensor(w[None, None], requires_grad=True)
        ops.conv2d(*tensors, stride=stride, padding=padding).backward(gy[None, None])
        return [tensor.grad.numpy()[0, 0] for tensor in tensors]

    gy = np.random.default_rng(1).normal(size=(P, Q))
    off = [np.abs(a - b).max() for a, b in zip(backward_by_hand(gy), backward_by_engine(gy), strict=True)]
    assert max(off) < 1e-12
    say("""
        ## The way back

        Forwards, y is the row w times the columns M. So it is a product of matrices that goes backward:

    """, table(["gradient", "is", "shape"], [
        ["of w", "gy · Mᵀ: one weight served every place, so the places are added", f"{w.size}, as 3 × 3"],
        ["of M", "wᵀ · gy: each copy of a pixel gets its own share", f"{w.size} × {P * Q}"],
        ["of x", "every copy hands its share to the pixel that it was made of: **col2im**", "6 × 6"],
    ]), """
        Done by hand with a random gy, with `col2im.plain` for the last line, this gave the gradients of `conv2d`'s
        `backward()`, to within 10⁻¹².
    """)
    return


@app.cell
def _(by_fourier):
    def backward_by_fourier(gy, x, w, padding):
        turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)  # (C, K, R, S)
        gx = by_fourier(gy, turned, 1, w.shape[2] - 1 - padding)
        gw = by_fourier(x.swapaxes(0, 1), gy.swapaxes(0, 1), 1, padding)  # (C, K, R, S): images are summed over
        return gx, gw.swapaxes(0, 1)

    def off_backward():
        random = np.random.default_rng(7)
        x, w, gy = (random.normal(size=shape) for shape in ((4, 2, 6, 6), (3, 2, 3, 3), (4, 3, 6, 6)))
        tensors = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
        ops.conv2d(*tensors, padding=1).backward(gy)
        for by_hand, tensor in zip(backward_by_fourier(gy, x, w, 1), tensors, strict=True):
            yield np.abs(by_hand - tensor.grad.numpy()).max()

    off_back = max(off_backward())
    assert off_back < 1e-12
    say("""
        ### The way back, by Fourier

        Y = conj(W) · X is linear in W and in X. So each gradient is, again, one product for each wave. With G, the
        spectrum of gy:
    """, table(["gradient", "its spectrum", "is"], [
        ["of w", "conj(G) · X", "the picture under gy, as if gy were the kernel"],
        ["of x", "W · G", "gy under the kernel turned round: no conj"],
    ]), """
        At stride 1 both are convolutions, and the function above does them. For w, images and channels change places:
    """, f"```python\n{dedent(inspect.getsource(backward_by_fourier))}```", f"""
        For 4 images, 2 channels and 3 kernels this gave `backward()`'s gradients, to within {off_back:.0e}. The engine
        takes the gradient of x from its own forward, too, in just this way.
    """)
    return


@app.cell
def _(P, Q, padding, stride, x):
    def by_counting():
        count = np.zeros(x.shape, int)
        for p, q in np.ndindex(P, Q):
            for r, s in np.ndindex(3, 3):
                h, w = p * stride + r - padding, q * stride + s - padding
                if 0 <= h < x.shape[0] and 0 <= w < x.shape[1]:
                    count[h, w] += 1
        return count

    def by_gradient():
        image = Tensor(x[None, None], requires_grad=True)
        ops.conv2d(image, np.ones((1, 1, 3, 3)), stride=stride, padding=padding).sum().backward()
        return image.grad.numpy()[0, 0]

    count = by_counting()
    assert np.array_equal(count, by_gradient())
    most, none = count.max(), int((count == 0).sum())
    verdict = (f"The busiest pixel is in {most} windows, the corner in {count[0, 0]}." if most > 1 else
               "No pixel is in more than one window: nothing overlaps.") + (
              f" {none} pixels are in none: whatever they are, y stays as it is, and their gradient is 0." * (none > 0))
    say(f"""
        ## Why col2im adds

        How many windows is each pixel in? Count them. Or ask `backward()`: with a kernel of ones, the sum of y holds
        each pixel once for each window that sees it, so the gradient of that sum *is* the count. Both ways gave the
        map below, at stride {stride} and padding {padding}.

        {verdict} A little more of a pixel changes every one of those sums, so what comes back from them is added. At
        stride 1 and 2 windows of 3 × 3 overlap, at stride 3 they do not: try it.
    """)
    return (count,)


@app.cell
def _(count, padding, stride):
    def draw_count():
        drawing = figure(3.6, 3.1)
        axes = drawing.subplots()
        axes.imshow(count, cmap="cividis", vmin=0, vmax=9)
        for h, w in np.ndindex(count.shape):
            axes.text(w, h, str(count[h, w]), ha="center", va="center", color="white" if count[h, w] < 5 else "black")
        axes.set(title="windows that see a pixel", xlabel="column", ylabel="row")
        return drawing

    picture(draw_count(), f"A map of 6 × 6 counts at stride {stride} and padding {padding}: the first row is "
                          f"{count[0].tolist()}, the third {count[2].tolist()}.")
    return


@app.cell
def _(count, padding, stride, x):
    weights = np.random.default_rng(2).normal(size=(3, 3))  # no zero that could hide a mistake

    def forward(x):
        return ops.conv2d(x[None, None], weights[None, None], stride=stride, padding=padding).numpy()[0, 0]

    def backward_with_a_slip(gy, x):
        P, Q = gy.shape
        g = np.zeros((x.shape[0] + 2 * padding, x.shape[1] + 2 * padding))
        for r in range(3):
            for s in range(3):
                g[r : r + P * stride : stride, s : s + Q * stride : stride] = gy * weights[r, s]
        return g[padding : padding + x.shape[0], padding : padding + x.shape[1]]

    def asked_of_gradcheck(backward):
        try:
            gradcheck(forward, x, backward=backward)
            return ""
        except GradientError as error:
            return str(error)

    slip = "] = gy"
    source = dedent(inspect.getsource(backward_with_a_slip))
    assert source.count(slip) == 1
    names = {"np": np, "stride": stride, "padding": padding, "weights": weights}
    exec(source.replace(slip, "] += gy"), names)  # the same lines, mended
    mended, wrong = asked_of_gradcheck(names["backward_with_a_slip"]), asked_of_gradcheck(backward_with_a_slip)
    assert not mended, mended
    assert bool(wrong) == (count.max() > 1)
    assert ("= for +=" in wrong) == bool(wrong)
    say("""
        ## The mistake: = for +=

        Here col2im is written with NumPy, one slice for each of the nine weights, and with `=` where `+=` belongs. Each
        slice overwrites what earlier ones left, so a pixel keeps only what came last:
    """, f"```python\n{source}```", *([
        "`gradcheck` says of it:", f"```\n{wrong}\n```", "With `+=` in that line, and no other change, it is content."
    ] if wrong else [f"At stride {stride} no two windows share a pixel, so `gradcheck` finds no fault: a mistake that "
                     "sleeps until somebody chooses a smaller stride."]), """
        The CUDA twin of col2im turns the loop round. Two threads that add to one place at once would lose a share, so
        there each **pixel** of each image has one thread, which looks for the columns it went into and adds them up.
    """)
    return


@app.cell
def _():
    def two_halves():
        random = np.random.default_rng(3)
        x, w = random.normal(size=(1, 4, 6, 6)), random.normal(size=(6, 2, 3, 3))
        together = ops.conv2d(x, w, groups=2).numpy()
        halves = [ops.conv2d(x[:, :2], w[:3]).numpy(), ops.conv2d(x[:, 2:], w[3:]).numpy()]
        return x, w, together, np.concatenate(halves, axis=1)

    x_grouped, w_grouped, together, halves = two_halves()
    assert np.abs(together - halves).max() < 1e-12

    def cost(C, K, size, places, groups):
        """A layer's weights and multiply-adds for one image."""
        w = np.empty((K, C // groups, size, size))
        return w.size, w.size * places**2

    whole, split = cost(96, 256, 5, 27, 1), cost(96, 256, 5, 27, 2)  # AlexNet's second convolution
    assert whole[0] == 2 * split[0]
    say(f"""
        ## Groups

        With `groups=2` the first half of the kernels sees only the first half of the channels, and the second half the
        second. With x {x_grouped.shape}, w has the shape {w_grouped.shape}: 6 kernels of 2 channels, not of 4. The
        result was that of two convolutions on the halves, put one after the other, to within 10⁻¹².

        Each kernel has half as many weights. AlexNet's second convolution, 256 kernels of 5 × 5 on 96 channels, at 27 ×
        27 places:
    """, table(["groups", "channels a kernel sees", "weights", "multiply-adds"], [
        [1, 96, f"{whole[0]:,}", f"{whole[1]:,}"], [2, 48, f"{split[0]:,}", f"{split[1]:,}"],
    ]), f"""
        {whole[0] - split[0]:,} weights are saved, and as large a part of the work. In minicnn's AlexNet the two halves
        are two towers, which may live on two devices.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x, w):
    # y[p, q] = Σ w[r, s] · x[2p + r, 2q + s]      stride 2, no padding
    R, S = w.shape
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for p in range(gy.shape[0]):
        for q in range(gy.shape[1]):
            window = slice(2 * p, 2 * p + R), slice(2 * q, 2 * q + S)
            gx[window] += gy[p, q] * w
            # and gw?
    return gx, gw
'''
    answer = start.replace("# and gw?", "gw += gy[p, q] * x[window]")

    def check(backward):
        def convolution(x, w):
            return ops.conv2d(x[None, None], w[None, None], stride=2).numpy()[0, 0]

        random = np.random.default_rng(5)
        gradcheck(convolution, random.normal(size=(7, 6)), random.normal(size=(3, 2)), backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        Here is the way back through a convolution of one channel, at stride 2. The gradient of the picture is right.
        The gradient of the weights is missing: one line. Each weight took part in every place of the output, so ask
        what one place says of `w`, and what to do with what the places say.
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
