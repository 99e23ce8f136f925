"""Chapter 8: ReLU against tanh. Figure 1 of the paper run again, what saturation does to a gradient, a dead ReLU."""

import marimo

app = marimo.App(app_title="8 · ReLU against tanh")

with app.setup:
    import csv
    import re
    from pathlib import Path
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from figure_1 import reached
    from page import answer_box, attempt, figure, one_answer, picture, say, table

    from minicnn import Tensor, gradcheck, ops, optim

    ACTIVATIONS = {"relu": ops.relu, "tanh": ops.tanh}
    NAMES = {"relu": "ReLU", "tanh": "tanh"}
    PAPER = 6  # times (Krizhevsky et al. 2012, Figure 1)

    def percent(x):
        return f"{100 * x:.3g} %"


@app.cell
def _():
    say(f"""
        # 8 · ReLU against tanh

        Between two layers of a network stands an **activation function**, which is applied to every number by itself.
        Without it, all layers together could do no more than a single matrix. For a long time most people used tanh.
        Krizhevsky, Sutskever and Hinton (2012, §3.1) used ReLU instead, $\\max(x, 0)$, and gave one reason: training
        reaches the same error in less time. They did not claim that it makes fewer mistakes on new pictures. Nor is
        the trouble with tanh that it could overflow: tanh(1000) is {ops.tanh(1000.0).item():g}, while relu(1000) is
        {ops.relu(1000.0).item():g}.

        Their Figure 1 makes the case with a network of four layers on CIFAR-10, a set of small photographs in ten
        classes. It plots the error on the training set after every **epoch**, that is, after every pass over all
        pictures. There was no **regularisation**, that is, nothing to keep the network from learning its pictures by
        heart, and each activation function had its own learning rate, the fastest that they found. To get down to 25 %
        error, tanh needed {PAPER} times as many epochs as ReLU. Which network it was, they never published.
    """)
    return


@app.cell
def _():
    def recorded(path):
        """facts: the lines that begin with #; tried: epochs, errors and seconds of each activation, seed and rate;
        rates: of each activation and seed the rate that came first to the level; seeds: those of both activations."""
        lines = path.read_text(encoding="utf-8").splitlines()
        facts = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
        tried = {kind: {} for kind in ACTIVATIONS}
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            runs = tried[row["activation"]].setdefault(int(row["seed"]), {})
            numbers = [float(row[key]) for key in ("epoch", "train_error", "seconds")]
            runs.setdefault(float(row["lr"]), []).append(numbers)
        tried = {kind: {seed: {lr: np.array(rows).T for lr, rows in runs.items()} for seed, runs in seeds.items()}
                 for kind, seeds in tried.items()}
        every = [epochs for seeds in tried.values() for runs in seeds.values() for epochs, *_ in runs.values()]
        assert all((np.diff(epochs) == 1).all() for epochs in every), "in order"

        level = float(facts["level"])

        def slowness(run):
            _, errors, _ = run
            return reached(errors, level), errors.min()

        rates = {kind: {seed: min(runs, key=lambda lr, runs=runs: slowness(runs[lr])) for seed, runs in seeds.items()}
                 for kind, seeds in tried.items()}
        seeds = sorted(set(rates["relu"]) & set(rates["tanh"]))
        return SimpleNamespace(facts=facts, tried=tried, rates=rates, seeds=seeds, level=level)

    record = recorded(Path(__file__).with_name("figure_1.csv"))
    others = [recorded(path) for path in sorted(Path(__file__).parent.glob("figure_1_*.csv"))]
    return others, record


@app.cell
def _():
    say("""
        ## Figure 1, run again

        Here is that experiment with minicnn. Choose the error that training has to reach: the dotted lines show after
        how many epochs each curve gets there.
    """)
    return


@app.cell
def _(record):
    which_seed = mo.ui.dropdown({str(seed): seed for seed in record.seeds}, value=str(record.seeds[0]), label="seed")
    level_slider = mo.ui.slider(25, 65, step=10, value=25, label="training error to reach, in %", show_value=True)
    mo.vstack([which_seed, level_slider])
    return level_slider, which_seed


