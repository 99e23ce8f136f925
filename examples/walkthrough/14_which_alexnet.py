"""Chapter 14: which AlexNet? What the variants are, and why people got 57 % where the paper has 59."""

import marimo

app = marimo.App(app_title="14 · Which AlexNet?")

with app.setup:
    from typing import NamedTuple

    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from matplotlib.patches import Rectangle
    from page import answer_box, attempt, figure, one_answer, picture, say, table
    from PIL import Image, ImageDraw

    from minicnn import Tensor, gradcheck, nn, no_grad, ops
    from minicnn.data import read_picture
    from minicnn.data.picture import SIDE, square
    from minicnn.models import RECIPES, VARIANTS, alexnet
    from minicnn.models.differences import FACTS
    from minicnn.ops.window import sides


@app.cell
def _():
    class Result(NamedTuple):
        """One network's share of right first guesses, in %, of a set of pictures, each looked at so many times."""

        name: str
        images: str
        views: int
        right: float
        source: str

    NET_145 = "AlexNet-Source-Code, layer-params-145"
    WIKI = "cuda-convnet2, wiki: TrainingExample"
    RESULTS = [
        Result("the paper's, net 145", "2010", 10, 100 - 37.473, f"{NET_145}-2010.cfg; paper, Table 1"),
        Result("the paper's, net 145", "2010", 1, 100 - 39.025, f"{NET_145}-2010.cfg; paper, §6"),
        Result("the paper's, net 145", "2012", 10, 100 - 40.664, f"{NET_145}.cfg; paper, Table 2"),
        Result("one tower, the author's", "2012", 10, 100 - 40.420, WIKI),
        Result("one tower, the author's", "2012", 1, 100 - 42.548, WIKI),
        Result("Torch, one tower", "2012", 1, 57.5, "soumith's imagenet-multiGPU.torch, README"),
        Result("CaffeNet", "2012", 1, 57.4, "BVLC/caffe, readme of CaffeNet"),
        Result("Caffe's AlexNet", "2012", 1, 57.1, "BVLC/caffe, readme of AlexNet"),
        Result("torchvision", "2012", 1, 56.522, "PyTorch docs, torchvision"),
        Result("torchvision's, again", "2012", 1, 56.064, "csm-kr's alexnet_pytorch, README"),
        Result("neon, no normalisation", "2012", 1, 56.0, "gist nervetumer 64fe5ea"),
    ]

    def right(name, views, images="2012"):
        (found,) = (r.right for r in RESULTS if (r.name, r.views, r.images) == (name, views, images))
        return found

    def draw_results():
        drawing = figure(5.5, 4)
        axes = drawing.subplots()
        names = [*dict.fromkeys(r.name for r in RESULTS if r.images == "2012")]
        for name in names:
            mine = [r for r in RESULTS if r.name == name and r.images == "2012"]
            y = names.index(name)
            axes.plot([r.right for r in mine], [y] * len(mine), "-", color="0.6", zorder=1)
            for r in mine:
                axes.plot(r.right, y, "o", ms=9, mec="C0", mfc="C0" if r.views == 10 else "white")
        for views in (1, 10):
            axes.plot([], [], "o", ms=9, mec="C0", mfc="C0" if views == 10 else "white", ls="",
                      label="one view" if views == 1 else "ten views")
        axes.set(yticks=range(len(names)), yticklabels=names, xlabel="right at the first guess, %", xlim=(55, 61))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="lower right")
        return drawing

    gap = right("the paper's, net 145", 10) - right("Caffe's AlexNet", 1)
    gains = (right("the paper's, net 145", 10, "2010") - right("the paper's, net 145", 1, "2010"),
             right("one tower, the author's", 10) - right("one tower, the author's", 1))
    shares = [gain / gap for gain in gains]
    once = [r.right for r in RESULTS if (r.views, r.images) == (1, "2012")]
    ten, older = right("the paper's, net 145", 10), right("the paper's, net 145", 10, "2010")
    assert max(once) < ten and 0.6 < shares[0] < shares[1] < 1
    assert (f"{ten:.1f}", f"{older:.1f}") == ("59.3", "62.5")  # as the paper prints them
    mo.vstack([say(f"""
        # 14 · Which AlexNet?

        There are many networks called AlexNet. They differ, and so do their results. The paper's network is right about
        {ten:.1f} % of the validation pictures of ILSVRC 2012. That is the yearly contest on *ImageNet*: 1.2 million
        photographs of 1,000 classes to learn from, and 50,000 others, the validation pictures, to be tested on. Others
        report {min(once):.0f} to {max(once):.1f} %, and some 54 %, and ask what they did wrong (BVLC/caffe#843, #3837).
        Most of the gap has nothing to do with the networks.
    """), picture(draw_results(), "Shares of right first guesses on ILSVRC 2012, in %: " + "; ".join(
        f"{r.name}, {r.views} view{'s' * (r.views > 1)}, {r.right:.1f}" for r in RESULTS if r.images == "2012") + "."),
        say(f"""
        ## One view or ten?

        The paper looks at each picture ten times, at its four corners and its middle, each also mirrored, and averages
        the probabilities (§4.1). Nearly everybody else looks once, at the middle. How much that matters has been
        measured twice: {gains[0]:.2f} points for the paper's network on ILSVRC 2010, and {gains[1]:.2f} points for a
        network with one tower by the same author on ILSVRC 2012.

        Caffe's {right("Caffe's AlexNet", 1):.1f} % with one view and the paper's {ten:.1f} % with ten are {gap:.2f}
        points apart. So, depending on which measurement you take, **{shares[0]:.0%} to {shares[1]:.0%} of the gap comes
        from the way of testing**. With one view the paper's network would be right about {ten - gains[1]:.1f} to
        {ten - gains[0]:.1f} %, but that result was never published. Its {older:.1f} % belongs to another set of
        pictures, that of ILSVRC 2010.

    """, table(["network", "views", "right, %", "source"], [
            [r.name + ", ILSVRC 2010" * (r.images == "2010"), r.views, f"{r.right:.2f}", r.source]
            for r in RESULTS]), """
        AlexNet-Source-Code is the authors' own program, published in 2025 by the Computer History Museum
        (computerhistory on GitHub). cuda-convnet2 is by akrizhevsky.
    """)])
    return gains, gap, right


