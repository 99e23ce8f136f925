"""Chapter 11: AlexNet on one photograph, op by op forwards and backwards, every number taken apart and checked."""

import marimo

app = marimo.App(app_title="11 · AlexNet on one photograph")

with app.setup:
    from copy import copy
    from itertools import product
    from pathlib import Path
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from page import alexnet_in, attempt, figure, given, picture, say, table

    from minicnn import Tensor, gradcheck, keep_memory, manual_seed, nn, no_grad, ops
    from minicnn.data import Statistics, central_crops, read_picture
    from minicnn.models import RECIPES, VARIANTS, alexnet
    from minicnn.models.classifier import Classifier
    from minicnn.models.variants import PAPERS
    from minicnn.ops.window import sides


@app.cell
def _():
    picture_file = mo.ui.text(label="picture", placeholder="Grace Hopper", full_width=True)
    weights = mo.ui.text(label="weights", placeholder="none: random weights", full_width=True)
    label = mo.ui.number(0, value=0, label="label, the class taken as right")
    tower = mo.ui.dropdown(["a", "b"], value="a", label="tower")  # shown further down
    mo.vstack([say("""
        # 11 · AlexNet on one photograph

        One photograph goes through AlexNet, layer by layer, to the loss and back, and every array on the way is kept.
        Choose a step and an entry: the page writes out what made this one number. Backwards, it also moves the entry a
        little, to see whether the loss changes as backward says.

        Give the file of a picture of your own, or weights, whatever `minicnn.models.load` reads: the folder of a run of
        `examples/train_alexnet.py`, a checkpoint, torchvision's or Caffe's AlexNet. Without them the weights are
        random, scaled as the recipe "small" does before training, so that the signal stays alive in every layer.
    """), picture_file, weights, label])
    return label, picture_file, tower, weights


@app.cell
def _(weights):
    keep_memory()
    hopper = get_sample_data("grace_hopper.jpg", asfileobj=False)

    def untrained():
        """The recipe looks at the photograph, turned and mirrored, as its first batch."""
        pixels, recipe = read_picture(hopper), RECIPES["small"]
        mean = np.zeros((3, 256, 256), np.float32) + pixels.mean((0, 1), np.float32)[:, None, None]
        statistics = Statistics(mean, pixels.std((0, 1), np.float32), np.eye(3, dtype=np.float32), bad={})

        def prepare(pictures):
            return central_crops(pictures, statistics, recipe.scale(statistics.deviation))

        manual_seed(2012)
        net = alexnet()
        recipe.start(net, prepare([np.rot90(side, i) for side in (pixels, pixels[:, ::-1]) for i in range(4)]))
        return Classifier(net.eval(), [f"number {i}" for i in range(1000)], prepare, Path(), PAPERS, mean)

    model, no_weights = given(weights.value.strip(), alexnet_in, untrained, "the default")
    no_weights
    return hopper, model