@app.cell
def _(level_slider, record, which_seed):
    level, seed = level_slider.value / 100, which_seed.value

    def fastest(kind, seed):
        """The run (epochs, errors, seconds) at the best rate."""
        return record.tried[kind][seed][record.rates[kind][seed]]
    return fastest, level, seed


@app.cell
def _(fastest, level, record, seed):
    def draw_curves():
        drawing = figure(5.6, 3.4)
        axes = drawing.subplots()
        for kind, line in zip(NAMES, ("-o", "--s"), strict=True):
            epochs, errors, _ = fastest(kind, seed)
            axes.plot(epochs, 100 * errors, line, markersize=4,
                      label=f"{NAMES[kind]}, learning rate {record.rates[kind][seed]:g}")
            there = reached(errors, level)
            if np.isfinite(there):
                axes.plot([there] * 2, [0, 100 * level], ":", color="gray")
        axes.axhline(100 * level, color="gray", linewidth=1)
        axes.set(xlabel="epoch", ylabel="training error, %", ylim=(0, 100))
        axes.grid(alpha=0.3)
        axes.legend()
        return drawing

    def in_words(kind):
        epochs, errors, _ = fastest(kind, seed)
        return (f"{NAMES[kind]} falls from {percent(errors[0])} to {percent(errors[-1])} between epochs 0 and "
                f"{epochs[-1]:g}.")

    picture(draw_curves(), f"Training error against epoch, seed {seed}. {' '.join(map(in_words, NAMES))}")
    return


@app.cell
def _(fastest, level, record):
    def times(seed):
        """How many times the epochs of ReLU tanh takes to the level, and whether it is more; None: cannot be said."""
        relu, tanh = (reached(fastest(kind, seed)[1], level) for kind in ("relu", "tanh"))
        if np.isinf(relu):
            return None
        return (fastest("tanh", seed)[0][-1] / relu, True) if np.isinf(tanh) else (tanh / relu, False)

    def shown(epochs):
        return "not reached" if np.isinf(epochs) else f"{epochs:.2f}"

    def factor(seed):
        found = times(seed)
        return "–" if found is None else f"{'more than ' * found[1]}{found[0]:.2f}"

    def verdict():
        found = [times(seed) for seed in record.seeds]
        if None in found:
            return "ReLU never got down to this error, so there is no ratio."
        ratios, more = zip(*found, strict=True)
        span = " to ".join(f"**{ratio:.2f}**" for ratio in sorted({min(ratios), max(ratios)}))
        if min(ratios) <= PAPER <= max(ratios):
            beside = f"the paper's {PAPER} lies between these"
        elif min(ratios) > 1.1:
            beside = f"in the paper it is {PAPER} times"
        else:
            beside = f"that is hardly a difference, where the paper found {PAPER} times"
        return f"Here tanh needs {'more than ' * any(more)}{span} times as many epochs as ReLU; {beside}."

    rows = []
    for _seed in record.seeds:
        rows.append([_seed, *(record.rates[kind][_seed] for kind in NAMES),
                     *(shown(reached(fastest(kind, _seed)[1], level)) for kind in NAMES), factor(_seed)])
    facts = record.facts
    say(f"""
        {verdict()} Counted in epochs until the training error came down to {percent(level)} (between two epochs
        the error is taken to fall along a straight line):
    """, table(["seed", *(f"rate, {name}" for name in NAMES.values()), *(f"epochs, {name}" for name in NAMES.values()),
                "times"], rows), f"""
        Since the paper's network is unknown, this is one that the same authors published with their program
        (`layers-19pct.cfg` of cuda-convnet): a convolution with 32 kernels and max-pooling, another with 32 and average
        pooling, which takes the mean of each window, one with 64 and average pooling, and a linear layer. All kernels
        are 5 × 5. The weights start as random numbers with mean 0 and **standard deviation** σ, which is how far they
        typically lie from their mean. This is written $N(0, σ^2)$, and σ² is called their **variance**. Here σ = 0.0001
        in the first layer and 0.01 in the others. Pixels are 0–255 less their mean, the momentum is 0.9, and there is
        no weight decay. It learned from {facts["data"]}, 32 × 32 pixels, in batches of {facts["batch"]}.

        It ran on {facts["machine"]}; {facts["versions"]}; {facts["date"]}.
    """)
    return


