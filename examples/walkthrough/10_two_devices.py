"""Chapter 10: two devices. What crosses between AlexNet's towers, byte by byte, and why two towers are one network; and
what is best divided over more of them."""

import marimo

app = marimo.App(app_title="10 · Two devices")

with app.setup:
    import math
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor
    from itertools import pairwise
    from threading import Barrier
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from page import answer_box, attempt, figure, one_answer, picture, say, table

    from minicnn import Tensor, cpu, gradcheck, manual_seed, ops
    from minicnn.engine.observers import Observer, observe
    from minicnn.models import VARIANTS, alexnet
    from minicnn.optim import SGD
    from minicnn.training.parallel import Ranks
    from minicnn.training.parallel_step import ParallelStep
    from minicnn.training.split import Split
    from minicnn.training.step import Step

    TOWERS = (cpu(0), cpu(1))
    CLASSES = 10

    def size(n):
        """Bytes as people read them."""
        return f"{n / 1e6:.2f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB" if n else "–"


@app.cell
def _():
    def parameters(conv, last):
        """Weights and biases of (kernels, numbers that a kernel sees), and of fc6, fc7, fc8 over ``last`` maps."""
        fc = [(4096, last * 6 * 6), (4096, 4096), (1000, 4096)]
        return sum(kernels * (seen + 1) for kernels, seen in conv + fc)

    weights = parameters([(96, 3 * 121), (256, 48 * 25), (384, 256 * 9), (384, 192 * 9), (256, 192 * 9)], 256)
    on_one = parameters([(48, 3 * 121), (128, 48 * 25), (192, 128 * 9), (192, 192 * 9), (256, 192 * 9)], 256)
    assert (weights, on_one) == (60_965_224, 59_798_312)
    towers_error, one_error = (37.473, 16.999), (39.168, 18.229)  # %, top-1 and top-5, from the authors' logs
    gains = [one - two for two, one in zip(towers_error, one_error, strict=True)]
    assert [round(gain, 1) for gain in gains] == [1.7, 1.2]  # as §3.2 prints them
    say(f"""
        # 10 · Two devices

        In 2012 a GPU had 3 GB of memory, too little for the network that AlexNet's authors wanted to train. So they cut
        it into two **towers**: each of two GPUs (GTX 580) holds half of the kernels and units of every layer but
        the last. AlexNet has five convolutions, conv1 to conv5, and three *fully connected* layers, fc6, fc7 and fc8,
        in which each unit reads every number of the layer before. Most layers read only the maps of their own tower.
        Only conv3, fc6, fc7 and fc8 read those of both, and only there do numbers have to cross from one GPU to the
        other.

        The authors compared this with a network that fits on one GPU and has half as many kernels in its convolutions.
        The two towers made fewer errors, by {gains[0]:.1f} % (top-1) and {gains[1]:.1f} % (top-5), and took slightly
        less time (§3.2). The comparison is even a little unfair to them: the network on one GPU kept the whole last
        convolution and the whole fully connected layers, so it was hardly smaller, with {on_one / 1e6:.1f} million
        parameters against {weights / 1e6:.1f}.
    """)
    return (weights,)