@app.cell
def _(hopper, label, model, picture_file):
    def program(net):
        """(place, op, the layers of its outputs by tower), step by step; what the towers share stands under a."""
        towers = dict(zip("ab", net.towers(), strict=False))
        yield "picture", "split", dict.fromkeys(towers)
        for place, sees, *_ in VARIANTS[net.variant].rows:
            if sees != "own":
                yield place, "join", dict.fromkeys(towers)
            for layers in zip(*(getattr(tower, place) for tower in towers.values()), strict=True):
                yield place, type(layers[0]).__name__, dict(zip(towers, layers, strict=True))
            if sees == "edge":
                yield place, "part", dict.fromkeys(towers)
        yield from [("fc8", "join", {"a": None})] * (len(towers) > 1)
        yield from (("fc8", "Linear", {"a": net.fc8}), ("loss", "loss", {"a": None}))

    def forward(op, layers, xs, label):
        """One step: what comes out, by tower."""
        if op == "split":
            return dict.fromkeys(layers, xs["a"])
        if op == "join":
            return {tower: ops.concatenate(xs["a"], xs["b"], axis=1) for tower in layers}
        if op == "part":
            half = xs["a"].shape[1] // 2
            return {"a": xs["a"][:, :half], "b": xs["b"][:, half:]}
        if op == "loss":
            return {"a": ops.cross_entropy(xs["a"], np.array([label]))}
        return {tower: layer(xs[tower]) for tower, layer in layers.items()}

    def record(net, image, label):
        """Every step with its arrays x, y, gx, gy by tower. Each begins at new leaves, since leaves keep gradients."""
        steps, xs = [], {"a": Tensor(image, requires_grad=True)}
        for place, op, layers in program(net):
            ys = forward(op, layers, xs, label)
            steps.append(SimpleNamespace(place=place, op=op, layers=layers, label=label, x=xs, y=ys))
            xs = {tower: Tensor(y.numpy(), requires_grad=True) for tower, y in ys.items()}
        reached = {"a": Tensor(np.float32(1))}  # ∂L/∂L
        for s in reversed(steps):
            for tower in reversed(s.y):
                s.y[tower].backward(reached[tower])
            s.gy, reached = reached, {tower: x.grad for tower, x in s.x.items()}
            s.x, s.y, s.gx, s.gy = ({n: t.numpy()[0] if t.ndim else t.numpy() for n, t in tensors.items()}
                                    for tensors in (s.x, s.y, reached, s.gy))  # without the axis of the batch
        return steps

    def strongest(array):
        return np.unravel_index(np.abs(array).argmax(), array.shape)

    def gradients(first):
        found = [first, *(p.grad.numpy() for p in model.net.parameters())]
        model.net.zero_grad()
        return found

    pixels, no_picture = given(picture_file.value.strip(), model.read, lambda: model.read(hopper), "the default")
    image = Tensor(model.prepare([pixels]), requires_grad=True)
    steps = record(model.net, image, min(int(label.value or 0), len(model.classes) - 1))
    by_steps, right = gradients(steps[0].gx["a"]), steps[0].label
    loss = ops.cross_entropy(model.net(image), np.array([right]))
    loss.backward()
    pairs = zip(by_steps, gradients(image.grad.numpy()[0]), strict=True)
    apart = [np.abs(u - v).max() / (np.abs(v).max() or 1) for u, v in pairs]
    assert loss.item() == steps[-1].y["a"] and max(apart) < 1e-6
    mo.vstack([no_picture or mo.md(""), say(f"""
        ## There and back

        The loss is L = **{loss.item():.6f}**: the network gives the label, {model.classes[right]}, the probability
        {np.exp(-loss.item()):.6f}. Guessing costs ln {len(model.classes)} = {np.log(len(model.classes)):.6f}.

        Backward is *not* forward run in reverse: no x is computed back from a y. Each step needs what it saw on the way
        up, and gy, the gradient of its output. It hands on gx, that of its input, which is the gy of the step below.
        So AlexNet can be cut after every op, here into {len(steps)} steps, each with a small `backward(gy)` of its own.

        Does the cutting change anything? Of the picture and {len(apart) - 1} parameters, {apart.count(0)} gradients are
        to the last bit those of one `loss.backward()`; the largest difference is {max(apart):.1g} of the largest entry.
    """, *["""
        This network normalises over both towers: here each tower normalises all maps and keeps its own; the engine
        sends over only those that a window reaches beyond the cut.
    """] * any(s.op == "part" for s in steps))])
    return forward, pixels, right, steps, strongest