@app.cell
def _():
    first = mo.ui.dropdown(list(VARIANTS), value="paper", label="this one")
    second = mo.ui.dropdown(list(VARIANTS), value="caffe", label="beside")
    mo.vstack([say(f"""
        ## Two of them, side by side

        minicnn has {len(VARIANTS)} variants as data (`minicnn/models/variants.py`). `python -m minicnn variants` prints
        what distinguishes them, with the source of every fact. *blueprint*, the default, is a summary of the paper with
        one more normalisation, in block 5. *source2012* is the authors' program, *caffe* and *caffenet*
        are Caffe's two. Choose two:
    """), mo.hstack([first, second], justify="start", wrap=True)])
    return first, second


@app.cell
def _():
    def run(name):
        """{stage: what comes out, "maps × rows × columns"} of a variant: the convolutions, the blocks of which they are
        the first layer, and the linear layers. A narrow net is run; the maps are those of the whole one."""
        variant = VARIANTS[name]
        maps = {row.name: row.maps * variant.towers for row in variant.rows if row.maps}
        found = {"crop": f"3 × {variant.pixels} × {variant.pixels}"}
        for cost in alexnet(name, width=1 / 16, generator=np.random.default_rng(0)).costs():
            tower, _, row = cost.name.rpartition(".")[0].rpartition(".")
            stage = row if cost.layer in ("Conv2d", "Linear") else f"block {row[-1:]}"
            if tower == "a" and len(cost.output) == 3:
                found[stage] = " × ".join(map(str, (maps[f"conv{row[-1]}"], *cost.output[1:])))
            elif tower == "a" and cost.layer == "Linear":
                found[row] = f"{maps[row]:,}"
        return {stage: of for stage, of in found.items() if stage not in ("block 3", "block 4")} | {"fc8": "1,000"}

    OUTPUTS = {name: run(name) for name in VARIANTS}
    return (OUTPUTS,)


@app.cell
def _(OUTPUTS, first, second):
    one, other = VARIANTS[first.value], VARIANTS[second.value]
    assert all(OUTPUTS[name]["block 5"] == "256 × 6 × 6" for name in VARIANTS)  # 9,216 in all of them
    differ = [fact for fact in FACTS if FACTS[fact](one) != FACTS[fact](other)]
    same = ", ".join(fact for fact in FACTS if fact not in differ)
    say(f"""
        {first.value} and {second.value} differ in **{len(differ)} of {len(FACTS)}** facts{":" if differ else "."}

    """, table(["", first.value, second.value], [[fact, FACTS[fact](one), FACTS[fact](other)] for fact in differ])
        if differ else "", f"The same in both: {same}." if same else "", """
        The sizes of their outputs, as maps × rows × columns. A block is a convolution with everything up to the next
        one:

    """, table(["", first.value, second.value, ""], [
        [stage, of, OUTPUTS[second.value][stage], "" if of == OUTPUTS[second.value][stage] else "differ"]
        for stage, of in OUTPUTS[first.value].items()]))
    return