@app.cell
def _():
    def crossing():
        x = Tensor([1.0, 2.0, 3.0], requires_grad=True, device=cpu(0))
        w = Tensor([10.0, 20.0, 30.0], requires_grad=True, device=cpu(1))
        try:
            _ = x * w
            message = ""
        except ValueError as error:
            message = str(error)
        ops.ledger.clear()
        loss = (x * 5).sum() + (x.to(cpu(1)) * w).sum().to(cpu(0))  # x is used on both devices
        there = dict(ops.ledger)
        loss.backward()
        return message, x.grad, w.grad, there, dict(ops.ledger)

    message, gx, gw, there, both_ways = crossing()
    assert "cpu(0) and cpu(1)" in message
    assert gx.device == cpu(0)
    assert gw.device == cpu(1)
    assert gx.numpy().tolist() == [15, 25, 35]
    assert there == {(cpu(0), cpu(1)): 12, (cpu(1), cpu(0)): 4}
    assert both_ways == {(cpu(0), cpu(1)): 16, (cpu(1), cpu(0)): 16}
    say("""
        ## A tensor lives somewhere

        To try this on any computer, minicnn has two devices, `cpu(0)` and `cpu(1)`. They share one memory, and yet it
        is an error to mix them:

    """, f"```\nValueError: {message}\n```", f"""
        That is what makes them useful. If a program forgets to copy an array to the other device, it would fail on two
        GPUs, and so it fails on your laptop too. And you can count what crosses.

        To cross is an op, `x.to(cpu(1))`. Forwards it copies x; backwards it copies the gradient back to the device on
        which x lives. For example, let x = (1, 2, 3) live on cpu(0). It is multiplied by 5 there, and on cpu(1) by
        w = (10, 20, 30). The gradients of both uses meet on cpu(0) and are **added**: gx = {gx.numpy().tolist()}, on
        {gx.device!r}. The gradient of w stays on {gw.device!r}.

        `ops.ledger` counts every copy. Forwards, {there[cpu(0), cpu(1)]} bytes go to cpu(1), which are three numbers of
        4 bytes, and {there[cpu(1), cpu(0)]} bytes come back, the sum. Backwards the same numbers of bytes travel the
        other way, which makes {both_ways[cpu(0), cpu(1)]} bytes in one direction and {both_ways[cpu(1), cpu(0)]} in the
        other.
    """)
    return


@app.cell
def _():
    widths = {"1/16": 1 / 16, "1/8": 1 / 8, "1/4": 1 / 4}
    width_choice = mo.ui.dropdown(list(widths), value="1/16", label="width, the share of the paper's kernels and units")
    batch_slider = mo.ui.slider(steps=[1, 2, 4, 8], value=2, label="pictures in the batch", show_value=True)
    mo.vstack([say("""
        ## What crosses in one step

        Now AlexNet itself, narrowed so that it runs quickly: one step forward and backward on cpu(0) and cpu(1). The
        yellow boxes say how many bytes cross before a layer, on the way forward.
    """), width_choice, batch_slider])
    return batch_slider, width_choice, widths


@app.cell
def _(batch_slider, width_choice, widths):
    width, batch = widths[width_choice.value], int(batch_slider.value)
    return batch, width


@app.cell
def _():
    class Crossings(Observer):
        """Looks on at what each op made and sent back, and keeps what crossed: (row, phase, from, to, bytes)."""

        def __init__(self, net):
            self.names = {row: name for tower in (net.a, net.b) for name, row in tower.children()} | {net.fc8: "fc8"}
            self.waiting, self.row_of, self.all, self.shapes = [], {}, [], {}

        def op_done(self, name, tensor, sources):
            if name == "to_device":
                self.waiting.append((tensor.node, sources[0].device, tensor.device, tensor.data.nbytes))

        def layer_done(self, layer, y):
            """After each layer: what has crossed since the last row was for this one."""
            if layer in self.names:
                name = self.names[layer]
                self.shapes[name] = y.shape
                for node, source, target, nbytes in self.waiting:
                    self.row_of[node] = name
                    self.all.append((name, "forward", source, target, nbytes))
                self.waiting = []

        def gradient_done(self, node, x, part):
            if node in self.row_of:
                self.all.append((self.row_of[node], "backward", node.device, x.device, part.nbytes))

    def one_step(width, batch):
        """One step of AlexNet forward and backward on two devices, and all that crossed in it."""
        manual_seed(0)
        net = alexnet(classes=CLASSES, devices=TOWERS, width=width)
        random = np.random.default_rng(0)
        images = random.standard_normal((batch, 3, 224, 224)).astype(np.float32)
        seen = Crossings(net)
        ops.ledger.clear()
        with observe(seen):
            loss = ops.cross_entropy(net(images), random.integers(0, CLASSES, batch))
            forward = dict(ops.ledger)
            loss.backward()
        return SimpleNamespace(crossed=seen.all, shapes=seen.shapes, forward=forward, ledger=dict(ops.ledger))

    return (one_step,)