@app.cell
def _(forward, right, steps, strongest):
    def products(w, x, names, place=lambda *index: index, bias=None):
        """Σ w · x + b: the first few products by size, how many more there are, and their sum."""
        each = w.astype(np.float64) * x
        first = np.argsort(-np.abs(each), axis=None, kind="stable")[:4]
        rows = [[", ".join(str(int(j)) for j in place(*np.unravel_index(n, each.shape))), w.flat[n], x.flat[n],
                 each.flat[n]] for n in first]
        total = each.sum() + (bias or 0)
        return [table(names, rows), f"These are the largest of {each.size:,} products, {np.sum(each == 0):,} of which "
                f"are 0. The other {each.size - len(first):,} add {each.sum() - each.flat[first].sum():.6g}; " + (
                f"all add up to **{total:.6g}**." if bias is None else
                f"all add up to {each.sum():.6g}, and with the bias {bias:.6g} to **{total:.6g}**.")], total

    def conv(s, layer, x, k, p, q):
        """y[k, p, q] = b[k] + Σ w[k, c, r, s] · x[c, p·stride + r − padding, q·stride + s − padding]"""
        padding, R = sides("conv2d", layer.padding), layer.weight.shape[2]
        seen = np.pad(x, ((0, 0), *padding))[:, p * layer.stride :, q * layer.stride :][:, :R, :R]
        return products(layer.weight.numpy()[k], seen, ["c, r, s", "w", "x", "w · x"], bias=layer.bias.numpy()[k])

    def conv_back(s, layer, x, gy, c, h, w):
        """gx[c, h, w] = Σ w[k, c, r, s] · gy[k, p, q] over all kernels k and all p, q whose window held this x"""
        before, stride, R = sides("conv2d", layer.padding)[0][0], layer.stride, layer.weight.shape[2]
        ps, qs = ([p for p in range(n) if 0 <= at + before - p * stride < R]
                  for at, n in zip((h, w), gy.shape[1:], strict=True))
        here = np.ix_(range(len(gy)), [h + before - p * stride for p in ps], [w + before - q * stride for q in qs])
        return products(layer.weight.numpy()[:, c][here], gy[np.ix_(range(len(gy)), ps, qs)],
                        ["k, p, q", "w", "gy", "w · gy"], lambda k, i, j: (k, ps[i], qs[j]))

    def linear(s, layer, x, j):
        """y[j] = b[j] + Σ w[j, i] · x[i]"""
        return products(layer.weight.numpy()[j], x, ["i", "w", "x", "w · x"], bias=layer.bias.numpy()[j])

    def linear_back(s, layer, x, gy, i):
        """gx[i] = Σ w[j, i] · gy[j]"""
        return products(layer.weight.numpy()[:, i], gy, ["j", "w", "gy", "w · gy"])

    def relu(s, layer, x, *at):
        """y = max(x, 0)"""
        return [f"y = max({x[at]:.6g}, 0) = **{max(x[at], 0):.6g}**."], max(x[at], 0)

    def relu_back(s, layer, x, gy, *at):
        """gx = gy where x > 0, else 0"""
        gx = gy[at] * (x[at] > 0)
        return [f"x was {x[at]:.6g}, so the mask is {int(x[at] > 0)}; gy is {gy[at]:.6g}: gx = **{gx:.6g}**."], gx

    def norm(layer, x, *at):
        """d at this place, the places of its window, and along which axes they lie."""
        near = [range(max(0, i - layer.size // 2), min(n, i + layer.size // 2 + 1))
                for i, n in zip(at, x.shape, strict=True)]
        axes = (1, 2) if isinstance(layer, nn.MapResponseNorm) else (0,)
        places = [*product(*(near[axis] if axis in axes else [at[axis]] for axis in range(3)))]
        return layer.k + layer.alpha * sum(float(x[j]) ** 2 for j in places), places, axes

    def largest(names, places, size, axes, values):
        """A table of the five places of a window with the largest size, and how many others there are."""
        rows = [[", ".join(str(j[axis]) for axis in axes), *values(j)]
                for j in sorted(sorted(places, key=lambda j: -abs(size(j)))[:5])]
        return [table([["channel j", "row, column j"][len(axes) - 1], *names], rows),
                *[f"These are the largest of {len(places)}."] * (len(places) > len(rows))]

    def lrn(s, layer, x, *at):
        """y = x / d^β, d = k + α Σ x[j]² over the neighbours j: channels, or, within a map, places"""
        d, places, axes = norm(layer, x, *at)
        y = x[at] / d**layer.beta
        told = largest(["x[j]", "x[j]²"], places, lambda j: x[j], axes, lambda j: (x[j], float(x[j]) ** 2))
        return [*told, f"d = {layer.k:g} + {layer.alpha:g} · {(d - layer.k) / (layer.alpha or 1):.6g} = {d:.6g}, and "
                f"y = {x[at]:.6g} / {d:.6g}^{layer.beta:g} = **{y:.6g}**."], y

    def lrn_back(s, layer, x, gy, *at):
        """gx = gy / d^β − 2αβ x Σ gy[j] y[j] / d[j] over all j in whose window this x is"""
        here, places, axes = norm(layer, x, *at)
        d = {j: norm(layer, x, *j)[0] for j in places}
        y = {j: float(x[j]) / d[j] ** layer.beta for j in places}
        each = {j: float(gy[j]) * y[j] / d[j] for j in places}
        own, others = gy[at] / here**layer.beta, 2 * layer.alpha * layer.beta * x[at] * sum(each.values())
        told = largest(["gy[j]", "y[j]", "d[j]", "gy y / d"], places, each.get, axes,
                       lambda j: (gy[j], y[j], d[j], each[j]))
        return [*told, f"Through its own y came gy / d^β = {own:.6g}, through all these d came {others:.6g}: "
                f"gx = **{own - others:.6g}**."], own - others

    def window(layer, x, c, p, q):
        """The numbers of a window of pooling, and the row and column of the first of its largest."""
        P, Q = p * layer.stride, q * layer.stride
        seen = x[c, P : P + layer.size, Q : Q + layer.size]
        return seen, (P + int(seen.argmax()) // seen.shape[1], Q + int(seen.argmax()) % seen.shape[1])

    def pool(s, layer, x, c, p, q):
        """y = the largest x of the window"""
        seen, winner = window(layer, x, c, p, q)
        names = ["", *(f"column {q * layer.stride + j}" for j in range(layer.size))]
        rows = [[f"row {p * layer.stride + j}", *line] for j, line in enumerate(seen)]
        return [table(names, rows), f"The winner stands in row, column {winner}: **{seen.max():.6g}**."], seen.max()

    def pool_back(s, layer, x, gy, c, h, w):
        """gx = Σ gy of the windows that this x won"""
        inside = [(p, q) for p, q in np.ndindex(gy.shape[1:]) if 0 <= h - p * layer.stride < layer.size
                  and 0 <= w - q * layer.stride < layer.size]
        winners = [window(layer, x, c, p, q)[1] for p, q in inside]
        gx = sum(gy[c, p, q] for (p, q), winner in zip(inside, winners, strict=True) if winner == (h, w))
        rows = [[f"{p}, {q}", gy[c, p, q], f"{a}, {b}"] for (p, q), (a, b) in zip(inside, winners, strict=True)]
        return [table(["window p, q", "gy", "won by x at"], rows), f"This is x at {h}, {w}. It won "
                f"{winners.count((h, w))} of {len(inside)} windows: gx = **{gx:.6g}**."], gx

    def roads(s, tower, at, back):
        """Of the ops that move numbers: (tower, place) of the x that y[at] is, or of every y that x[at] became."""
        n, (c, *rest) = len(s.x["a"]), at
        if s.op == "Flatten":
            shape = s.x[tower].shape
            return [(tower, (np.ravel_multi_index(at, shape),) if back else np.unravel_index(c, shape))]
        if s.op == "join" and back:
            return [(t, (c + n * (tower == "b"), *rest)) for t in s.y]
        if s.op == "join":
            return [("a", at) if c < n else ("b", (c - n, *rest))]
        if s.op == "part":
            first = n // 2 * (tower == "b")
            there = c - first if back else c + first
            return [(tower, (there, *rest))] if 0 <= there < (n // 2 if back else n) else []
        return [(t, at) for t in (s.y if back else s.x)] if s.op == "split" else [(tower, at)]

    def moved(s, tower, at, back):
        """a number moves and stays the same: y is one of the x, gx the sum of the gy of every y that this x became"""
        own, arrays = s.layers.get(tower), s.gy if back else s.x
        factor = 1 if getattr(own, "inverted", True) else 1 - own.p  # of the paper's dropout, outside of training
        parts = [(arrays[t][place] * factor, t, ", ".join(map(str, place))) for t, place in roads(s, tower, at, back)]
        words = [f"{value:.6g} ({'gy' if back else 'x'} of tower {t} at {place})" for value, t, place in parts]
        total = sum(value for value, _, _ in parts)
        sum_of = " + ".join(words) or "not kept: nothing"
        return [f"{sum_of} = **{total:.6g}**" + f", with the factor {factor:g}" * (factor != 1)], total

    def entropy(s, layer, x):
        """L = −ln p[label], p = eˣ / Σ eˣ; the largest x is taken off from all first, so that no eˣ is too large"""
        shifted = x.astype(np.float64) - x.max()
        total, own = np.exp(shifted).sum(), shifted[s.label]
        return [f"The largest of {len(x)} x is {x.max():.6g}. Less that, x[label] is {own:.6g} and Σ eˣ {total:.6g}: "
                f"L = ln {total:.6g} − ({own:.6g}) = **{np.log(total) - own:.6g}**."], np.log(total) - own

    def entropy_back(s, layer, x, gy, j):
        """gx = p − 1[label]"""
        p, one = np.exp(x.astype(np.float64) - x.max()), int(j == s.label)
        p = p[j] / p.sum()
        return [f"p is {p:.6g}, and {j} is {'' if one else 'not '}the label: gx = {p:.6g} − {one} = **{p - one:.6g}**."
                ], p - one

    OPS = {"Conv2d": ("convolution", conv, conv_back), "Linear": ("linear layer", linear, linear_back),
           "LocalResponseNorm": ("local response normalisation", lrn, lrn_back), "ReLU": ("ReLU", relu, relu_back),
           "MapResponseNorm": ("normalisation within a map", lrn, lrn_back),
           "MaxPool2d": ("max-pooling", pool, pool_back), "loss": ("cross-entropy", entropy, entropy_back),
           "split": ("picture for each tower", moved, moved), "Flatten": ("flatten", moved, moved),
           "join": ("concatenation", moved, moved), "part": ("each tower's own", moved, moved),
           "Dropout": ("dropout, idle", moved, moved)}

    def explain(i, tower, at, back):
        """(parts of a text, the number by hand, the engine's); asserts that these two are the same."""
        s, formula, array = steps[i], OPS[steps[i].op][1 + back], (steps[i].gx if back else steps[i].y)[tower]
        parts, by_hand = moved(s, tower, at, back) if formula is moved else formula(
            s, s.layers[tower], s.x[tower], *[s.gy[tower]] * back, *at)
        most = 1 if s.op == "loss" else np.abs(array).max()  # p is rounded like 1
        assert abs(by_hand - array[at]) <= 1e-5 * abs(by_hand) + 2e-6 * most, (s.place, s.op, by_hand)
        return parts, float(by_hand), float(array[at])

    def double(layer):
        twin = copy(layer)
        for name, value in vars(layer).items() if layer else ():
            if isinstance(value, Tensor) and value.dtype == np.float32:
                setattr(twin, name, Tensor(value, dtype=np.float64, requires_grad=True))
        return twin

    def losses(i, tower, at, moves):
        """The loss where x[at] of step i is moved so far: all that follows, in double precision, an image for each."""
        xs = {t: np.repeat(x[None].astype(np.float64), len(moves), axis=0) for t, x in steps[i].x.items()}
        xs[tower][(slice(None), *at)] += moves
        xs = {t: Tensor(x) for t, x in xs.items()}
        with no_grad():
            for s in steps[i:-1]:
                xs = forward(s.op, {t: double(layer) for t, layer in s.layers.items()}, xs, right)
            return -xs["a"].log_softmax().numpy()[:, right]

    def differences(i, tower, at):
        """The slope of the loss over x[at]: across, to the left, to the right; and what that says of backward."""
        gx, size = steps[i].gx[tower], np.sqrt(np.mean(np.square(steps[i].x[tower]))) or 1
        for h in (1e-4 * size, 1e-5 * size, 1e-6 * size):
            before, here, after = losses(i, tower, at, [-h, 0, h])
            slopes = (after - before) / (2 * h), (here - before) / h, (after - here) / h
            rounded = 1e-4 + 1e-7 / -np.expm1(-here)  # where p[label] is nearly 1, single precision knows p − 1 badly
            allowed = rounded * abs(slopes[0]) + 1e-5 * np.abs(gx).max() + 1e-14 / h
            if abs(slopes[0] - gx[at]) <= allowed:
                return *slopes, "alike"
        return *slopes, "a kink" if abs(slopes[1] - slopes[2]) > allowed else "different"

    def compare():
        random = np.random.default_rng(0)
        for i, s in enumerate(steps):  # every sum of every step, both ways, at a few entries
            for back, tower, array in [(0, *pair) for pair in s.y.items()] + [(1, *pair) for pair in s.gx.items()]:
                for at in (strongest(array), *(tuple(map(random.integers, array.shape)) for _ in range(8))):
                    explain(i, tower, at, back)
        for i in sorted({1, *{s.op: i for i, s in enumerate(steps)}.values()}):
            tower = list(steps[i].gx)[-1]
            at = strongest(steps[i].gx[tower])
            _, by_hand, engine = explain(i, tower, at, 1)
            slope, *_, verdict = differences(i, tower, at)
            assert verdict != "different", (steps[i].op, slope, engine)
            told = slope if verdict == "alike" else verdict
            yield [f"{steps[i].place}, {OPS[steps[i].op][0]}", by_hand, engine, told]

    say("""
        ## By hand, by backward, by differences

        The last op of every kind, and the first convolution; of each, the entry with the largest gradient. By hand it
        is added up from the arrays of this one step. For the differences the entry is moved a little both ways, and all
        that follows is computed anew, in double precision.
    """, table(["step", "by hand", "backward", "differences"], list(compare())))
    return OPS, differences, explain


@app.cell
def _(steps):
    step = mo.ui.slider(0, 2 * len(steps) - 1, value=1, label="step", show_value=True, full_width=True)
    step
    return (step,)


@app.cell
def _(step, steps, strongest, tower):
    def choose():
        """Forwards, y of a step; then, from the loss down, gx."""
        back = int(step.value >= len(steps))
        i = 2 * len(steps) - 1 - step.value if back else step.value
        arrays = steps[i].gx if back else steps[i].y
        own = tower.value if tower.value in arrays else "a"
        shared = len(arrays) < len(steps[0].y)
        return SimpleNamespace(i=i, s=steps[i], back=back, tower=own, array=arrays[own], shared=shared)

    def slider(name, axis):
        idle = axis >= now.array.ndim
        last, first = (1, 0) if idle else (now.array.shape[axis] - 1, int(strongest(now.array)[axis]))
        return mo.ui.slider(0, last, value=first, label=name + " (only one)" * idle, disabled=idle, show_value=True)

    now = choose()
    names = "channel" if now.array.ndim == 3 else "unit", "row", "column"
    entry = mo.ui.array([slider(name, axis) for axis, name in enumerate(names)])
    mo.vstack([tower, *entry])
    return entry, now


@app.cell
def _(OPS, differences, entry, explain, now, pixels, right, steps):
    def draw(at):
        drawing = figure(5.5, 4.6)
        panels = drawing.subplot_mosaic([["strip", "strip"], ["photo", "map"]], height_ratios=[1, 2.4])
        strip, photo, chart = panels.values()
        heights = [{t: 0.5 if len(s.y) == 1 else float(t == "a") for t in s.y} for s in steps]
        for i, s in enumerate(steps):
            for t, high in heights[i].items():
                for u, low in heights[i - 1].items() if i else ():
                    if t == u or s.op == "join":
                        strip.plot([i - 1, i], [low, high], color="0.7", zorder=1)
                here = i == now.i and (t == now.tower or now.shared)
                strip.plot(i, high, "s", ms=11 if here else 5, color="C1" if here else "0.5", mec="black", mew=here)
        starts = [i for i, s in enumerate(steps) if not i or s.place != steps[i - 1].place]
        strip.set_xticks(starts, [steps[i].place for i in starts], rotation=90)
        strip.set(yticks=[*heights[0].values()], yticklabels=[*heights[0]], ylim=(-0.6, 1.6))
        strip.set_title("← backwards" if now.back else "forwards →", fontsize=10)
        edge = (len(pixels) - steps[0].x["a"].shape[1]) // 2
        photo.imshow(pixels[edge : len(pixels) - edge, edge : len(pixels) - edge])
        photo.set_axis_off()
        maps = now.array if now.array.ndim else now.s.x["a"]  # of the loss, what it sees
        if maps.ndim == 3:
            shown, spot = maps[at[0]], at[1:]
        else:
            wide = next(n for n in range(int(np.ceil(np.sqrt(maps.size))), maps.size + 1) if maps.size % n == 0)
            shown, spot = maps.reshape(-1, wide), divmod((*at, right)[0], wide)
        most, signed = float(np.abs(shown).max()) or 1.0, now.back or shown.min() < 0
        colours = chart.imshow(shown, cmap="PuOr" if signed else "viridis", vmin=-most if signed else 0, vmax=most)
        drawing.colorbar(colours, ax=chart, shrink=0.7)
        for colour, edge in (("white", 3), ("black", 1)):
            chart.plot(*reversed(spot), "s", ms=9, mfc="none", mec=colour, mew=edge)
        return drawing

    def tell():
        at = tuple(min(int(j), n - 1) for j, n in zip(entry.value, now.array.shape, strict=False))
        (parts, _, engine), (name, *formulas) = explain(now.i, now.tower, at, now.back), OPS[now.s.op]
        what, way = ("gx", "backwards") if now.back else ("y", "forwards")
        parts += [f"The engine has {engine:.6g}: in single precision, the same."]
        if now.back:
            across, left, beyond, verdict = differences(now.i, now.tower, at)
            error = abs(across - engine) / (max(abs(across), abs(engine)) or 1)
            sides = f"the slope is {left:.6g} to the left and {beyond:.6g} to the right"
            parts += [f"**Moved a little** both ways, this entry of x changes the loss by {across:.6g} per unit. " + {
                "alike": f"Backward says {engine:.6g}; the relative error is {error:.0e}.",
                "a kink": f"But here is a kink: {sides}, so no derivative. Backward says {engine:.6g}: of equal "
                          "numbers the first wins a window, and at 0 the slope of ReLU is 0.",
                "different": f"Backward says {engine:.6g}, which differs by {error:.0e}; {sides}."}[verdict]]
        of = [("all", now.array), *((f"channel {c}", now.array[c]) for c in at[: now.array.ndim == 3])]
        where = ", ".join(map(str, at)) or "its only place"
        words = f"The steps of both towers, this one marked; the photograph; {what}, {of[-1][0]}, as a map, from "
        words += f"{of[-1][1].min():.6g} to {of[-1][1].max():.6g}, with the entry at {where} marked."
        return mo.vstack([picture(draw(at), words), say(f"""
            ## {now.s.place}: {name}, {way}

            {what} has the shape {now.array.shape}{" and belongs to both towers" * now.shared}.
        """, table(["of", "mean", "least", "most", "zeros"], [[n, a.mean(), a.min(), a.max(), f"{np.mean(a == 0):.2%}"]
                                                             for n, a in of]), f"""
            The entry at {where}, by hand: {formulas[now.back].__doc__}.
        """, *parts)])

    tell()
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # L = −ln p[label], p = eˣ / Σ eˣ, for one picture whose label is 2
    p = np.exp(x) / np.exp(x).sum()
    gx = np.zeros_like(x)
    gx[2] = gy * (p[2] - 1)  # the right class has to rise; and the others?
    return gx
'''
    answer = start.replace("np.zeros_like(x)", "gy * p")

    def check(backward):
        gradcheck(lambda x: np.log(np.exp(x).sum()) - x[2], np.array([0.5, -1.0, 2.0, 0.0]), backward=backward)

    asked = "backward"
    say("## Exercise\n\nMend the first step back, that of the loss. What `gradcheck` says of it stands below.")
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