@app.cell
def _(fastest, record, seed):
    tried = {kind: record.tried[kind][seed] for kind in NAMES}
    rates = {kind: record.rates[kind][seed] for kind in NAMES}

    def told(lr, kind):
        if lr not in tried[kind]:
            return "–"
        epochs, errors, _ = tried[kind][lr]
        first = reached(errors, record.level)
        return f"{first:.2f}" if np.isfinite(first) else f"{percent(errors.min())} in {epochs[-1]:g}"

    def at_the_edge():
        edges = [NAMES[kind] for kind, lr in rates.items() if lr in (min(tried[kind]), max(tried[kind]))]
        return (f"For {' and '.join(edges)} that is the first or the last of those tried, so one beyond it may be "
                "faster still." if edges else "In both cases half that rate and twice that rate were slower.")

    def same_rate():
        lr = rates["relu"]
        _, errors, _ = tried["tanh"].get(lr, [[], [], []])
        there = len(fastest("relu", seed)[0]) - 1  # epochs
        if len(errors) <= there:
            return ""
        return (f"At {lr:g}, the best rate for ReLU, tanh still had {percent(errors[there])} error after {there} "
                f"epochs, when ReLU had come down to {percent(record.level)}. If you give both the same rate, you "
                "compare how well the rate suits them, and not the functions.")

    say(f"""
        ## The learning rates

        The comparison is fair only if each function gets the rate that suits it best. So rates were tried, each twice
        the one before, until the rates on both sides of the best one had been tried too. The table says after how many
        epochs the error reached {percent(record.level)} with seed {seed}, or, where it did not, the smallest error and
        the number of epochs. A run was stopped as soon as it took longer than the best one so far, and after 5 epochs
        if the error was still above 80 %.
    """, table(["learning rate", *NAMES.values()], [
        [lr, *(told(lr, kind) for kind in NAMES)] for lr in sorted({lr for runs in tried.values() for lr in runs})
    ]), f"""
        The best rates are {" and ".join(f"{rates[kind]:g} for {NAMES[kind]}" for kind in rates)}. {at_the_edge()}

        {same_rate()}
    """)
    return


@app.cell
def _(others, record):
    def soonest(run, kind, level):
        """Of every seed (epochs until the error was at the level, rate), at the rate that was the first to get there;
        ∞ where none did."""
        return [min((reached(errors, level), lr) for lr, (_, errors, _) in run.tried[kind][seed].items())
                for seed in run.seeds]

    def in_a_row(what, run, level):
        """None where one of both never got there."""
        found = [soonest(run, kind, level) for kind in NAMES]
        if not np.isfinite(found).all() or not run.seeds:
            return None
        ratios = [tanh / relu for (relu, _), (tanh, _) in zip(*found, strict=True)]
        ways = [", ".join(f"{epochs:.2f} ({lr:g})" for epochs, lr in of_seeds) for of_seeds in found]
        return [what, percent(level), *ways, ", ".join(f"{ratio:.2f}" for ratio in ratios)]

    def differs(run):
        """What is another fact than in the record, but for what stands behind a comma, which is only told."""
        words = {"pictures": "other pictures", "data": "{}", "start": "start by the {}", "activation": "activation {}",
                 "batch": "batches of {}"}
        other = [words[name].format(run.facts[name]) for name in words
                 if run.facts.get(name, record.facts[name]).split(",")[0] != record.facts[name].split(",")[0]]
        return ", ".join(other) or f"again, seed {', '.join(map(str, run.seeds))}"

    levels = [level for level in (0.45, 0.4, 0.35, 0.3, 0.25) if level >= record.level]
    depends = [row for row in [*(in_a_row("as above", record, level) for level in levels),
                               *(in_a_row(differs(run), run, run.level) for run in others)] if row]
    mo.vstack([say(f"""
        ## What the factor depends on

        The factor is no constant. It depends on the error that is asked for, since both curves fall quickly at first,
        and then that of tanh becomes flat sooner. {"Where a row begins otherwise, one thing was other." * bool(others)}
        Epochs are counted at the rate that was the first to get to the error, which stands in brackets.

    """, table(["", "error", "epochs, ReLU", "epochs, tanh", "times"], depends))] if depends else [])
    return