@app.cell
def _(batch, one_step, width):
    step = one_step(width, batch)
    a, b = TOWERS

    def bytes_of(row, phase, source, target):
        return sum(n for *what, n in step.crossed if what == [row, phase, source, target])

    crossing_rows = list(dict.fromkeys(name for name, *_ in step.crossed))
    for way in ((a, b), (b, a)):  # what was seen is what the ledger counted, and comes back
        assert sum(n for _, _, *ends, n in step.crossed if tuple(ends) == way) == step.ledger[way]
        assert step.ledger[way] - step.forward[way] == step.forward[way[::-1]]
    for row in crossing_rows:
        assert bytes_of(row, "forward", a, b) == bytes_of(row, "backward", b, a)
        assert bytes_of(row, "forward", b, a) == bytes_of(row, "backward", a, b)
    assert crossing_rows == ["conv3", "fc6", "fc7", "fc8"]
    total = sum(step.ledger.values())
    return bytes_of, crossing_rows, step, total


@app.cell
def _(batch, bytes_of, crossing_rows, step):
    def draw_towers():
        drawing = figure(5.2, 6)
        axes = drawing.subplots()
        rows = ["pictures", *step.shapes]
        height = {}
        y = 0.0
        for name in rows:
            y -= 1.9 if name in crossing_rows else 1.15
            height[name] = y
        most = max(n for *_, n in step.crossed)

        def box(x, name, text):
            axes.text(x, height[name], text, ha="center", va="center", fontsize=10, zorder=3,
                      bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "black"})

        def arrow(x, above, to, name, colour, width):
            axes.annotate("", (to, height[name] + 0.33), (x, height[above] - 0.33), zorder=1,
                          arrowprops={"arrowstyle": "-|>", "lw": width, "color": colour, "shrinkA": 0, "shrinkB": 0,
                                      "mutation_scale": 8 + 2 * width})

        for above, name in pairwise(rows):
            for x, other, ends in ((0, 1, TOWERS), (1, 0, TOWERS[::-1])):
                if not (name == "fc8" and x):
                    arrow(x, above, x, name, "gray", 1)
                crossed = bytes_of(name, "forward", *ends)
                if crossed:
                    arrow(x, above, other, name, f"C{x}", 1 + 4 * (crossed / most) ** 0.5)
            if name in crossing_rows:
                each = bytes_of(name, "forward", *TOWERS[::-1])
                words = "each way" if bytes_of(name, "forward", *TOWERS) else "one way"
                axes.text(0.5, (height[above] + height[name]) / 2, f"{size(each)} {words}", ha="center", va="center",
                          fontsize=10, zorder=4, bbox={"boxstyle": "round,pad=0.25", "facecolor": "#fff6dd",
                                                      "edgecolor": "none"})
        for x in (0, 1):
            axes.text(x, -0.45, f"tower {'ab'[x]}, cpu({x})", ha="center", fontsize=10, weight="bold")
            for name in rows:
                shape = step.shapes.get(name, (batch, 3, 224, 224))[1:]
                if not (name == "fc8" and x):
                    box(x, name, f"{name}: {' × '.join(map(str, shape))}")
        axes.set(xlim=(-0.45, 1.45), ylim=(min(height.values()) - 0.5, -0.1))
        axes.axis("off")
        return drawing

    told = "; ".join(f"{row} {size(bytes_of(row, 'forward', *TOWERS[::-1]))}" for row in crossing_rows)
    picture(draw_towers(), "Two towers of boxes, from the pictures down to fc7, with fc8 under tower a. Gray arrows "
                           "stay in a tower; coloured ones cross, and are wider for more bytes. Forwards there cross, "
                           f"each way, and before fc8 only from b to a: {told}.")
    return


