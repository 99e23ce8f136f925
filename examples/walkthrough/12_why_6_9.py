"""Chapter 12: a loss that stays at ln 1000. How the signal of a picture dies between layers, and what keeps it."""

import marimo

app = marimo.App(app_title="12 · Why is my loss 6.9?")

with app.setup:
    import io
    import math
    from contextlib import redirect_stderr, redirect_stdout
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from page import answer_box, attempt, figure, one_answer, picture, say, table
    from PIL import Image

    from minicnn import Tensor, gradcheck, manual_seed, nn, no_grad, ops, optim
    from minicnn.diagnose import signals
    from minicnn.models import RECIPES, alexnet
    from minicnn.training.diagnosis import PLATEAU, Diverged
    from minicnn.training.step import Step
    from minicnn.training.trainer import Trainer


@app.cell
def _():
    ln = math.log(1000)

    def losses():
        """The loss of networks that know nothing of 1000 classes, averaged over all labels."""
        random = np.random.default_rng(0)
        for spread in (0.0, 0.1, 1.0, 3.0):
            logits = Tensor(spread * random.normal(size=(64, 1000)))
            loss = -logits.log_softmax().mean().item()
            assert loss >= ln - 1e-9
            assert spread > 1 or abs(loss - ln - spread**2 / 2) < 0.01
            yield [spread, loss, ln + spread**2 / 2]

    say(f"""
        # 12 · Why is my loss 6.9?

        If you train AlexNet from scratch, you are likely to meet this number: the loss is **{ln:.3f}**, and there it
        stays. It is ln 1000. A network that gives each of 1000 classes the probability 1/1000 has the loss −ln(1/1000)
        for every picture, whatever its label. With C classes it is ln C.

        It can be worse than that. Suppose that the logits, which are the outputs before softmax, are random numbers
        with standard deviation s and have nothing to do with the picture:
    """, table(["s", "loss", "ln 1000 + s² / 2"], list(losses())), """
        On average a logit z is 0 and eᶻ is e^(s² / 2), so that the loss is about ln 1000 + s² / 2. With s = 3, a
        thousand logits are too few for that average.

        So at the start the loss should be ln C or a little more. If it is far more, the network is sure of itself
        without any reason. It is no fault to *start* at ln C. The fault is to *stay* there.
    """)
    return (ln,)


@app.cell
def _():
    STARTS = {
        "paper text": lambda row, fan_in: 0.01,
        "original program": lambda row, fan_in: 0.03 if row in ("conv3", "conv4", "conv5") else 0.01,
        "He": lambda row, fan_in: math.sqrt(2 / fan_in),
    }
    ONES = RECIPES["paper"].biased  # the rows whose biases start at 1

    def photographs():
        """Four parts (4, 3, 224, 224) of one photograph, and what is done to them before a network sees them."""
        path = get_sample_data("grace_hopper.jpg", asfileobj=False)
        photo = np.asarray(Image.open(path).convert("RGB"), np.float32)
        parts = np.stack([photo[r : r + 224, c : c + 224] for r in (0, 376) for c in (0, 288)])
        parts = np.ascontiguousarray(parts.transpose(0, 3, 1, 2))
        centred = parts - parts.mean((0, 2, 3), keepdims=True)
        return {"0–255 less the mean": centred, "0–1": parts / 255, "less the mean, over the deviation":
                centred / centred.std()}

    PICTURES = photographs()
    return ONES, PICTURES, STARTS