@app.cell
def _(record):
    command = re.sub(" --machine ('[^']*'|[^ ]+)", "", record.facts["command"])  # theirs
    say("""
        You can repeat this on CIFAR-10 or on your own pictures, with this seed or another one:
    """, f"```\n{command.replace('figure_1.csv', 'figure_1_mine.csv')}\n```", """
        This chapter reads every table `figure_1_*.csv` beside its own, and adds a row to the one above. If you name no
        pictures, it uses the built-in set.
    """)
    return


@app.cell
def _():
    def slope(activation, z):
        """∂y/∂z of every element, by minicnn."""
        t = Tensor(z, requires_grad=True)
        activation(t).backward(np.ones_like(z))
        return t.grad.numpy()

    def slopes_drawn():
        z = np.linspace(-4, 4, 401)
        drawing = figure(5.6, 2.7)
        for axes, of, title in zip(drawing.subplots(1, 2), (lambda f: f(z).numpy(), lambda f: slope(f, z)),
                                   ("y", "slope ∂y/∂z"), strict=True):
            for line, (kind, activation) in zip(("-", "--"), ACTIVATIONS.items(), strict=True):
                axes.plot(z, of(activation), line, label=NAMES[kind])
            axes.set(xlabel="z", title=title, ylim=(-1.2, 2.2))
            axes.grid(alpha=0.3)
            axes.legend()
        return drawing

    at = np.array([0.5, 1.0, 2.0, 3.0, 4.0])
    assert np.allclose(slope(ops.tanh, at), 1 - np.tanh(at) ** 2) and (slope(ops.relu, at) == 1).all()
    assert (np.diff(slope(ops.tanh, at)) < 0).all()
    flat = slope(ops.tanh, at)
    _text = say(f"""
        ## Saturation

        Why does tanh take longer? Look at its slope, which is $1 - y^2$. Where $y$ is near 1 or −1 the slope is nearly
        0, and tanh is **saturated**. At z = {at[1]:g} the slope is {flat[1]:.3f}; at z = {at[3]:g} it is
        {flat[3]:.4f}, so only {percent(flat[3])} of the gradient that reaches such a unit gets through, and its weights
        hardly move. ReLU has slope 1 for every z > 0, however large, and slope 0 below.
    """)
    mo.vstack([_text, picture(slopes_drawn(), "Left: ReLU is 0 up to z = 0, then rises without end; tanh runs from −1 "
                                              "to 1. Right: the slope of ReLU jumps from 0 to 1 at z = 0; that of tanh "
                                              "is a hill, 1 at z = 0, near 0 outside.")])
    return (slope,)


@app.cell
def _():
    scale_slider = mo.ui.slider(steps=[0.25, 0.5, 1.0, 1.5, 2.0, 4.0], value=1.5, label="g, the scale of the weights",
                                show_value=True)
    depth_slider = mo.ui.slider(steps=[2, 5, 10, 15, 20], value=10, label="L, the number of layers", show_value=True)
    mo.vstack([say("""
        ## What is left of a gradient after L layers

        One saturated unit does little harm. But a gradient has to come back through every layer. Here random inputs go
        through L layers with the same random weights, once with ReLU and once with tanh. A random gradient is put in at
        the end, and we watch how large it is on its way back to the input.
    """), scale_slider, depth_slider])
    return depth_slider, scale_slider


@app.cell
def _(depth_slider, scale_slider, slope):
    g, L = float(scale_slider.value), int(depth_slider.value)
    UNITS = 100

    def rms(x):
        return float(np.sqrt(np.mean(x**2)))

    def deep(activation, g, L):
        """(size of the gradient at what every layer gives, 0 is the input; slopes of the activation, a layer each)."""
        random = np.random.default_rng(8)
        h = Tensor(random.normal(size=(200, UNITS)), requires_grad=True)
        places, slopes = [h], []
        for _ in range(L):
            z = h @ (random.normal(size=(UNITS, UNITS)) * g / np.sqrt(UNITS))
            slopes.append(slope(activation, z.numpy()))
            places.append(Tensor(np.zeros(z.shape), requires_grad=True))  # only leaves keep their gradient, so a leaf
            h = activation(z) + places[-1]  # of zeros is added: its gradient is that of the sum
        h.backward(random.normal(size=h.shape))
        return [rms(place.grad.numpy()) for place in places], slopes

    deepened = {kind: deep(activation, g, L) for kind, activation in ACTIVATIONS.items()}

    return L, UNITS, deep, deepened, g, rms