@app.cell
def _(batch, bytes_of, crossing_rows, total, width):
    say(f"""
        The same in numbers, at 1/{1 / width:.0f} of the width and with {batch} picture{'s' * (batch > 1)}. In backward
        the gradient of every copy, which has the same size, travels the other way:

    """, table(["before", "0 → 1", "1 → 0", "back 1 → 0", "back 0 → 1"],
               [[row, *(size(bytes_of(row, phase, *ends)) for phase in ("forward", "backward")
                        for ends in ((TOWERS, TOWERS[::-1]) if phase == "forward" else (TOWERS[::-1], TOWERS)))]
                for row in crossing_rows]), f"""
        Together that is {size(total)}. The last layer, fc8, lives on cpu(0) alone, so before it only tower b has
        something to send. The pictures themselves are not counted: they come from outside, and each device gets its own
        copy. Weights never cross.
    """)
    return


@app.cell
def _(batch, step, total, weights, width):
    def numbers_of_one_image(width):
        """How many numbers cross forwards before each row: (each way, how many ways)."""
        def n(full):
            return round(full * width)

        return {"conv3": (n(128) * 13 * 13, 2), "fc6": (n(128) * 6 * 6, 2), "fc7": (n(2048), 2), "fc8": (n(2048), 1)}

    def bytes_of_a_step(width, batch):
        return sum(each * ways for each, ways in numbers_of_one_image(width).values()) * 4 * batch * 2

    assert bytes_of_a_step(width, batch) == total
    assert step.shapes["conv2"][2:] == (13, 13)  # what conv3 reads
    full = {row: (each * 4 * 128 / 1e6, ways) for row, (each, ways) in numbers_of_one_image(1).items()}
    full_total = bytes_of_a_step(1, 128)
    assert [round(full[row][0], 2) for row in ("conv3", "fc6", "fc7", "fc8")] == [11.08, 2.36, 1.05, 1.05]
    assert round(full_total / 1e6, 1) == 60.0
    everywhere = full_total + 2 * 4 * 128 * 2 * (48 * 27 * 27 + 2 * 192 * 13 * 13)  # before conv2, conv4, conv5 as well

    say(f"""
        ## The whole AlexNet

        You can also work this out from the shapes. Before conv3 each tower sends its maps, 128·13·13 numbers; before
        fc6 it sends 128·6·6, and before fc7 its 2048 units. Before fc8 only tower b sends its 2048. All of these are
        times the width. Add up what both towers send, and multiply by 4 bytes, by the number of pictures, and by 2 for
        backward. At width 1/{1 / width:.0f} and batch {batch} this gives
        {bytes_of_a_step(width, batch):,} bytes, exactly what the ledger says. At full width, with the paper's 128
        pictures:

    """, table(["before", "MB each way", "ways", "MB in a step"],
               [[row, f"{each:.2f}", ways, f"{2 * ways * each:.2f}"] for row, (each, ways) in full.items()]), f"""
        That makes **{full_total / 1e6:.1f} MB in a step.** If every convolution after the first one read both towers,
        it would be {everywhere / 1e6:.0f} MB, {everywhere / full_total:.1f} times as much. And if the *pictures* were
        divided instead of the network, each device would hold all {weights:,} parameters and send the gradients of all
        of them: twice {weights * 4 / 1e6:.0f} MB. That number is the same for every batch, while what the towers send
        grows with the batch.
    """)
    return