@app.cell
def _(ONES, PICTURES):
    def rows_of(net):
        """The row of every layer that has weights, by the layer's id: both towers' conv1 is conv1."""
        named = ((name.removeprefix("a.").removeprefix("b.").split(".")[0], layer)
                 for name, layer in net.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
        return {id(layer): row for row, layer in named}

    def measure(net, pictures):
        """({row: (what tells its outputs apart, what they have in common, their whole size)}, the logits).

        Outputs before ReLU. Of every output: its variance over the pictures, its squared mean over them, and the mean
        of its square, which is the sum of both. Averaged over all outputs of the row; the root of that. It is what
        `python -m minicnn diagnose` measures of each layer; here the towers are taken together.
        """
        found, logits = signals(net, pictures)
        names, rows = {name: id(layer) for name, layer in net.named_modules()}, rows_of(net)
        sums = {}
        for name, signal in found.items():
            parts = [signal.apart**2, signal.common**2, signal.apart**2 + signal.common**2]
            sums.setdefault(rows[names[name]], []).append(parts)
        return {row: np.sqrt(np.mean(parts, axis=0)) for row, parts in sums.items()}, logits.astype(np.float32)

    def become(net, start, bias):
        """Scale the weights, drawn once, to another σ, and set the biases: the same dice for every start."""
        rows = rows_of(net)
        for layer in (layer for layer in net.modules() if id(layer) in rows):
            row = rows[id(layer)]
            sigma = start(row, fan_in[row])
            weight = layer.weight.writable()
            weight *= np.float32(sigma / sigmas[row, id(layer)])
            sigmas[row, id(layer)] = sigma
            layer.bias.writable()[...] = bias if row in ONES else 0

    manual_seed(12)
    net = alexnet("paper").eval()  # with all its units and kernels: the σ in question are meant for these

    def started_by_recipe():
        drawn, unit = net.state_dict(), PICTURES["less the mean, over the deviation"]
        # it is started on other pictures than those that are measured: mirrored, upside down, and both
        RECIPES["small"].start(net, np.concatenate([unit[..., ::-1], unit[..., ::-1, :], unit[..., ::-1, ::-1]]))
        measured = measure(net, unit)
        net.load_state_dict(drawn)  # He's, and biases of 0
        return measured

    small, small_logits = started_by_recipe()
    _, he_logits = measure(net, PICTURES["0–255 less the mean"])
    _rows = rows_of(net)
    fan_in = {_rows[id(layer)]: math.prod(layer.weight.shape[1:]) for layer in net.modules() if id(layer) in _rows}
    sigmas = {(row, i): math.sqrt(2 / fan_in[row]) for i, row in _rows.items()}  # of the weights as they are now
    return become, fan_in, he_logits, measure, net, small, small_logits


@app.cell
def _(STARTS, fan_in):
    def halves():
        """A layer of 1000 units over ReLUs: the size of its outputs beside that of z, the ReLUs' inputs."""
        random = np.random.default_rng(1)
        n, sigma = 1200, 0.02
        z, w = random.normal(size=(n, 500)), sigma * random.normal(size=(1000, n))
        found = ops.linear(Tensor(z).relu().T, Tensor(w)).numpy().std() / z.std()
        assert abs(found / (sigma * math.sqrt(n / 2)) - 1) < 0.02
        return n, sigma, found, sigma * math.sqrt(n / 2)

    n, sigma, found, expected = halves()
    theory = {name: {row: start(row, fan_in[row]) * math.sqrt(fan_in[row] / 2) for row in list(fan_in)[1:]}
              for name, start in STARTS.items()}
    products = {name: math.prod(gains.values()) for name, gains in theory.items()}
    assert abs(products["paper text"] / 1.0e-3 - 1) < 0.05 and abs(products["original program"] / 2.7e-2 - 1) < 0.02
    assert abs(products["He"] - 1) < 1e-9
    say(f"""
        ## What one layer does to the signal

        A unit adds up n products w · x; n is called its *fan-in*. If the weights are drawn from N(0, σ²), each product
        has mean 0 and variance σ² times the mean of x², and the variances of independent numbers add up: the sum has
        n σ² times the mean of x². If x = max(z, 0) comes from a ReLU, and z is spread alike on both sides of 0, half of
        the sum of the squares is gone. So each layer multiplies the size of the signal by its **gain σ √(n / 2)**. An
        experiment with n = {n} and σ = {sigma:g} gives {found:.4f}, and the formula {expected:.4f}.

        From the outputs of conv1 to the logits of AlexNet, the gains of all layers are multiplied:
    """, table(["row", "n", *STARTS], [[row, fan_in[row], *(f"{theory[s][row]:.3f}" for s in STARTS)]
                                       for row in theory["He"]]
               + [["product", "", *(f"**{products[s]:.3g}**" for s in STARTS)]]), f"""
        The paper says σ = 0.01 everywhere. The authors' program had 0.03 in conv3, conv4 and conv5. That is only three
        layers, but it makes the signal {products["original program"] / products["paper text"]:.0f} times as large. He's
        σ = √(2 / n) is the one with gain 1. This formula leaves out normalisation, pooling and biases, so let us look
        at the real network.
    """)
    return (theory,)


@app.cell
def _(PICTURES, STARTS):
    which_start = mo.ui.dropdown(list(STARTS), value="paper text", label="start")
    which_bias = mo.ui.dropdown(["0", "0.1 (Caffe)", "1 (paper)"], value="1 (paper)", label="bias")
    which_input = mo.ui.dropdown(list(PICTURES), value="0–255 less the mean", label="input")
    mo.vstack([say("""
        ## What tells one picture from another

        Four parts of a photograph go through the network, without dropout. Every output, taken before ReLU, is split in
        two. Its mean over the four pictures is what they have **in common**. Its standard deviation over them is what
        **tells them apart**. A network can learn nothing about labels from what all pictures have in common.

        How a network is started and taught is called its *recipe* here. In orange you see minicnn's recipe "small",
        which *What helps*, below, explains.
    """), which_start, which_bias, which_input])
    return which_bias, which_input, which_start


@app.cell
def _(PICTURES, STARTS, become, measure, net, which_bias, which_input, which_start):
    bias, chosen = float(which_bias.value.split()[0]), which_start.value
    signal = {}
    for _name in sorted(STARTS, key=lambda name: name == chosen):  # the chosen one last: its weights stay
        become(net, STARTS[_name], bias)
        signal[_name], logits = measure(net, PICTURES[which_input.value])
    _labels = np.random.default_rng(12).integers(1000, size=len(logits))
    net.zero_grad()
    ops.cross_entropy(net(PICTURES[which_input.value]), _labels).backward()
    gradients = {}
    for _name, _p in net.named_parameters():
        if _p.ndim > 1 and not _name.startswith("b."):  # tower b is like a
            _gw, _w = (t.numpy().ravel(order="K") for t in (_p.grad, _p))
            gradients[_name.removeprefix("a.").split(".")[0]] = [
                math.sqrt(np.dot(_gw, _gw) / _gw.size), math.sqrt(np.dot(_w, _w) / _w.size)]
    net.zero_grad()
    with no_grad():
        empty = net(np.zeros((1, 3, 224, 224), np.float32)).numpy()  # what the biases alone make of nothing
    assert bias or not empty.any()
    return bias, chosen, empty, gradients, logits, signal


@app.cell
def _(bias, chosen, signal, small, which_input):
    def draw():
        drawing = figure(5.6, 4)
        axes = drawing.subplots()
        rows = list(signal[chosen])
        for marker, data, name in (("o", signal[chosen], chosen), ("s", small, "recipe \"small\"")):
            kept = data is small
            axes.plot(rows, [data[row][0] for row in rows], "-" + marker, color="C0" if not kept else "C1",
                      label=f"{name}:\ntells apart")
            axes.plot(rows, [data[row][1] for row in rows], ":" + marker, color="C0" if not kept else "C1",
                      label=f"{name}:\nin common", fillstyle="none")
        axes.set(yscale="log", ylabel="size of the outputs")
        axes.grid(alpha=0.3)
        drawing.legend(loc="outside upper center", ncols=2)
        return drawing

    biases = (f"biases of {bias:g} in {', '.join(RECIPES['paper'].biased)} and of 0 elsewhere," if bias else
              "biases of 0")
    apart, common, _ = zip(*signal[chosen].values(), strict=True)
    mo.vstack([picture(draw(), "On a log scale, for the rows from conv1 to fc8: what tells pictures apart goes from "
                       f"{apart[0]:.2g} to {apart[-1]:.2g}, what they have in common from {common[0]:.2g} to "
                       f"{common[-1]:.2g}. With the recipe small they end at {small['fc8'][0]:.2g} and "
                       f"{small['fc8'][1]:.2g}."), say(f"""
        With the start "{chosen}", {biases} and pixels {which_input.value}, what tells the pictures apart goes from
        {apart[0]:.3g} in conv1 to **{apart[-1]:.3g}** in fc8, and what they have in common goes from {common[0]:.3g} to
        **{common[-1]:.3g}**.
    """)])
    return


@app.cell
def _(STARTS, bias, signal, theory):
    def gains(name, part):
        sizes = [values[part] for values in signal[name].values()]
        return dict(zip(theory[name], np.divide(sizes[1:], sizes[:-1]), strict=True))

    rows = [[row, *(f"{gains(name, 0)[row]:.3f} ({theory[name][row]:.3f})" for name in STARTS)]
            for row in theory["He"]]
    rows.append(["product", *(f"**{math.prod(gains(s, 0).values()):.3g}** ({math.prod(theory[s].values()):.3g})"
                              for s in STARTS)])
    for _name in STARTS:
        for _row in ("conv4", "conv5", "fc7", "fc8"):  # those with nothing but ReLU before them
            assert gains(_name, 0)[_row] < 1.1 * math.sqrt(2) * theory[_name][_row]
            assert bias or abs(gains(_name, 2)[_row] / theory[_name][_row] - 1) < 0.1
    told = ("With biases of 0 the two parts together follow the formula, within a tenth, wherever there is nothing but "
            "ReLU between two rows. What tells the pictures apart falls faster: ReLU cuts some of it off, and what is "
            "left is above 0 for every picture, so it adds to what they have in common.") if not bias else (
            f"A bias of {bias:g} holds ReLUs open. Where a ReLU is open for all pictures, nothing of their difference "
            "is lost, and the gain can be as large as σ √n, which is √2 times the formula. So biases do not weaken the "
            "signal. They add a constant to it.")
    say("""
        ## The gain of every layer

        By how much each layer multiplies what tells the pictures apart, as measured; in brackets what the formula says:
    """, table(["row", *STARTS], rows), f"""
        {told} Normalisation, which comes before conv2 and conv3, divides by at least 2^0.75 = {2**0.75:.2f}, and by
        more where the outputs are large. Pooling, which comes before conv2, conv3 and fc6, picks the largest output.
    """)
    return


@app.cell
def _(which_bias, which_input, which_start):
    mo.vstack([say("""
        ## Why it stays

        Your choice once more, to change it here:
    """), which_start, which_bias, which_input])
    return


@app.cell
def _(bias, chosen, empty, ln, logits, small_logits):
    def loss_of(logits):
        """Averaged over all 1000 labels: what a network has to pay that knows nothing of them."""
        return -Tensor(logits).log_softmax().mean().item()

    def parts(logits):
        logits = logits.astype(np.float64)
        return float(logits.var(axis=1).mean()), float(logits.var(0).mean()), float(logits.mean(0).var())

    whole, of_picture, shared = parts(logits)
    share = of_picture / logits.astype(np.float64).var()
    at_once, unlearned = loss_of(logits), loss_of(logits - logits.mean(0))
    assert at_once >= ln - 1e-5 and unlearned >= ln - 1e-5
    assert whole > 1 or abs(at_once - ln - whole / 2) < 0.05
    if chosen == "paper text":
        assert of_picture < 0.02 and abs(unlearned - ln) < 1e-2, (of_picture, unlearned)
        assert bias or abs(at_once - ln) < 1e-2
    assert abs(loss_of(small_logits) - ln) < 0.1
    small_share = parts(small_logits)[1] / small_logits.astype(np.float64).var()
    differ = math.sqrt(of_picture)
    verdict = (
        "To go below that, the logits must differ from picture to picture, and they differ only by "
        f"{differ:.2g}. So the loss stays there for a long time" + (
            ". This is the fall to 6.9 and the standstill that users of Caffe reported (BVLC/caffe#401)."
            if at_once > ln + 0.1 else ", from the first step on.")
    ) if unlearned < ln + 0.01 else (
        f"Here the logits do differ from picture to picture, by {differ:.2g}. While the differences are random they "
        "make the loss a little larger, but they are what training can turn into right answers."
    )
    say(table(["variance of the logits", "your choice", "recipe small"], [
        ["between the pictures", of_picture, parts(small_logits)[1]],
        ["common to all pictures", shared, parts(small_logits)[2]],
        ["for an empty picture, from the biases alone", float(empty.var()), "–"],
        ["share that comes from the picture", f"{share:.3%}", f"{small_share:.1%}"],
    ]), table(["loss", "your choice", "recipe small"], [
        ["at the start", at_once, loss_of(small_logits)],
        ["without the common part", unlearned, loss_of(small_logits - small_logits.mean(0))],
        ["ln 1000", ln, ln],
    ]), f"""
        **{share:.3%}** of the variance of the logits comes from the picture. The rest is the same for every
        picture, a wrong opinion about all of them, and training gets rid of it first: the biases of fc8 are enough for
        that. Then the loss is {unlearned:.4f}, where ln 1000 is {ln:.4f}. {verdict}
    """)
    return (loss_of,)


@app.cell
def _(PICTURES, gradients, signal, chosen, which_input):
    _lr, _rows = RECIPES["paper"].lr, []
    for _row, (_gw, _w) in gradients.items():
        _apart, _common, _ = signal[chosen][_row]
        _rows.append([_row, f"{_gw:.2g}", f"{_lr * _gw / _w:.2g}", f"{_apart**2 / (_apart**2 + _common**2):.2%}"])
    ratio = gradients["conv1"][0] / gradients["fc8"][0]
    _pixels, _fc7 = PICTURES[which_input.value].std(), signal[chosen]["fc7"][2]
    say("""
        ## The way back

        The gradient that reaches a row, its gy, has come back through the weights of all later rows. The weights that
        made the signal small on the way forward also make gy small on the way back. With random labels, in tower a:
    """, table(["row", "size of gw", "one step / w", "picture's share of y"], _rows), f"""
        A typical gradient of conv1 is **{ratio:.3g} times** as large as one of fc8. But compare them with care:
        gw = Σ gy · x. For conv1, x are pixels, with a standard deviation of {_pixels:.2g}; for fc8 they are the outputs
        of fc7, of size {_fc7:.2g} before ReLU. Large pixels make up for a small gy, as you see when you choose the
        input 0–1. The third column says how far one step at the paper's rate, {_lr:g}, moves a weight, compared with
        the size of the weight. The last column shows why a large gradient alone is no help. Where little of a row's
        output comes from the picture, every picture brings nearly the same x to the gw of the next row, and their sum
        tells only what suits all pictures alike.
    """)
    return


@app.cell
def _():
    class Batches:
        """As many batches as the diagnosis waits for: random numbers, of which the greatest is the class; or labels
        that have nothing to do with them."""

        def __init__(self, shuffled=False):
            self.shuffled = shuffled

        def __len__(self):
            return PLATEAU

        def epoch(self, number, start=0, device=None):
            random = np.random.default_rng(0)
            for _ in range(start, len(self)):
                x = random.normal(size=(16, 10)).astype(np.float32)
                yield x, random.permutation(x.argmax(1)) if self.shuffled else x.argmax(1)

    def trained(lr, deviation=0.3, bias=0.0, shuffled=False):
        """What minicnn's trainer says of a small network, and how the run ended."""
        manual_seed(0)
        layers = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
        nn.initialise(layers, lambda name, weight: deviation / (10 if name.startswith("4") else 1),
                      lambda name: 0.0 if name.startswith("4") else bias)
        batches, heard, ended = Batches(shuffled), io.StringIO(), ""
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(heard):
            step = Step(layers, optim.SGD(layers.named_parameters(), lr))
            try:
                Trainer(step, optim.StepSchedule(lr, ()), batches, batches, Path(folder)).fit(1)
            except Diverged as error:
                ended = str(error)
        return " ".join(heard.getvalue().split()), ended

    stuck = {"the signal dies": trained(1e-3, 0.01, 1.0)[0], "the rate is too low": trained(1e-7)[0],
             "labels do not follow the pictures": trained(0.01, shuffled=True)[0]}
    _, burst = trained(lr=1e30)
    for _cause, _said in stuck.items():
        assert f"ln(10) = {math.log(10):.3f}" in _said and _cause in _said, _said
    assert "first output that is not finite is that of" in burst
    say(f"""
        ## What the trainer tells you

        minicnn can measure this for you, and more: `minicnn.diagnose`. When the loss has stayed near ln C for {PLATEAU}
        steps (its mean over the last half of them within 2 %), the trainer measures once, on the latest batches, and
        says what the numbers show. That does not change the run. Here is what it says of three networks of ten classes
        that learn nothing. The first has weights with σ = 0.01 and biases of 1 (in the last layer 0.001 and 0), the
        second has a learning rate of 10⁻⁷, and the labels of the third are shuffled:
    """, "\n\n".join(f"> {text}" for text in stuck.values()), """
        With `python -m minicnn diagnose RUN` you can ask about the folder of a run at any time, and see all numbers.

        If the loss is no longer a finite number, the run ends and says in which layer that began. The same network with
        a rate of 10³⁰:
    """, f"> {burst}")
    return


@app.cell
def _():
    inputs = np.linspace(-3, 3, 24)[:, None]

    def loss_at(w):
        """The mean squared error of a network that is to give sin x. w: its 49 weights and biases, in one vector."""
        hidden = (w[:16] * inputs + w[16:32]).tanh()  # (24, 16)
        return ((hidden @ w[32:48].reshape(16, 1) + w[48] - np.sin(inputs)) ** 2).mean()

    def descend(w, rate, steps, momentum=0.0):
        """(where gradient descent leads from w, the loss before every step)"""
        velocity, losses = 0.0, []
        for _ in range(steps):
            here = Tensor(w, requires_grad=True)
            loss = loss_at(here)
            loss.backward()
            losses.append(loss.item())
            velocity = momentum * velocity - rate * here.grad.numpy()
            w = w + velocity
        return w, losses

    def steepest(w, rounds=10):
        """([v · H v, of every round], the last v, the error of its H v)"""
        v, curvatures = np.random.default_rng(1).normal(size=w.size), []
        for _ in range(rounds):
            v = v / np.linalg.norm(v)
            along, error = gradcheck.hvp(loss_at, w, v)  # H v
            curvatures.append(v @ along)
            v = along
        return curvatures, v / np.linalg.norm(v), error

    def learned():
        random = np.random.default_rng(0)
        start = np.concatenate([random.normal(size=16), np.zeros(16), random.normal(size=16) / 4, [0]])
        (*_, at_start), _, _ = steepest(start)
        bottom, _ = descend(start, 0.3 / at_start, 300, momentum=0.9)
        return bottom, at_start

    bottom, at_start = learned()
    rounds, steep, off = steepest(bottom)
    curvature, low = rounds[-1], loss_at(Tensor(bottom)).item()
    step = 1e-3  # the second difference that everybody knows, of the loss itself, along the direction that was found
    second = (loss_at(Tensor(bottom + step * steep)).item() - 2 * low
              + loss_at(Tensor(bottom - step * steep)).item()) / step**2  # fmt: skip
    assert abs(second / curvature - 1) < 1e-4
    assert abs(rounds[-2] / curvature - 1) < 1e-6
    say(f"""
        ## How large may the rate be?

        A rate can also be too high. Suppose that the loss depends on a single weight and is lowest at w = 0. Near there
        it looks like a parabola, L = λ w² / 2. The second derivative λ is called its **curvature**: it says how fast
        the slope, λ w, grows. One step of gradient descent with rate r leads from w to w − r λ w = (1 − r λ) w. With
        r = 1/λ that is 0 at once. With a larger r, the step jumps across to the other side. With **2/λ** it lands as
        far away as it was before, and with an even larger r it moves farther away in every step.

        With many weights there is a curvature in every direction, and the greatest of them sets the limit. All second
        derivatives together make a table H, the Hessian. For 49 weights it has {49 * 49:,} entries, for AlexNet
        3.7 · 10¹⁵, far too many to write down. But its product with a vector v is easy to get, from two gradients, one
        a little ahead along v and one a little behind: (∇L(w + h v) − ∇L(w − h v)) / 2h ≈ H v, where ∇L is the
        gradient. For v of length 1, the curvature along v is v · H v. `gradcheck.hvp(loss, w, v)` computes this with
        the best h that it finds, and says how far off the result may be.

        To find the direction of the greatest curvature, take any v of length 1, replace it by H v, scale it back to
        length 1, and repeat: in every round the part of v along that direction grows the most. Here a network of 16
        hidden units has been learning sin x for 300 steps:
    """, table(["round", "curvature along v"], [[i + 1, f"{rounds[i]:.6f}"] for i in (0, 1, 2, 4, 9)]), f"""
        H v is accurate to {off:.0e}. So λ = {curvature:.3f}, and the limit is 2/λ = **{2 / curvature:.4f}**. Before the
        first step of training λ was {at_start:.3f}, so the limit changes on the way.
    """)
    return bottom, curvature, descend, low, steep, steepest


@app.cell
def _():
    share_slider = mo.ui.slider(0.1, 3.0, 0.1, value=1.4, label="rate, as a share of 2/λ", show_value=True)
    mo.vstack([say("""
        Now put this to the test. From the place where λ was measured, the weights are pushed along the direction of
        the greatest curvature until the loss is five times as high. From there gradient descent goes on, with rates
        below and above 2/λ, and with yours.
    """), share_slider])
    return (share_slider,)


@app.cell
def _(bottom, curvature, descend, low, steep):
    pushed = bottom + math.sqrt(8 * low / curvature) * steep  # λ a² / 2 = four times the loss

    def run_at(share):
        """(where it leads, the losses, the factor by which its first step changes what the push has added)"""
        end, losses = descend(pushed, share * 2 / curvature, 60)
        return end, losses, (losses[1] - low) / (losses[0] - low)

    RUNS = {share: run_at(share) for share in (0.25, 0.9, 1.1, 2.0)}
    return RUNS, run_at


@app.cell
def _(RUNS, curvature, low, run_at, share_slider, steepest):
    share_now = share_slider.value
    _, losses_now, factor_now = run_at(share_now)

    def draw_runs():
        drawing = figure(5.6, 4)
        axes = drawing.subplots()
        for (share, (_, losses, _)), color in zip(RUNS.items(), ("C0", "C4", "C1", "C5"), strict=True):
            axes.plot(losses, "-" if share < 1 else "--", color=color, label=f"{share:g} · 2/λ")
        axes.plot(losses_now, color="black", linewidth=2.5, label=f"yours: {share_now:g} · 2/λ")
        axes.set(yscale="log", ylim=(low / 2, 1e2), xlim=(0, 60), xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
        drawing.legend(loc="outside upper center", ncols=2)
        return drawing

    def row_of(share, losses, factor, whose=""):
        return [f"{whose}{share:g}", f"{(1 - 2 * share) ** 2:.3f}", f"{factor:z.3f}", f"{max(losses):.3g}",
                f"{losses[-1]:.3g}"]

    for _share, (_, _losses, _factor) in RUNS.items():
        assert abs(_factor / (1 - 2 * _share) ** 2 - 1) < 0.01
        assert max(_losses) == _losses[0] if _share < 1 else max(_losses) > 10 * low
    calm = steepest(RUNS[1.1][0])[0][-1]
    assert RUNS[1.1][1][-1] < 2 * low and 1.1 * calm < curvature
    assert RUNS[2.0][1][-1] > 1e6
    mo.vstack([picture(draw_runs(), "The loss over 60 steps, on a log scale. At 0.25 and 0.9 of 2/λ it falls and stays "
                       f"low; at 1.1 it rises to {max(RUNS[1.1][1]):.2g} and comes down again; at 2 it leaves the "
                       f"picture. At {share_now:g}, which is yours, it is {losses_now[-1]:.2g} in the end."), say("""
        A step leads from w to (1 − r λ) w, so what the push has added to the loss should be multiplied by (1 − r λ)²:
    """, table(["r, in units of 2/λ", "(1 − r λ)²", "first step, measured", "highest loss", "loss after 60 steps"],
               [*(row_of(share, losses, factor) for share, (_, losses, factor) in RUNS.items()),
                row_of(share_now, losses_now, factor_now, "yours: ")]), f"""
        Below 2/λ the loss falls, and above it the loss rises. How it goes on from there the formula cannot say, because
        λ belongs to one place only. At 1.1 · 2/λ the weights are thrown out and find another place, where the curvature
        is {calm:.3f} instead of {curvature:.3f}. There this rate is small enough, and the loss falls again. At 2 · 2/λ
        they find no such place, and the loss grows without end. That is how a run ends whose rate is too high. The
        remedy is a smaller rate.
    """)])
    return


@app.cell
def _(he_logits, ln, loss_of, small):
    assert 0.5 < small["fc7"][0] < 2 and small["fc7"][1] < small["fc7"][0]
    assert loss_of(he_logits) > 2 * ln
    _paper = RECIPES["paper"]
    _least, _most = min(v[0] for v in small.values()), max(v[0] for v in small.values())
    say(f"""
        ## What helps

        Draw the weights with He's σ, and let the biases be 0. Then the signal stays alive. But what the pictures have
        in common grows too, as the plot shows when you choose "He", and with pixels of 0–255 the logits are so large
        that the loss starts at {loss_of(he_logits):.0f}.

        The recipe "small" (`minicnn/models/recipes.py`) goes further. It divides the pixels by their standard
        deviation. Then, layer by layer, it shifts and scales every output on a first batch so that its mean is 0 and
        its deviation 1, or 0.1 in fc8. This is the solid orange line above, between {_least:.2g} and {_most:.2g} in all
        rows. It was started on mirrored and upside-down copies of these pictures. On pictures that it has not seen,
        nothing is exact, and something in common is left.

        The recipe "paper" follows the paper to the letter, with σ = {_paper.deviation:g} and biases of 1. The authors
        trained on 1.2 million pictures for {_paper.epochs} epochs, in batches of {_paper.batch_size}. Compared with
        their {_paper.epochs * 1_200_000 / _paper.batch_size:,.0f} steps, a standstill of a few thousand is short. And
        their program, with its 0.03, had more signal than their text.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # y = ln softmax(x) = x − ln Σ eˣ, for every row of x:
    # each x is in its own y, and in the sum of all
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    gx = gy - p * gy
    return gx
'''
    answer = start.replace("p * gy", "p * gy.sum(axis=1, keepdims=True)")
    tries = {
        "leave the sum out": start.replace("gy - p * gy", "gy"),
        "sum over the whole batch": start.replace("p * gy", "p * gy.sum()"),
        "sum over the wrong axis": answer.replace("gy.sum(axis=1, keepdims=True)", "gy.sum(axis=0)"),
        "sum the product": start.replace("p * gy", "(p * gy).sum(axis=1, keepdims=True)"),
    }

    def check(backward):
        gradcheck(lambda x: x - np.log(np.exp(x).sum(axis=1, keepdims=True)),
                  np.random.default_rng(0).normal(size=(3, 5)), backward=backward)  # fmt: skip

    asked = "backward"
    say("""
        ## Exercise

        This backward of $y = \\ln \\mathrm{softmax}(x)$, the last step before the loss, is wrong. Mend it. Remember
        that if one x grows, so does the sum that is subtracted from *every* y in its row. You can read below what
        `gradcheck` says.
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