@app.cell
def _():
    pixels = mo.ui.slider(steps=[224, 227], value=224, label="pixels of the crop", show_value=True)
    before = mo.ui.slider(0, 4, value=0, label="zeros before", show_value=True)
    behind = mo.ui.slider(0, 4, value=0, label="zeros behind", show_value=True)
    rounded = mo.ui.dropdown(["down", "up"], value="down", label="the number of places is rounded")
    mo.vstack([say("""
        ## 224 pixels, and 54, 55, 56 or 57 places

        The first convolution slides a window over the picture. How many places the window has depends on the zeros that
        are added at both ends, and on what is done with a place that is only partly there.
    """), pixels, before, behind, rounded])
    return before, behind, pixels, rounded


@app.cell
def _(before, behind, pixels, rounded):
    SIZE, STRIDE = 11, 4
    for _variant in VARIANTS.values():
        assert (_variant.rows[0].size, _variant.rows[0].stride) == (SIZE, STRIDE)

    def count(pixels, before, behind, up):
        """How many places the windows of conv1 have along one side. The engine counts them; up: it gets the zeros that
        fill the last one."""
        beyond = (SIZE - pixels - before - behind) % STRIDE if up else 0
        x = Tensor(np.ones((1, 1, pixels, SIZE)))
        P = ops.conv2d(x, Tensor(np.ones((1, 1, SIZE, SIZE))), stride=STRIDE,
                       padding=((before, behind + beyond), (0, 0))).shape[2]
        assert (P - 1) * STRIDE + SIZE <= pixels + before + behind + beyond < P * STRIDE + SIZE
        return P

    def draw_ends(P):
        """The first and the last windows, each on a line of its own, over pixels and zeros."""
        drawing = figure(5.5, 2.9)
        ends = drawing.subplots(1, 2, sharey=True)
        last = int(pixels.value)
        for axes, shown, low in ((ends[0], range(4), -7), (ends[1], range(P - 4, P), last - 24)):
            axes.axvspan(0, last, color="0.85")
            for i, p in enumerate(shown):
                left = p * STRIDE - int(before.value)
                axes.barh(i, SIZE, left=left, color="C0" if left >= 0 and left + SIZE <= last else "C1")
                axes.text(left + SIZE / 2, i, str(p), ha="center", va="center", color="white")
            axes.set(xlim=(low, low + 33), ylim=(3.6, -0.6), yticks=[], xlabel="pixel")
        ends[0].set_title("the first four")
        ends[1].set_title("the last four")
        return drawing

    places = count(pixels.value, before.value, behind.value, rounded.value == "up")
    end = (places - 1) * STRIDE - before.value + SIZE
    reach = (f"ends {end - pixels.value} pixels beyond the picture, in zeros" if end > pixels.value else
             "ends at the last pixel" if end == pixels.value else
             f"leaves {pixels.value - end} pixel{'s' * (pixels.value - end > 1)} at the end unused")
    mo.vstack([picture(draw_ends(places), f"The first four and the last four of {places} windows over {pixels.value} "
                       f"pixels, which are grey. The last one {reach}; windows that reach into zeros are orange."),
               say(f"""
        The windows are {SIZE} × {SIZE} pixels and {STRIDE} apart. On {pixels.value} pixels, with {before.value} zeros
        before and {behind.value} behind, there are ({pixels.value} + {before.value + behind.value} − {SIZE}) /
        {STRIDE} + 1 =
        {(pixels.value + before.value + behind.value - SIZE) / STRIDE + 1:g} places, rounded {rounded.value}
        **{places}**. The last window {reach}.
    """)])
    return (count,)