@app.cell
def _():
    CONVOLUTIONS = {  # as one network: two towers that do not see each other are two groups
        "conv1": {"stride": 4, "padding": ((0, 3), (0, 3))}, "conv2": {"padding": 2, "groups": 2},
        "conv3": {"padding": 1}, "conv4": {"padding": 1, "groups": 2}, "conv5": {"padding": 1, "groups": 2},
    }

    def joined(arrays):
        """What both towers hold, the kernels of b after those of a, by the names of the one network."""
        one = {name: array for name, array in arrays.items() if name.startswith("fc8")}
        for name, array in arrays.items():
            if name.startswith("a."):
                one[name[2:].replace(".0.", ".")] = np.concatenate([array, arrays["b" + name[1:]]])
        return one

    def one_network(w, x, counters):
        for name, settings in CONVOLUTIONS.items():
            x = ops.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **settings).relu()
            if name in ("conv1", "conv2", "conv5"):
                half = x.shape[1] // 2  # responses compete inside a tower
                x = ops.concatenate(*(ops.local_response_norm(part) for part in (x[:, :half], x[:, half:])), axis=1)
                x = ops.max_pool2d(x)
        x = x.flatten()
        for name, counter in zip(("fc6", "fc7"), counters, strict=True):
            x = ops.dropout(ops.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]).relu(), counter)
        return ops.linear(x, w["fc8.weight"], w["fc8.bias"])

    def both_networks(dtype, devices=TOWERS):
        """(output and gradients of the towers, joined; those of the one network), from the same weights."""
        manual_seed(0)
        net = alexnet(classes=CLASSES, devices=devices, width=1 / 16)
        for module in net.modules():  # parameters in this precision
            for name, value in list(vars(module).items()):
                if isinstance(value, Tensor) and value.requires_grad:
                    setattr(module, name, Tensor(value, dtype=dtype, requires_grad=True, device=value.device))
        random = np.random.default_rng(0)
        images, labels = random.standard_normal((2, 3, 224, 224)).astype(dtype), random.integers(0, CLASSES, 2)
        counters = [row.layers[-1].counter.numpy().copy() for row in (net.a.fc6, net.a.fc7)]
        values = {name: p.numpy() for name, p in net.named_parameters()}
        one = {name: Tensor(value, requires_grad=True) for name, value in joined(values).items()}
        results = []
        for y in (net(images), one_network(one, images, counters)):
            ops.cross_entropy(y, labels).backward()
            results.append({"output": y.numpy()})
        results[0] |= joined({name: p.grad.numpy() for name, p in net.named_parameters()})
        results[1] |= {name: w.grad.numpy() for name, w in one.items()}
        return results

    def apart(results):
        """The largest difference of each array, in units of its largest element."""
        return {name: np.abs(x - results[1][name]).max() / np.abs(x).max() for name, x in results[0].items()}

    double, single = both_networks(np.float64), both_networks(np.float32)
    here = both_networks(np.float64, (cpu(0), cpu(0)))
    off_double, off_single = apart(double), apart(single)
    assert len(off_double) == 17
    assert max(off_double.values()) < 1e-12
    assert 1e-8 < max(off_single.values()) < 1e-5
    assert all((double[0][name] == here[0][name]).all() for name in here[0])
    bitwise = [name for name, off in off_single.items() if not off]
    forth, back = (0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)
    assert forth != back
    say("""
        ## Two towers are one network with two groups

        In a convolution with `groups=2`, half of the kernels read half of the maps, and the other half read the rest.
        That is just what two towers do that do not see each other. So if we put the weights of tower b behind those of
        tower a, we get one network on one device, with groups in conv2, conv4 and conv5, and with a
        normalisation that stops where tower b begins. Here it is built from ops, at
        1/16 of the width, with the same weights and the same dropout: the units of tower b are counted on from where
        those of a end (chapter 9). The table shows the largest difference in each gradient, as a share of its largest
        element:

    """, table(["", "double precision", "single precision"],
               [[name, *(f"{off[name]:.0e}" if off[name] else "0" for off in (off_double, off_single))]
                for name in off_double if "bias" not in name]), f"""
        In double precision all {len(off_double)} arrays, including the biases, agree within 10⁻¹²
        ({max(off_double.values()):.0e}); in single precision, within 10⁻⁵ ({max(off_single.values()):.0e}). In single
        precision, {len(bitwise) or 'none'} of them {'is' if len(bitwise) == 1 else 'are'} equal bit by bit. That is no
        mistake. A product of larger matrices adds the same terms up in another order, and with rounding the order
        matters: (0.1 + 0.2) + 0.3 = {forth!r}, but 0.1 + (0.2 + 0.3) = {back!r}. A wrong formula would already show in
        the first digits, and in double precision as much as in single.

        What *must* be equal to the last bit is equal: the two towers on cpu(0) and cpu(1), and both of them on cpu(0).
        Copying does not round.
    """)
    return