@app.cell
def _(L, deepened, g):
    def draw_depth():
        drawing = figure(5.6, 2.9)
        left, right = drawing.subplots(1, 2)
        for (kind, (sizes, slopes)), line, hatch in zip(deepened.items(), ("-o", "--s"), ("", "//"), strict=True):
            left.semilogy(range(L + 1), np.array(sizes) / sizes[-1], line, markersize=4, label=NAMES[kind])
            share = np.histogram(slopes[-1], bins=10, range=(0, 1))[0] / slopes[-1].size
            right.bar(np.linspace(0.05, 0.95, 10), 100 * share, 0.1, label=NAMES[kind], alpha=0.6, hatch=hatch)
        low, high = left.get_ylim()
        left.set(xlabel="layer, 0 is the input", title="size of the gradient", ylim=(low / 3, high * 3))
        right.set(xlabel="slope", title=f"units of layer {L}, %", ylim=(0, 100))
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.legend()
        return drawing

    picture(draw_depth(), f"Left: the gradient at every layer, g = {g:g}; at the input it is " + " and ".join(
        f"{sizes[0] / sizes[-1]:.2g} times that of the end with {NAMES[kind]}" for kind, (sizes, _) in deepened.items())
        + ". Right: how the slopes of the last layer are spread: ReLU's are 0 or 1, those of tanh lie between.")
    return


@app.cell
def _(L, UNITS, deep, deepened, g, rms):
    def explained():
        left = {kind: sizes[0] / sizes[-1] for kind, (sizes, _) in deepened.items()}
        mean_slope = {kind: rms(np.array(slopes)) for kind, (_, slopes) in deepened.items()}
        off = {kind: float(np.mean(np.array(slopes) < 0.05)) for kind, (_, slopes) in deepened.items()}
        scales = [0.25, 1.0, 4.0]
        by_scale = {kind: [rms(np.array(deep(f, s, L)[1])) for s in scales] for kind, f in ACTIVATIONS.items()}
        assert np.ptp(by_scale["relu"]) < 1e-9  # the signs of z, and so its slopes, do not know the scale
        assert by_scale["tanh"][0] > by_scale["tanh"][1] > by_scale["tanh"][2]
        sizes, slopes = deep(ops.tanh, 4.0, L)
        asleep, grown = float(np.mean(np.array(slopes) < 0.05)), sizes[0] / sizes[-1]
        assert asleep > 0.5 and grown > 1
        change = f"from {by_scale['tanh'][0]:.2f} (g = {scales[0]:g}) to {by_scale['tanh'][2]:.2f} (g = {scales[2]:g})"
        return table(["", *NAMES.values()], [
            [f"gradient that is left after {L} layers", *left.values()],
            ["slope of the activation, root mean square", *mean_slope.values()],
            ["units with a slope below 0.05", *(percent(share) for share in off.values())],
        ]), f"""
            Each layer multiplies the gradient by its weights and by the slopes of its activation function. The weights
            make it about $g$ times as large: each number of the new gradient is a sum of {UNITS} products with weights
            of variance g² / {UNITS}, and the variances of the products add up. The slopes make it smaller by their
            **root mean square**, which is the root of the mean of their squares. ReLU loses something too: about half
            of its units are off, so its slopes have a root mean square of {by_scale["relu"][0]:.2f}, near √½. But that
            number is the **same for every g**, so weights with $g = \\sqrt 2$ make up for it in every layer. This is
            He's initialisation, which minicnn's layers use. For tanh the number falls {change}: the larger the weights,
            the less of the gradient passes through the activations.

            Saturation and a vanishing gradient are not the same thing. At g = 4, {percent(asleep)} of the slopes of
            tanh are below 0.05, and yet the gradient that arrives at the input is {grown:.3g} times as large as at the
            end: the units that still have a slope pass it on, multiplied by large weights. The saturated ones get far
            less, and their weights hardly move.
        """

    say(f"""
        There are {L} layers of {UNITS} units, with weights from $N(0, g^2 / {UNITS})$ and g = {g:g}. What arrives at
        the input, in units of what was put in at the end, and why:
    """, *explained())
    return