@app.cell
def _(count):
    READ = [  # who, pixels, zeros before and behind, whether a part is rounded up
        ("the paper's text; TensorFlow's VALID", 224, 0, 0, False),
        ("the authors' program: rounded up", 224, 0, 0, True),
        ("minicnn: its zeros", 224, 0, 3, False),
        ("torchvision", 224, 2, 2, False),
        ("one zero on each side", 224, 1, 1, False),
        ("TensorFlow's SAME", 224, 3, 4, False),
        ("Caffe", 227, 0, 0, False),
        ("Caffe's crop, TensorFlow's SAME", 227, 4, 4, False),
    ]

    def pooled(side):
        """The sides after the three poolings, of windows of 3, 2 apart."""
        found = [side]
        for _ in range(3):
            found.append(ops.max_pool2d(Tensor(np.zeros((1, 1, found[-1], found[-1]))), size=3, stride=2).shape[2])
        return found[1:]

    lines = [[who, size, f"{a}, {b}", count(size, a, b, up), ", ".join(map(str, pooled(count(size, a, b, up))))]
             for who, size, a, b, up in READ]
    by_name = {who: line for (who, *_), line in zip(READ, lines, strict=True)}
    assert [line[3] for line in lines] == [54, 55, 55, 55, 54, 56, 55, 57]
    assert {line[3] for line in lines if line[4].endswith(" 6")} == {55, 56, 57}
    for _name, _who in (("paper", "minicnn: its zeros"), ("torchvision", "torchvision"), ("caffe", "Caffe")):
        (_a, _b), _ = sides("conv1", VARIANTS[_name].rows[0].padding)
        assert by_name[_who][1:3] == [VARIANTS[_name].pixels, f"{_a}, {_b}"]
    say("""
        The paper says 224 pixels, says nothing about padding, and draws 55 × 55 places. But 224 − 11 is not a multiple
        of 4, so these numbers do not fit together. The authors' program rounds the number of places **up**, and what
        lies outside the picture counts as 0. Others have solved it in their own ways:

    """, table(["who", "pixels", "zeros", "places", "after the poolings"], lines), f"""
        This matters for two reasons. First, fc6 has weights for 256 × 6 × 6 = {256 * 6 * 6:,} inputs, and 54 places
        leave only 256 × 5 × 5 = {256 * 5 * 5:,}. If you follow the text to the letter, you have to make up for it
        somewhere else. Caffe's AlexNet in ONNX's collection does so with a zero behind the last pooling. Second,
        weights that were trained with three zeros, or with three rows of real pixels, see something else in the other
        network. How many points one place more or less is worth is not known.
    """)
    return


@app.cell
def _():
    loudness = mo.ui.slider(steps=[0.0, 0.25, 0.5, 1.0, 2.0], value=0.5, show_value=True,
                            label="the four neighbours, in units of x")
    mo.vstack([say("""
        ## One formula, three normalisations

        All use y = x / (k + α Σ x²)^β over five neighbouring channels, but not with the same constants. What does each
        of them make of the same x? It depends on how large the neighbours are:
    """), loudness])
    return (loudness,)