@app.cell
def _():
    SMALL, PICTURES = 1 / 16, 6

    def numbers(classes, width):
        """Of AlexNet: weights and biases of the convolutions, of the fc layers, and what is seen of an image in these:
        what comes to fc6, fc7 and fc8, and the logits."""
        shapes = VARIANTS["blueprint"].shapes(classes, width)
        sizes = {name: math.prod(shape) + shape[0] for name, shape in shapes.items()}
        fc = ("fc6", "fc7", "fc8")
        seen = shapes["fc6"][1] + sum(shapes[name][0] for name in fc)
        return sum(sizes.values()) - sum(sizes[name] for name in fc), sum(sizes[name] for name in fc), seen

    conv, fc, seen = numbers(1000, 1.0)
    say(f"""
        ## More devices: divide the pictures, or the network?

        Two towers are for two GPUs and no more. To train on many GPUs, in one machine or in several, most programs
        divide the *pictures*. Each of the processes, which are called **ranks**, has the whole network and gets a part
        of every batch. The gradient of a sum is the sum of the gradients, so the ranks add up theirs, and then all take
        the same step. But this means that in every step the gradients of all parameters have to travel.

        Now look at where AlexNet's parameters are. The convolutions have {conv:,} of them, {conv / (conv + fc):.1%},
        and do nine tenths of the work; fc6, fc7 and fc8 have the other {fc:,}. A kernel slides over many places, so its
        weights do much work for every byte that is sent. A weight of fc6 is used only once for each picture, and yet
        its gradient costs just as many bytes. That is why Krizhevsky (2014, *One weird trick for parallelizing
        convolutional neural networks*) divides the pictures in the convolutions, but the *units* from fc6 on. A rank
        then holds the weights of its own units. No other rank has them, so their gradients need not travel.

        What has to travel instead is the input of these layers: before fc6, fc7 and fc8 every rank gets the maps or
        units of all pictures, {seen:,} numbers a picture, including the logits. This is one op, `gather_over_ranks`.
        Forwards it puts the parts of all ranks side by side. Backwards it adds up the gradients of all ranks, and each
        rank takes its own slice. It is how the two towers are joined, and it is what your exercise below is about.

        Try it: the ranks here are threads of this program. They take one step with {PICTURES} pictures, at
        1/{1 / SMALL:.0f} of the width.
    """)
    return PICTURES, SMALL, conv, fc, numbers, seen


@app.cell
def _():
    rank_slider = mo.ui.slider(2, 4, value=2, label="ranks", show_value=True)
    rank_slider
    return (rank_slider,)