@app.cell
def _():
    def leaky_relu(z, alpha=0.1):
        return ops.relu(z) - alpha * ops.relu(-z)

    def unit(activation, first, then=0.1, steps=1000):
        """(how many inputs have z > 0 after the first step, loss and ∂L/∂b at the end) of one unit that is to learn
        0.2 + 0.1 x; first, then: the learning rate."""
        x = np.linspace(0, 1, 50)  # as pixels are: never negative
        w, b = (Tensor(np.array([start]), requires_grad=True) for start in (1.0, 0.5))
        sgd, alive = optim.SGD([("w", w), ("b", b)], first, momentum=0, weight_decay=0), None
        for step in range(steps + 1):
            z = w * x + b
            alive = int((z.numpy() > 0).sum()) if step == 1 else alive
            error = activation(z) - (0.2 + 0.1 * x)
            loss = (error * error).mean()
            sgd.zero_grad()
            loss.backward()
            if step < steps:
                sgd.step()
                sgd.lr = then
        return alive, loss.item(), b.grad.item()

    good, dead, woken = unit(ops.relu, 0.1), unit(ops.relu, 2.0), unit(leaky_relu, 2.0)
    assert good[0] == 50 and dead[0] == woken[0] == 0
    assert dead[2] == 0.0 and good[1] < 0.01 and woken[1] < 0.01 < dead[1]
    far = Tensor(np.array([10.0], np.float32), requires_grad=True)
    y = ops.tanh(far)
    y.backward()
    assert far.grad.item() == 0.0 and y.item() == 1.0
    say("""
        ## The dead ReLU

        A slope of exactly 0 has its price. Let a single unit $y = \\mathrm{relu}(w x + b)$ learn the line $0.2 + 0.1 x$
        from 50 inputs between 0 and 1, in 1,000 steps without momentum. The learning rate is 0.1. In the second and the
        third run, the first step alone is taken with a rate of 2:
    """, table(["run", "inputs with z > 0 after step 1", "loss at the end", "gb at the end"], [
        ["ReLU", *good], ["ReLU, first step with 2", *dead], ["leaky ReLU, first step with 2", *woken]
    ]), f"""
        That first step was too long: it made $b$ so negative that $z < 0$ for every input. Now ReLU gives 0 and has
        slope 0, so both gradients are exactly 0 and no further step can change anything. The unit is **dead**.
        **Leaky ReLU** keeps a small slope α, here 0.1, where ReLU has 0, and so it finds its way back. Tanh would not
        help: in single precision tanh(10) is rounded to {y.item():g}, and its slope to {far.grad.item():g}.

        Many networks of today use smooth relatives of ReLU, which do not switch off all at once: SiLU is
        $z / (1 + e^{{-z}})$, and GELU, which most transformers have, is $z$ times the probability that a normal random
        number lies below $z$.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # leaky ReLU: y = x where x > 0, and 0.1 · x elsewhere
    return gy * (x > 0)
'''
    answer = start.replace("gy * (x > 0)", "gy * np.where(x > 0, 1, 0.1)")
    tries = {
        "the value in the place of the slope": start.replace("gy * (x > 0)", "gy * np.where(x > 0, x, 0.1 * x)"),
        "0.1 everywhere, and 1 on top": start.replace("gy * (x > 0)", "gy * ((x > 0) + 0.1)"),
        "the wrong sign below 0": start.replace("gy * (x > 0)", "gy * np.where(x > 0, 1, -0.1)"),
        "look at gy, not at x": start.replace("gy * (x > 0)", "gy * np.where(gy > 0, 1, 0.1)"),
    }

    def check(backward):
        def leaky_relu(x):
            return np.where(x > 0, x, 0.1 * x)

        gradcheck(leaky_relu, np.array([[2.0, -1.0, 0.5], [-3.0, -0.2, 1.0]]), backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        Here is the backward of ReLU. Turn it into the backward of leaky ReLU with α = 0.1, so that a dead unit can wake
        up again.
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