@app.cell
def _(loudness):
    NORMS = {}  # the settings, and who has them
    for _name, _variant in VARIANTS.items():
        NORMS.setdefault(_variant.norm, []).append(_name)

    def left_of(x, norm):
        """What normalisation makes of x, by the engine, where the four neighbours are so loud."""
        if norm is None:
            return x
        column = np.stack([x * loudness.value] * 5, axis=1)[..., None, None]  # (N, 5, 1, 1)
        column[:, 2, 0, 0] = x
        size, alpha, beta, k = norm
        y = ops.local_response_norm(Tensor(column), size=size, alpha=alpha, beta=beta, k=k).numpy()[:, 2, 0, 0]
        assert np.allclose(y, x / (k + alpha * x**2 * (1 + 4 * loudness.value**2)) ** beta, rtol=1e-12)
        return y

    def title(norm):
        return "none" if norm is None else f"α {norm.alpha:g}, k {norm.k:g}"

    def draw_norms():
        drawing = figure(5.5, 3.8)
        axes = drawing.subplots()
        x = np.linspace(0, 400, 201)
        for norm, style in zip(NORMS, ("-", "--", "-.", ":"), strict=True):
            axes.plot(x, left_of(x, norm), style, lw=2, label=f"{title(norm)}:\n{', '.join(NORMS[norm])}")
        axes.set(xlabel="x, what ReLU lets through", ylabel="y", ylim=(0, 250))
        axes.grid(alpha=0.3)
        drawing.legend(loc="outside upper center", ncols=2)
        return drawing

    at = np.array([1.0, 10.0, 100.0, 400.0])
    shares_left = {norm: left_of(at, norm) / at for norm in NORMS}
    paper, program, caffe = (VARIANTS[name].norm for name in ("paper", "source2012", "caffe"))
    assert abs(paper.alpha / program.alpha - program.size) < 1e-9 and program.alpha == caffe.alpha
    weakest = 2**0.75
    assert abs(shares_left[caffe][0] / shares_left[paper][0] - weakest) < 1e-3

    def crossing(channels, norm):
        """In how many channels of two towers it shows whether the windows stop at the cut."""
        x, layer = np.random.default_rng(14).random((1, channels, 1, 1)) * 100, nn.LocalResponseNorm(*norm)
        each = [layer(Tensor(half)).numpy() for half in np.split(x, 2, axis=1)]
        return int((np.abs(layer(Tensor(x)).numpy() - np.concatenate(each, axis=1)) > 1e-12).sum())

    cut = {channels: crossing(channels, caffe) for channels in (96, 256)}
    mo.vstack([picture(draw_norms(), "Curves of y against x from 0 to 400. What is left of x = 400: " + "; ".join(
        f"{title(norm)} ({', '.join(NORMS[norm])}) {400 * shares_left[norm][-1]:.0f}" for norm in NORMS) + "."),
        say(f"""
        The paper says α = {paper.alpha:g} and k = {paper.k:g}. The program with which the authors got their results
        divides α by {program.size}, the size of the window. So does Caffe, but there k is {caffe.k:g}. torchvision does
        not normalise at all. When each neighbour is {loudness.value:g} times as large as x, this is left of x:
    """, table(["x", *map(title, NORMS)], [
            [x, *(f"{shares_left[norm][i]:.1%}" for norm in NORMS)] for i, x in enumerate(at)]), f"""
        For a small x only k matters: with k = 2 it is divided by 2^0.75 = {weakest:.2f}, with k = 1 it is not changed.
        That is the same factor for all, so the next weights can make up for it. α decides at which size the competition
        begins. The networks also differ in where a window ends: in Caffe it reaches across the border between the
        towers. That changes {cut[96]} of 96 channels, and {cut[256]} of 256.
    """)])
    return


@app.cell
def _():
    NETS = [name for name, variant in VARIANTS.items() if variant.towers == 2]

    def photograph():
        """The middle of a photograph, 224 pixels, less the mean, (1, 3, 224, 224), and the same with zeros to the right
        and below."""
        pixels = read_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))[16:240, 16:240]
        x = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        x -= x.mean((2, 3), keepdims=True)
        return {224: x, 227: np.pad(x, ((0, 0), (0, 0), (0, 3), (0, 3)))}

    def ask(name, seen, weights=None):
        """(what block 1 gives, the logits, the weights) of a variant with these weights, or new ones."""
        net = alexnet(name, width=1 / 8, generator=np.random.default_rng(14)).eval()
        if weights:
            net.load_state_dict(weights)
        last, blocks = [row.name for row in VARIANTS[name].rows if row.name.endswith("1")][-1], []

        def see(layer, y):
            if any(layer is getattr(tower, last) for tower in net.towers()):
                blocks.append(y.numpy())

        with no_grad(), nn.forward_hook(see):
            logits = net(seen[net.pixels]).numpy()
        own = len(net.a.conv1.layers[0].weight)  # of these maps the neighbours' are cut off
        return np.concatenate([blocks[0][:, :own], blocks[1][:, -own:]], axis=1), logits, net.state_dict()

    def differ_by(y, right):
        """The length of their difference, in units of that of the right one; and what no common factor mends."""
        y, right = y.ravel().astype(np.float64), right.ravel().astype(np.float64)
        factor = (y @ right) / (y @ y)
        return [f"{np.linalg.norm(v - right) / np.linalg.norm(right):.1%}" for v in (y, factor * y)]

    def compare():
        seen = photograph()
        block, logits, weights = ask("paper", seen)
        for name in NETS:
            own_block, own_logits, _ = ask(name, seen, weights)
            assert own_block.shape == block.shape and VARIANTS[name].shapes() == VARIANTS["paper"].shapes()
            yield [name, *differ_by(own_block, block), *differ_by(own_logits, logits)]

    compared = list(compare())
    apart = {name: [float(cell[:-1]) for cell in cells] for name, *cells in compared}
    assert not any(apart["paper"]) and apart["blueprint"][0] == 0 < apart["blueprint"][2]
    assert all(min(apart[name]) > 5 for name in ("source2012", "caffe", "caffenet"))
    say("""
        ## The same weights in another network

        All variants with two towers have weights of the same shapes. So the weights of one fit into another, and no
        program complains; the network only guesses worse. In kratzert/finetune_alexnet_with_tensorflow#50 somebody gets
        50 % with Caffe's weights, and #15 reports that normalisation and pooling had changed places. Here all variants
        get the same random weights, with an eighth of the kernels, and see the same pixels of a photograph, with the
        paper's three zeros to the right and below where 227 pixels are needed. The table says how far their outputs are
        from those of the paper's network, and, as "at best", how far they are if all of them may be multiplied by the
        best common factor:

    """, table(["network", "block 1", "at best", "logits", "at best"], compared), """
        The order of the layers matters as well as the constants: caffe and caffenet have the same constants. But caffe
        normalises every place before pooling takes the largest of nine, and caffenet does it afterwards. In source2012
        the first normalisation comes before ReLU, so large negative outputs also count as loud neighbours. In short,
        weights need the network that they were trained in. `models.load` reads from the file which one it is, and asks
        if the file does not say.
    """)
    return