@app.cell
def _(PICTURES, SMALL, numbers, rank_slider):
    class Rank(Ranks):
        """One of several, each a thread here: they wait for each other, and then see what all of them gave."""

        def __init__(self, number, meeting, table):
            self.rank, self.size, self.meeting, self.table = number, len(table), meeting, table

        def gather(self, value):
            self.table[self.rank] = value
            self.meeting.wait()
            values = list(self.table)
            self.meeting.wait()
            return values

        def all_reduce(self, array):
            total = sum(self.gather(array))
            self.meeting.wait()  # until all have added up
            array[...] = total

    def together(count, work):
        """What work(rank) returns for each of so many ranks."""
        meeting, table = Barrier(count, timeout=60), [None] * count
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda number: work(Rank(number, meeting, table)), range(count)))

    def a_step(ranks, split):
        """A step of AlexNet, each rank with its pictures: all that is learned, and what this rank has sent for it."""
        net = alexnet(classes=CLASSES, width=SMALL, generator=np.random.default_rng(0))
        if split:
            Split(net, ranks)
        step = ParallelStep(Step(net, SGD(net.named_parameters())), ranks)
        random = np.random.default_rng(1)
        images = random.standard_normal((PICTURES, 3, 224, 224)).astype(np.float32)
        labels = random.integers(0, CLASSES, PICTURES)
        step.of([(images[cut], labels[cut]) for cut in step.share.cuts(PICTURES)])
        return step.learned(), ranks.sent

    def bytes_sent(pictures, count, split, classes=1000, width=1.0):
        """What a rank sends in a step: gradients, and twice, forward and back, what the fc layers see."""
        conv, fc, seen = numbers(classes, width)
        added_up = 2 * (count - 1) / count * 4 * (conv if split else conv + fc)
        return added_up, 2 * (count - 1) / count * 4 * pictures * seen if split else 0.0

    count = int(rank_slider.value)
    alone, divided = (together(count, lambda ranks, split=split: a_step(ranks, split)) for split in (False, True))
    apart_by = max(np.abs(array - alone[0][0][name]).max() / np.abs(array).max()
                   for name, array in divided[0][0].items() if np.abs(array).max())
    assert apart_by < 1e-5
    of_all = [sum((sent for _, sent in every), Counter()) for every in (alone, divided)]
    for sent, split in zip(of_all, (False, True), strict=True):  # the ledgers of all ranks, held against the shapes
        sums, both_ways_of_all = (count * n for n in bytes_sent(PICTURES, count, split, CLASSES, SMALL))
        assert abs(sent["gradients"] - sums) <= 2 * count  # whole bytes are counted
        assert sent["forward"] == sent["backward"] == round(both_ways_of_all / 2)

    say(f"""
        Each rank keeps a ledger, `ranks.sent`. This is what the {count} ranks have sent together:
    """, table(["what is divided", "gradients", "forward", "backward"],
               [[words, *(size(sent[kind]) for kind in ("gradients", "forward", "backward"))]
                for words, sent in zip(("pictures", "pictures, then units"), of_all, strict=True)]), f"""
        Both ways learn the same: after the step, the weights, and the moves that momentum repeats (the velocities),
        differ by rounding only, at most by {apart_by:.0e} of the largest.
    """)
    return (bytes_sent,)