@app.cell
def _():
    shape = mo.ui.slider(steps=[0.5, 0.75, 1.0, 1.5, 2.0, 3.0], value=1.5, label="width : height", show_value=True)
    mo.vstack([say(f"""
        ## How much of a picture is seen

        Photographs are rarely square, but the input of a network is. The paper scales the short side to {SIDE} pixels
        and cuts out the middle. Caffe's own script squashes the whole picture into {SIDE} × {SIDE}. Then the network
        sees the middle of that.
    """), shape])
    return (shape,)


@app.cell
def _(shape):
    def drawn(ratio):
        """A picture of discs, of so many times its height in width."""
        width, height = (round(360 * ratio), 360) if ratio >= 1 else (360, round(360 / ratio))
        image = Image.new("RGB", (width, height), (235, 228, 205))
        pen = ImageDraw.Draw(image)
        across, down = max(1, round(width / 120)), max(1, round(height / 120))
        for i in range(across):
            for j in range(down):
                x, y, r = (i + 0.5) * width / across, (j + 0.5) * height / down, 46
                colour = (40 + 190 * i // across, 60 + 150 * j // down, 150)
                pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        return image

    def seen_of(image, name):
        """What a variant sees in the middle of a picture."""
        shown, size = VARIANTS[name].preprocessing, VARIANTS[name].pixels
        first = (SIDE - size) // 2
        return np.asarray(square(image, shown.fit, shown.filter))[first : first + size, first : first + size]

    def part(name, ratio):
        """The share of the width and of the height of a picture that a variant sees: by its numbers."""
        inner = VARIANTS[name].pixels / SIDE
        if VARIANTS[name].preprocessing.fit == "squash":
            return inner, inner
        return inner / max(ratio, 1), inner * min(ratio, 1)

    def measured(name, ratio):
        """The same, from a picture whose red grows from left to right, and whose green from top to bottom."""
        width, height = drawn(ratio).size
        red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
        ramp = seen_of(Image.fromarray(np.stack([red, green, red], 2).astype(np.uint8)), name).astype(float)
        return np.ptp(ramp[..., 0]) / 255, np.ptp(ramp[..., 1]) / 255

    ratio = float(shape.value)
    for _name in ("paper", "caffe"):
        for _ratio in (0.5, 1.0, 1.5, 3.0):
            assert np.allclose(measured(_name, _ratio), part(_name, _ratio), atol=0.02), (_name, _ratio)
    parts = {name: part(name, ratio) for name in ("paper", "caffe")}
    areas = {name: across * down for name, (across, down) in parts.items()}
    whole_square = min(ratio, 1 / ratio)

    def draw_crops():
        drawing = figure(5.5, 4.8)
        panels = drawing.subplot_mosaic([["all", "all"], ["paper", "caffe"]], height_ratios=[1.1, 1])
        image = drawn(ratio)
        panels["all"].imshow(image)
        for (name, (across, down)), colour, line in zip(parts.items(), ("C1", "black"), ("-", "--"), strict=True):
            size = across * image.width, down * image.height
            corner = ((image.width - size[0]) / 2, (image.height - size[1]) / 2)
            panels["all"].add_patch(Rectangle(corner, *size, fill=False, ec=colour, ls=line, lw=2.5))
            panels[name].imshow(seen_of(image, name))
            panels[name].set_title(f"{name}: {VARIANTS[name].pixels} pixels", color=colour)
        side = min(image.size)  # of the square, all of which ten views see
        corner = ((image.width - side) / 2, (image.height - side) / 2)
        panels["all"].add_patch(Rectangle(corner, side, side, fill=False, ec="C1", ls=":", lw=2.5))
        panels["all"].set_title("the picture")
        for axes in panels.values():
            axes.set(xticks=[], yticks=[])
        return drawing

    rounder = max(ratio, 1 / ratio)
    mo.vstack([picture(draw_crops(), f"A picture of discs, {ratio:g} times as wide as high, with what is seen of it "
                       f"outlined, and what two networks see: the paper's {areas['paper']:.0%}, with round discs; "
                       f"Caffe's {areas['caffe']:.0%}, with discs {rounder:.3g} times as long as wide."), say(f"""
        The paper's way shows the network {VARIANTS["paper"].pixels} pixels, which are **{areas["paper"]:.0%}** of this
        picture (orange). Caffe's shows {VARIANTS["caffe"].pixels} pixels, **{areas["caffe"]:.0%}** of it (dashed), but
        its discs are {rounder:.3g} times as long as wide.

        Ten views see the corners too. Together they see the whole square (dotted), here {whole_square:.0%} of the
        picture instead of {areas["paper"]:.0%}. Somebody trained Caffe's network twice, with squashed pictures and with
        cut ones, and both times got 54 point something percent (BVLC/caffe#843). It is another matter to show a network
        a different kind of picture than it was trained with. What that costs is not known, but you can avoid it:
        `models.load` knows what kind of pictures the weights were trained with.
    """)])
    return


@app.cell
def _(gains, gap, right):
    class Effect(NamedTuple):
        """A difference, and the first guesses that were wrong, in %, without it and with it, in the same test; or what
        is said of it without such figures."""

        what: str
        without: float | None
        with_it: float | None
        test: str
        source: str
        said: str = "not known"

    LAYERS = "AlexNet-Source-Code, layer-params-"
    EFFECTS = [
        Effect("one view instead of ten", 37.473, 39.025, "2010", f"{LAYERS}145-2010.cfg"),
        Effect("one view instead of ten, one tower", 40.420, 42.548, "2012", "cuda-convnet2, wiki: TrainingExample"),
        Effect("half of each convolution's kernels, one GPU", 37.473, 39.168, "2010, ten views",
               f"{LAYERS}145-half.cfg"),
        Effect("one tower with 64, 192, 384, 256 and 256 kernels", 40.664, 40.420, "2012, ten views",
               "the same wiki; its schedule is another"),
        Effect("towers that never see each other", 40.664, 41.828, "2012, ten views", f"{LAYERS}150.cfg"),
        Effect("no normalisation at all", 40.664, 42.034, "2012, ten views", f"{LAYERS}148.cfg"),
        Effect("no normalisation, CaffeNet at 128 pixels", 53.0, 52.9, "2012", "ducha-aiki/caffenet-benchmark"),
        Effect("no normalisation in block 2", 40.528, 40.488, "2012, ten views", f"{LAYERS}167.cfg and 170.cfg"),
        Effect("pooling windows of 2, not 3", 40.664, 41.058, "2012, ten views",
               f"{LAYERS}147.cfg; two paddings changed with it"),
        Effect("no colour noise", None, None, "", "paper, §4.1", "over 1"),
        Effect("pooled before normalised, biases of 1 for 0.1", 42.9, 42.6, "2012, one view",
               "Caffe's AlexNet and CaffeNet"),
        Effect("CaffeNet, started with outputs of variance 1 (LSUV)", 42.6, 43.5, "2012, one view",
               "Caffe's CaffeNet, ducha-aiki/caffenet-benchmark"),
        Effect("the rate raised again, on to epoch 135", 40.664, 40.250, "2012, ten views", f"{LAYERS}145.cfg"),
        Effect("224 or 227 pixels, zeros or pixels at the edge", None, None, "", ""),
        Effect("k = 1 for 2, α divided by 5", None, None, "", ""),
        Effect("windows over both towers", None, None, "", ""),
        Effect("normalised before ReLU", None, None, "", ""),
        Effect("dropout before fc6 and fc7, not after", None, None, "", ""),
        Effect("squashed pictures or cut ones", None, None, "", "BVLC/caffe#843: 54 point something either way"),
    ]
    costs = {e.what: e.with_it - e.without for e in EFFECTS if e.without is not None}
    assert [round(costs[what], 3) for what in ("one view instead of ten", "one view instead of ten, one tower")] == [
        round(gain, 3) for gain in gains]
    for _what, _printed in (("no normalisation at all", 1.4), ("pooling windows of 2, not 3", 0.4),
                            ("half of each convolution's kernels, one GPU", 1.7)):
        assert round(costs[_what], 1) == _printed  # in the paper, §3
    unknown = [e for e in EFFECTS if e.without is None and e.said == "not known"]
    rest, recipe = [gap - gain for gain in gains], RECIPES["source2012"]
    assert 0 < rest[1] < rest[0] < 1  # what the paper says of its colour noise is more
    again = right("torchvision", 1) - right("torchvision's, again", 1)
    say("""
        ## What each difference costs

        How many more first guesses are wrong, in percentage points; a plus sign means that it gets worse. Each was
        measured by somebody in one test.

    """, table(["difference", "points", "test", "source"], [
        [e.what, f"{costs[e.what]:+.2f}".replace("-", "−") if e.what in costs else e.said, e.test or "–",
         e.source or "–"] for e in EFFECTS]), f"""
        Do not add these numbers up. They were measured on different networks, in one run each, and nobody wrote down
        how much one run differs from the next. torchvision's network, trained by two people, gave results
        {again:.2f} points apart. The paper's normalisation is worth {costs["no normalisation at all"]:.1f} points in
        one table and nothing in another. And {len(unknown)} of {len(EFFECTS)} differences have no number at all. They
        are the ones that people argue about most.

        So why 57 %? **One view instead of ten explains {gains[0]:.1f} to {gains[1]:.1f} of the {gap:.1f} points.** The
        colour noise (§4.1: small random shifts of the colours of each training picture), which Caffe's AlexNet leaves
        out, would be enough to explain the rest, {rest[1]:.1f} to {rest[0]:.1f} points. But the second training of
        torchvision's network had the noise, and reached only {right("torchvision's, again", 1):.1f} %. If you get 57 %
        with one view, you have AlexNet. If you get 54 %, look at the schedule. After 20 epochs at a single rate, 43.9 %
        is normal (apache/mxnet#269). The authors lowered the rate at epochs {", ".join(map(str, recipe.drops))} and
        stopped after {recipe.epochs} epochs. Chapter 12 says what the biases and the size of the first weights do in
        the first thousands of steps.
    """)
    return


@app.cell
def _():
    start = '''def neighbours(v, n=5):
    # for every channel the sum over the n channels around it
    reach = n // 2
    near = [v[max(0, i - reach) : i + reach + 1] for i in range(len(v))]
    return np.array([some.sum() for some in near])

def backward(gy, x):
    # y = x / d^0.75, d = 1 + α / n · Σ x(j)², as in Caffe, with α = 2 and n = 5
    alpha, n = 2.0, 5
    d = 1 + alpha / n * neighbours(x * x)
    y = x / d**0.75
    gx = gy / d**0.75 - 1.5 * alpha * x * neighbours(gy * y / d)
    return gx
'''
    answer = start.replace("1.5 * alpha * x", "1.5 * alpha / n * x")
    tries = {
        "divide the first term": start.replace("gx = gy / d**0.75", "gx = gy / n / d**0.75"),
        "take the n out of d": start.replace("d = 1 + alpha / n", "d = 1 + alpha"),
        "drop the second term": start.replace(" - 1.5 * alpha * x * neighbours(gy * y / d)", ""),
        "divide by n twice": start.replace("1.5 * alpha * x", "1.5 * alpha / n**2 * x"),
    }

    def check(backward):
        def caffes(x):
            sums = [np.sum(x[max(0, i - 2) : i + 3] ** 2) for i in range(len(x))]
            return x / (1 + 2.0 / 5 * np.array(sums)) ** 0.75

        gradcheck(caffes, np.random.default_rng(14).normal(size=8), backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        Somebody has changed the paper's normalisation into Caffe's, where α is divided by n. In the forward formula
        they did it everywhere, but in backward they forgot one place. Mend it. You can read below what `gradcheck`
        says.
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