@app.cell
def _(bytes_sent, conv, fc, seen):
    def draw_bytes():
        drawing = figure(5.6, 4.2)
        axes = drawing.subplots()
        many = 2.0 ** np.arange(4, 14.1, 0.25)
        for colour, count in enumerate((2, 4, 16)):
            for split in (False, True):
                sent = [sum(bytes_sent(pictures, count, split)) / 1e6 for pictures in many]
                axes.plot(many, sent, color=f"C{colour}", linestyle="-" if split else "--",
                          label=f"{count} ranks" if split else None)
        axes.axvline(even, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(f"{even:,.0f} pictures", (even, 11), (-4, 0), textcoords="offset points", fontsize=10, ha="right")
        axes.text(many[0], 480, "pictures divided", fontsize=10, va="bottom")
        axes.text(many[0], 9.4, "pictures, then units", fontsize=10, va="top")
        axes.set_xscale("log", base=2)
        axes.set(xlabel="pictures in a batch", ylabel="MB that a rank sends in a step", yscale="log", ylim=(5, 2500))
        axes.set_xticks([16, 128, 1024, 8192], ["16", "128", "1,024", "8,192"])
        axes.set_yticks([10, 100, 1000], ["10", "100", "1,000"])
        axes.legend(loc="upper left", fontsize=10)
        return drawing

    even = fc / seen  # where 2 · 4 · fc bytes of gradients are as many as 2 · 4 · seen for each picture
    plain = sum(bytes_sent(128, 2, False)) / 1e6
    added_up, activations = (n / 1e6 for n in bytes_sent(128, 2, True))
    assert [round(x, 1) for x in (plain, added_up, activations)] == [243.9, 9.3, 9.4]
    assert abs(4 * (conv + fc) / 1e6 - plain) < 0.1
    assert all(np.isclose(sum(bytes_sent(even, n, True)), sum(bytes_sent(even, n, False))) for n in (2, 4, 16))
    mo.vstack([
        say("""
            To add up an array over n ranks, each of them sends 2 (n − 1) / n times its bytes. To exchange the inputs,
            and their gradients on the way back, each sends 2 (n − 1) / n times theirs, too. So more ranks send more,
            but the two ways cost the same at the same batch, however many ranks there are:
        """),
        picture(draw_bytes(), f"Megabytes that a rank sends in a step, against the number of pictures in a batch, for "
                              f"2, 4 and 16 ranks. If pictures are divided it is a flat line, {plain:.0f} MB for two "
                              f"ranks. If units are divided from fc6 on it rises with the batch, from {added_up:.1f} "
                              f"MB, and meets the flat line at {even:,.0f} pictures, for any number of ranks."),
    ])
    return activations, added_up, even, plain


@app.cell
def _(activations, added_up, even, plain):
    say(f"""
        At full width, with two ranks and 128 pictures, {plain:.0f} MB in a step become {added_up:.1f} MB of gradients
        and {activations:.1f} MB of inputs. Over a network of 1 Gbit/s this takes
        {(added_up + activations) / 125:.2f} s instead of {plain / 125:.1f} s.

        The gradients are the same number of bytes for every batch, but the inputs grow with it. From {even:,.0f}
        pictures on, dividing the units costs more than it saves; {even:,.0f} is the number of parameters of the fully
        connected layers, divided by the number of their inputs for one picture. The trick suits AlexNet. A network
        whose last layers are small gains nothing from it. It also has a price: no rank has the whole network any more,
        so all of them are needed to save it.

        To train like this: `mpiexec -n 4 python examples/train_alexnet.py DATA --split-fc`.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy_a, gy_b, C):
    # both towers read y = (a, b), joined along the channels; a has C of them.
    # gy_a is what reached y in tower a, gy_b what reached its copy in tower b.
    ga = gy_a[:, :C]
    gb = gy_b[:, C:]
    return ga, gb
'''
    answer = start.replace("ga = gy_a[:, :C]", "ga = gy_a[:, :C] + gy_b[:, :C]")
    answer = answer.replace("gb = gy_b[:, C:]", "gb = gy_a[:, C:] + gy_b[:, C:]")
    tries = {
        "mend tower a alone": start.replace("ga = gy_a[:, :C]", "ga = gy_a[:, :C] + gy_b[:, :C]"),
        "take only what crosses": start.replace("gy_a[:, :C]", "gy_b[:, :C]").replace("gy_b[:, C:]", "gy_a[:, C:]"),
        "the mean of both": answer.replace("gy_a[:, :C] + gy_b[:, :C]", "(gy_a[:, :C] + gy_b[:, :C]) / 2"),
    }

    def check(backward):
        random = np.random.default_rng(0)
        a, b = random.normal(size=(2, 2, 3, 3)), random.normal(size=(2, 3, 3, 3))

        def towers(a, b):
            y = np.concatenate((a, b), axis=1)
            return np.stack((y, y))  # what tower a reads, what tower b reads

        def engine(a, b):
            ys = [ops.concatenate(a.to(device), b.to(device), axis=1) for device in TOWERS]
            return ops.concatenate(ys[0], ys[1].to(TOWERS[0]))

        gradcheck(engine, Tensor(a, device=TOWERS[0]), Tensor(b, device=TOWERS[1]))
        gradcheck(towers, a, b, backward=lambda gy, a, b: backward(gy[0], gy[1], a.shape[1]))

    asked = "backward"
    say("""
        ## Exercise

        Before conv3 the maps a of one tower and the maps b of the other are joined, once on each device. Joining moves
        numbers but does not change them, so its backward cuts the gradient at the place where the maps were joined. In
        the backward below, each tower keeps only the gradient from its own device, and nothing crosses back. Mend it.
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
