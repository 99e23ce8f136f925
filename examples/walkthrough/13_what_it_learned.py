"""Chapter 13: what a network learned, by its first kernels, its guesses, and what lies near to what in its features."""

import marimo

app = marimo.App(app_title="13 · What it learned")

with app.setup:
    import json
    import math
    from dataclasses import replace
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from page import alexnet_in, answer_box, attempt, figure, given, one_answer, picture, say, table
    from PIL import Image
    from safetensors.numpy import load_file

    from minicnn import Tensor, gradcheck, manual_seed, no_grad, ops
    from minicnn.data import built_in_set
    from minicnn.data.division import Division
    from minicnn.data.sources import image_set, image_sets
    from minicnn.layout import tiled
    from minicnn.models import RECIPES, alexnet, pretrained
    from minicnn.models.first_layer import MOSTLY, SMOOTH_NOISE, apart, looks
    from minicnn.models.recipes import FINETUNE
    from minicnn.training.log import Log


@app.cell
def _():
    def read_record():
        """What was kept of a long run, see benchmarks/record_run.py; its weights are too large to come with this."""
        results = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
        folder = sorted(results.glob("train_alexnet-cifar10-*"))[-1]
        facts, config = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("record", "config"))
        lines = Log(folder / "log.jsonl").read()
        epochs = [line for line in lines if "val_top1" in line]
        steps = [config["batch_size"] / line["images_per_second"] for line in lines if "images_per_second" in line]
        arrays = load_file(folder / "kernels.safetensors")
        now, first = ({name: arrays[f"{name}.{when}"].astype(np.float32) for name in "ab"} for when in ("now", "start"))
        with Image.open(folder / "thumbnails.jpg") as sheet:
            tiles = np.asarray(sheet.convert("RGB")).reshape(-1, 64, 7, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)
        guesses, rows = facts["predictions"], facts["neighbours"]
        near = tiles[len(guesses) : len(guesses) + 7 * len(rows)].reshape(-1, 7, 64, 64, 3)
        return SimpleNamespace(name=folder.name, facts=facts, config=config, epochs=epochs, now=now, first=first,
                               hours=sum(steps) / 3600, guessed=tiles[: len(guesses)], near=near)

    recorded = read_record()
    return (recorded,)


@app.cell
def _(recorded):
    def tell_run():
        facts, config, epochs = recorded.facts, recorded.config, recorded.epochs
        drawing = figure(5.5, 2.8)
        axes = drawing.subplots()
        for name, words in (("train_top1", "in training"), ("val_top1", "not trained on")):
            axes.plot([line["epoch"] for line in epochs], [line[name] for line in epochs], "o-", label=words)
        axes.set(xlabel="epoch", ylabel="right", ylim=(0, 1))
        axes.legend()
        axes.grid(alpha=0.3)
        at = {line["epoch"]: line for line in epochs}.get(facts["epoch"])
        assert at is None or abs(at["val_top1"] - facts["top1"]) < 1e-3, "the record is of that epoch"
        words = "; ".join(f"epoch {line['epoch']}: {line['val_top1']:.1%}" for line in epochs)
        options = " ".join(f"--{name.replace('_', '-')} {config[name]}" for name in (
            "variant", "width", "recipe", "batch_size", "lr", "schedule", "epochs", "seed"))
        faster = [f"up to {line['lr']:g} in epoch {line['epoch']}" for line in epochs
                  if line["lr"] > 1.001 * config["lr"]]
        left = epochs[-1]["epoch"] - facts["epoch"]
        ends = f"Its best epoch was followed by {left} more. " * (left > 0)
        higher = f" The rate was {' and '.join(faster)}." * bool(faster)
        return f"""
            This run is an AlexNet with {config["parameters"]:,} parameters, trained for {recorded.hours:.1f} hours on
            a processor ({facts["machine"]}) with {facts["training"]:,} photographs of CIFAR-10 in
            {len(facts["classes"])} classes. After {facts["epoch"]} epochs, which are {facts["step"]:,} steps, it is
            right for **{facts["top1"]:.1%}** of the {facts["validation"]:,} photographs that it was not trained on.
            Guessing would be right for {1 / len(facts["classes"]):.0%}. {ends}Its settings: `{options}`.{higher}
        """, drawing, f"The share that is right, in training and of others, after each epoch. Of others: {words}"

    told_run, curve, curve_words = tell_run()
    mo.vstack([say("""
        # 13 · What it learned

        A trained network can be looked into in three ways, those of §6.1 of the AlexNet paper: its first kernels, its
        five best guesses for a picture, and the pictures that it takes to be alike. We first look into a run whose log,
        kernels and pictures were recorded, and then into the small network that comes with minicnn, or into one of
        yours.

    """, told_run), picture(curve, curve_words)])
    return


@app.cell
def _():
    def alike(kernels, before):
        """The cosine between every kernel and itself at the start: 1 where only its scale has changed."""
        u, v = (k.reshape(len(k), -1).astype(np.float64) for k in (kernels, before))
        return (u * v).sum(1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))

    def turned(kernels, before):
        """What is new: a kernel less its multiple of the one at the start."""
        u, v = (k.reshape(len(k), -1).astype(np.float64) for k in (kernels, before))
        return (u - (u * v).sum(1, keepdims=True) / (v * v).sum(1, keepdims=True) * v).reshape(kernels.shape)

    def draw_kernels(towers):
        """A row of axes for each tower; every kernel is stretched to the full range of brightness by itself."""
        across = min(16, len(towers["a"]))
        down = -(-len(towers["a"]) // across)
        drawing = figure(5.5, 0.5 + len(towers) * down * 5 / across)
        rows = drawing.subplots(len(towers), 1, squeeze=False)[:, 0]
        for axes, (name, kernels) in zip(rows, towers.items(), strict=True):
            most = np.maximum(np.abs(kernels).max(axis=(1, 2, 3), keepdims=True), 1e-12)
            tiles = (0.5 + 0.5 * kernels / most).transpose(0, 2, 3, 1)  # grey is 0
            axes.imshow(tiled(tiles, across, between=1.0)[:-1, :-1])
            axes.set(xticks=[], yticks=[], ylabel=f"tower {name}")
        return drawing

    def choices(now, first):
        """What can be drawn of the kernels of a network, by tower."""
        every = {"now": now}
        if first:
            every["at the start"] = first
            every["the change"] = {name: turned(now[name], first[name]) for name in now}
        return every

    def measured(now, first):
        """The table of kernels and what it says, in words."""
        noise = np.random.default_rng(0).standard_normal((1000, 3, 11, 11))
        assert abs(looks(noise).smooth.mean() - SMOOTH_NOISE) < 0.01 and abs(looks(noise).colour.mean() - 2 / 3) < 0.01
        every, like = choices(now, first), {name: alike(now[name], first[name]) for name in first or {}}
        rows, seen = [], {}
        for when, towers in every.items():
            for name, kernels in towers.items():
                of = seen[when, name] = looks(kernels)
                cosine = {"now": f"{like[name].mean():.5f}" if like else "not known", "at the start": 1}.get(when, "–")
                rows.append([f"{name}, {when}", f"{of.smooth.mean():.0%}", f"{of.colour.mean():.0%}",
                             f"{(of.colour > MOSTLY).mean():.0%}", f"{(of.oriented > MOSTLY).mean():.0%}", cosine])
        text = table(["kernels", "smooth", "colour", "mostly colour", "oriented", "like the start"], [
            *rows, ["pure noise", f"{SMOOTH_NOISE:.0%}", "67%", "100%", "0%", "–"]])

        def of_towers(when):
            """Whether the towers have come to look for different things."""
            if ("now", "b") not in seen:
                return "It has one tower, so nothing is divided."
            a, b = seen[when, "a"], seen[when, "b"]
            if (ways := math.comb(len(a.colour) + len(b.colour), len(b.colour))) < 200:
                return ("Whether the towers have come to look for different things cannot be told from so few "
                        f"kernels: there are only {ways} ways to divide them between two towers.")
            of_colour, of_direction = apart(a.colour, b.colour), apart(a.oriented, b.oriented)
            differ = " and ".join([f"{what} (by chance in {p:.2%} of random divisions)" for what, p in
                                   (("colour", of_colour), ("direction", of_direction)) if p < 0.01])
            whose = "**The towers differ** in " + differ if differ else (
                f"**The towers have not specialised**: kernels that are divided between two towers at random differ as "
                f"much in colour in {of_colour:.0%} of 10,000 draws, and in direction in {of_direction:.0%}")
            shares = [f"{(of.oriented > MOSTLY).mean():.0%}" for of in (a, b)]
            return (f"{whose}. In tower a colour is {a.colour.mean():.0%} of a kernel's energy and in b "
                    f"{b.colour.mean():.0%}; {shares[0]} and {shares[1]} of their kernels are oriented.")

        smooth = np.mean([seen["now", name].smooth.mean() for name in now])
        mean = float(np.mean([v.mean() for v in like.values()])) if like else None
        told = [] if mean is None else [f"The cosine between a kernel and its start is {mean:.4f} on average."]
        if smooth < 2 * SMOOTH_NOISE:
            told.append("What you see is **still the noise that the kernels were drawn as**. The layers above have "
                        "learned to use random kernels, which works better than one would think.")
            if like:
                told.append("What training has added is small beside the noise; choose *the change* to see it alone. "
                            "It is smooth: neighbouring pixels of a photograph are alike, and so are the gradients "
                            "gw = Σ gy · x of neighbouring weights. For the change alone: " + of_towers("the change"))
        else:
            coarse = sum(int((seen["now", name].smooth >= 2 * SMOOTH_NOISE).sum()) for name in now)
            told.append(f"**{coarse} of the {sum(map(len, now.values()))} kernels are no longer noise**: they are at "
                        "least twice as smooth as noise is. " + of_towers("now"))
        return text, " ".join(told)

    say("""
        ## The first kernels

        The kernels of conv1 can be looked at as pictures, since they see colours; all others see the outputs of layers.
        Each kernel is stretched to the full range of brightness, so that their sizes cannot be compared. Grey is 0.
    """)
    return choices, draw_kernels, measured


@app.cell
def _():
    which = mo.ui.dropdown(["now", "at the start", "the change"], value="now", label="kernels of the recorded run")
    which
    return (which,)


@app.cell
def _(choices, draw_kernels, measured, recorded, which):
    def tell_recorded():
        chosen = choices(recorded.now, recorded.first)[which.value]
        rows, told = measured(recorded.now, recorded.first)
        words = f"The {sum(map(len, chosen.values()))} kernels of conv1 of the recorded run, {which.value}"
        return draw_kernels(chosen), f"{words}, tower a above tower b.", rows, told

    kernels_drawn, kernel_words, kernel_rows, kernel_told = tell_recorded()
    mo.vstack([picture(kernels_drawn, kernel_words), say("""
        Whether a kernel is noise or an edge can be measured (`minicnn/models/first_layer.py`). Its *energy* is the sum
        of the squares of its weights. By Fourier (chapter 5) a kernel is a sum of waves, stripes that repeat, and its
        energy is the sum of theirs. *Smooth* is the share of the energy in waves of at most two periods across its 11
        pixels. *Colour* is the share of what departs from grey: Σ (w − g)² / Σ w², where g is the mean of red, green
        and blue; *mostly colour* is the share of kernels of which that is above ½. A kernel is *oriented* if most of
        its waves run in one direction: |Σ P e^(2iθ)| / Σ P > ½ over the energies P of waves in the directions θ; θ is
        doubled because θ and θ + 180° are the same stripes. *Like the start* is the cosine between the kernel u and its
        start v, Σ u v / √(Σ u² Σ v²): 1 where only its size has changed, and about 0 for two kernels of noise.

    """, kernel_rows, kernel_told, f"""
        The recipe of the run helped: conv1 has {RECIPES[recorded.config["recipe"]].decays["conv1"]:g} times the weight
        decay of the other layers, which takes away the noise that no gradient needs.

        In Figure 3 of the paper, after 90 epochs of ImageNet, one tower has edges and stripes of many directions,
        nearly without colour, and the other has blobs and edges of colour. The authors say that this happens in every
        run, though not always in the same tower. It can happen because conv1 and conv2 of a tower never see the other
        tower.
    """)])
    return


@app.cell
def _(recorded):
    def draw_guessed():
        guesses = recorded.facts["predictions"]
        drawing = figure(5.5, 5.6)
        cells = drawing.subplots(4, 4, gridspec_kw={"height_ratios": [1, 1] * 2})
        for axes in cells.flat:
            axes.set_axis_off()
        for i, (image, (label, best)) in enumerate(zip(recorded.guessed, guesses, strict=True)):
            top, bars = cells[2 * (i // 4), i % 4], cells[2 * (i // 4) + 1, i % 4]
            top.imshow(image)
            top.set_title(label, fontsize=10)
            bars.barh(range(len(best)), list(best.values()), color=["C1" if name == label else "C0" for name in best],
                      alpha=0.7)
            for row, name in enumerate(best):
                bars.text(0.02, row, name, va="center", fontsize=10)
            bars.set(xlim=(0, 1), ylim=(4.6, -0.6))
        right = sum(next(iter(best)) == label for label, best in guesses)
        return drawing, guesses, right

    guessed_drawn, guesses, right_of = draw_guessed()
    mo.vstack([say(f"""
        ## Its five best guesses

        Here are eight pictures that it was not trained on, and the five classes that it finds most probable, as on the
        left of the paper's Figure 4. The right class is orange. {right_of} of the eight best guesses are right.
    """), picture(guessed_drawn, "; ".join(f"{label}: " + ", ".join(f"{name} {p:.2f}" for name, p in best.items())
                                           for label, best in guesses))])
    return


@app.cell
def _(recorded):
    def draw_near():
        rows = recorded.facts["neighbours"]
        drawing = figure(5.5, 4.9)
        cells = drawing.subplots(len(rows), 8, gridspec_kw={"width_ratios": [1, 0.1, *[1] * 6]})
        for axes in cells.flat:
            axes.set_axis_off()
        for line, tiles, (label, found) in zip(cells, recorded.near, rows, strict=True):
            line[0].imshow(tiles[0])
            line[0].set_title(label, fontsize=10)
            for axes, tile, (name, _) in zip(line[2:], tiles[1:], found, strict=False):
                axes.imshow(tile)
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set(color="C1" if name == label else "C0", linewidth=2.5)
        own = sum(name == label for label, found in rows for name, _ in found)
        return drawing, rows, own, sum(len(found) for _, found in rows)

    near_drawn, near_rows, own_class, all_near = draw_near()
    near = recorded.facts["nearest"]
    mo.vstack([say(f"""
        ## What it takes to be alike

        The last layer, fc8, sees nothing of a picture but the outputs of fc7 of both towers: its *feature*. For the
        network two pictures are alike if their features are near to each other, by Euclidean distance. The first column
        has five pictures that it was not trained on. Beside each stand the six nearest of its
        {recorded.facts["training"]:,} training pictures, as on the right of the paper's Figure 4. {own_class} of these
        {all_near} are of the same class and have an orange frame.
    """), picture(near_drawn, "; ".join(f"nearest to {label}: " + ", ".join(f"{name} at {d:.3g}" for name, d in found)
                                        for label, found in near_rows)), say(f"""
        Without a network one would compare pixels. We searched the six nearest of {near["asked"]} pictures that it was
        not trained on, among {near["searched"]:,} training pictures. So many of them are of the same class:

    """, table(["nearest by", "of the same class"], [
        [near["by"], f"{near['same_class']:.0%}"], ["pixels", f"{near['same_class_by_pixels']:.0%}"],
        ["chance", f"{1 / len(recorded.facts['classes']):.0%}"]]))])
    return


@app.cell
def _():
    weights = mo.ui.text(label="weights", placeholder="the network that comes with minicnn", full_width=True)
    mo.vstack([say("""
        ## Look yourself

        Now look into the small network that comes with minicnn (`models.pretrained()`), the one of chapter 11. It is
        shown the pictures from above. Or give whatever `minicnn.models.load` reads: the folder of a run of
        `examples/train_alexnet.py`, a file of weights that it saved, or torchvision's or Caffe's AlexNet.
    """), weights])
    return (weights,)


@app.cell
def _(recorded):
    def shown(folders, read):
        """60 training pictures and 20 others, spread over the classes, and their labels."""
        parts = []
        for folder, count in zip(folders, (60, 20), strict=True):
            samples = [folder.samples[i] for i in np.unique(np.linspace(0, len(folder) - 1, count).astype(int))]
            parts.append(SimpleNamespace(labels=np.array([label for _, label in samples]),
                                         pictures=[read(path) for path, _ in samples]))
        return parts

    def from_file(path):
        """A network, pictures to show it, and of a run the kernels that it started from. Raises ValueError, OSError or
        LookupError."""
        ask = alexnet_in(path)
        config, first = ask.facts.get("config", {}), None
        steps = ask.facts["progress"]["step"] if config else None
        with TemporaryDirectory() as cache:
            root = Path(config["data"]) if config.get("data") else built_in_set(Path(cache), train=60, val=20)
            folders = image_sets(root, config.get("val"), config.get("labels")) if not config.get("split") else (
                Division.read(ask.path.parent / "split.json").parts(image_set(root)))
            kinds = folders[0].classes
            if config and kinds != ask.classes:
                raise ValueError(f"{ask.path} knows {len(ask.classes)} classes ({', '.join(ask.classes[:3])} …), and "
                                 f"its pictures in {root} are of others ({', '.join(kinds[:3])} …)")
            parts = shown(folders, ask.read)
        if config and config["recipe"] != FINETUNE:  # which begins with trained kernels
            first = drawn(config, len(kinds))
        return SimpleNamespace(ask=ask, first=first, kinds=kinds, parts=parts, steps=steps, name=str(ask.path))

    def drawn(config, classes):
        """The kernels that a run began with, if not the scale of each."""
        manual_seed(config["seed"])
        net = alexnet(config["variant"], classes, width=config["width"], inverted_dropout=config["inverted_dropout"])
        replace(RECIPES[config["recipe"]], from_data=False).start(net, np.zeros(0))
        return first_kernels(net)

    def shipped():
        """The network that comes with minicnn, and of the recorded run the pictures that are drawn above, each once."""
        ask, rows = pretrained(), recorded.facts["neighbours"]
        assert ask.classes == recorded.facts["classes"]
        guessed = recorded.guessed
        new = [k for k, (one, *_) in enumerate(recorded.near) if not any((one == other).all() for other in guessed)]
        labels = [[name for _, found in rows for name, _ in found],
                  [name for name, _ in recorded.facts["predictions"] + [rows[k] for k in new]]]
        tiles = [recorded.near[:, 1:].reshape(-1, 64, 64, 3), [*guessed, *recorded.near[new, 0]]]
        parts = [SimpleNamespace(labels=np.array([ask.classes.index(name) for name in names]),
                                 pictures=[ask.read(np.ascontiguousarray(tile)) for tile in of])
                 for names, of in zip(labels, tiles, strict=True)]
        config = ask.facts["config"]
        return SimpleNamespace(ask=ask, first=drawn(config, len(ask.classes)), kinds=ask.classes, parts=parts,
                               steps=ask.facts["progress"]["step"], name="the network that comes with minicnn")

    def first_kernels(net):
        """By tower, (K, 3, 11, 11)."""
        return {name: tower.conv1.layers[0].weight.numpy().copy()
                for name, tower in zip("ab", net.towers(), strict=False)}
    return first_kernels, from_file, shipped


@app.cell
def _(from_file, shipped, weights):
    seen, _complaint = given(weights.value.strip(), from_file, shipped, "the network that comes with minicnn")
    ask, classes, kinds = seen.ask, seen.ask.classes, seen.kinds
    _complaint
    return ask, classes, kinds, seen


@app.cell
def _(ask, classes, kinds, seen):
    def look(part):
        """Of every picture: the feature, which is the outputs of fc7 of all towers side by side, and what fc8 makes of
        it, the logits and the probabilities."""
        part.features = ask.features(part.pictures)
        w, b = (t.numpy().astype(np.float64) for t in (ask.net.fc8.weight, ask.net.fc8.bias))
        part.logits = part.features @ w.T + b
        part.probabilities = Tensor(part.logits).softmax().numpy()
        assert np.allclose(ask.probabilities(part.pictures[:8]), part.probabilities[:8], atol=2e-3)
        assert np.allclose(part.probabilities.sum(axis=1), 1, atol=1e-5)

    def score(part):
        return np.mean(part.logits.argmax(1) == part.labels), ops.cross_entropy(Tensor(part.logits), part.labels).item()

    training, others = seen.parts
    look(training)
    look(others)

    def tell():
        """What can be counted where the pictures are of the classes that the network knows."""
        known, fresh, guessing = score(training), score(others), float(np.log(len(classes)))
        rows = [["of its training set", len(training.labels), f"{known[0]:.0%}", known[1]],
                ["not trained on", len(others.labels), f"{fresh[0]:.0%}", fresh[1]]]
        tested = ask.facts.get("scores")
        if tested:
            fresh = tested["top1"], tested["loss"]
            rows.append(["the whole test set", tested["pictures"], f"{fresh[0]:.1%}", fresh[1]])
        times = fresh[0] * len(classes)
        verdict = ("this network **has hardly learned anything**: take what follows as a way to look, not as a finding."
                   if fresh[1] > 0.9 * guessing else
                   f"this network **has learned something**: it is right {times:.1f} times as often as by guessing, "
                   f"and wrong for {1 - fresh[0]:.0%} of these pictures.")
        return [f"This is `{seen.name}`, after {seen.steps:,} steps.",
                table(["pictures", "how many", "right", "loss"], [
                    *rows, ["by guessing", "–", f"{1 / len(classes):.0%}", guessing]]),
                "Only pictures that it was not trained on count, since the others may have been learned by heart. By "
                "these, " + verdict]

    say("### Has it learned anything?", *(tell() if kinds == classes else [f"""
        `{seen.name}` came without pictures, and without names for its {len(classes):,} classes. It is shown the
        built-in set, patterns of {len(kinds)} kinds ({", ".join(kinds[:3])} …), so none of its guesses can be counted
        as right or wrong. You can see what it has learned in its kernels, and in what it takes to be alike.
    """]))
    return others, training


@app.cell
def _():
    which_own = mo.ui.dropdown(["now", "at the start", "the change"], value="now", label="kernels of this network")
    mo.vstack([say("### Its first kernels"), which_own])
    return (which_own,)


@app.cell
def _(choices, draw_kernels, first_kernels, measured, ask, seen, which_own):
    def tell_own():
        now = first_kernels(ask.net)
        every = choices(now, seen.first)
        when = which_own.value if which_own.value in every else "now"
        towers = ", tower a above tower b" * (len(now) > 1)
        words = f"The {sum(map(len, now.values()))} kernels of conv1, {when}{towers}."
        return draw_kernels(every[when]), words, *measured(now, seen.first)

    own_drawn, own_words, own_rows, own_told = tell_own()
    mo.vstack([picture(own_drawn, own_words), say(own_told + (
        "" if seen.first else " What these kernels started from is not known."), own_rows)])
    return


@app.cell
def _(others, training):
    source = mo.ui.dropdown(["not trained on", "of its training set"], value="not trained on", label="pictures")
    few = min(8, len(others.labels), len(training.labels))
    number = mo.ui.slider(0, few - 1, value=0, label="picture", show_value=True)
    mo.vstack([say("### Its guesses, and what it takes to be alike"),
               mo.hstack([source, number], justify="start", wrap=True)])
    return number, source


@app.cell
def _(classes, kinds, number, others, source, training):
    part, at = (training if source.value == "of its training set" else others), int(number.value)

    def distances(features, query):
        """√Σ (f − q)², from one feature to every feature of the training pictures."""
        with no_grad():
            d = ((Tensor(features) - query) ** 2).sum(axis=1) ** 0.5
        assert np.allclose(d.numpy(), np.linalg.norm(features - query, axis=1), rtol=1e-4, atol=1e-6)
        return d.numpy()

    def draw_both():
        """The picture and its best guesses; below, the six training pictures that are nearest to it."""
        drawing = figure(5.5, 4.1)
        panels = drawing.subplot_mosaic([["picture"] * 3 + ["bars"] * 3, [*range(6)]], height_ratios=[1.7, 1])
        panels["picture"].imshow(part.pictures[at])
        panels["picture"].set_title(f"picture {at}: {right}", fontsize=10)
        bars = panels["bars"]
        bars.barh(range(len(best)), sure, color=["C1" if classes[c] == right else "C0" for c in best], alpha=0.6)
        for row, c in enumerate(best):
            bars.text(0.02, row, classes[c][:20], va="center", fontsize=10)
        bars.set(yticks=[], xlim=(0, 1), ylim=(len(best) - 0.4, -0.6), xlabel="probability")
        for place, i in enumerate(nearest):
            panels[place].imshow(training.pictures[i])
            panels[place].set_title(f"{kinds[training.labels[i]][:10]}\n{d[i]:.3g}", fontsize=10)
        for name, axes in panels.items():
            if name != "bars":
                axes.set_axis_off()
        return drawing

    probabilities, right = part.probabilities[at], kinds[part.labels[at]]
    best = np.argsort(-probabilities, kind="stable")[:5]
    sure, total = probabilities[best], probabilities.sum()
    d = distances(training.features, part.features[at])
    nearest = np.argsort(d, kind="stable")[:6]
    itself = distances(training.features, training.features[at])
    assert abs(total - 1) < 1e-5 and (np.diff(sure) <= 0).all()
    assert itself[at] == itself.min() == 0
    guessed_words = ", ".join(f"{classes[c]} {p:.2f}" for c, p in zip(best, sure, strict=True))
    nearest_words = ", ".join(f"{kinds[training.labels[i]]} at {d[i]:.3g}" for i in nearest)
    mo.vstack([picture(draw_both(), f"Picture {at}, of class {right}; its best guesses: {guessed_words}. Below, the "
                                    f"six training pictures that are nearest to it: {nearest_words}."), say(f"""
        Softmax makes probabilities of the logits; over all {len(classes)} classes they sum to {total:.6f}. They say how
        sure the network is, not whether it is right.

    """, table(["class", "probability", ""], [[classes[c], f"{p:.4f}", "the right one" if classes[c] == right else ""]
                                            for c, p in zip(best, sure, strict=True)]), f"""
        The lower row of the figure has the six of the {len(training.labels)} training pictures that are nearest to
        picture {at}, with their distances by the {training.features.shape[1]:,} outputs of fc7. The farthest of all is
        at {d.max():.4g}. The nearest of a training picture is the picture itself, at distance {itself[at]:g}: choose
        *of its training set* to see this.
    """)])
    return


@app.cell
def _(ask, others, recorded, training):
    def same(of, among):
        """The share of the six nearest that are of the same class, over all others."""
        near = [np.argsort(((among - q) ** 2).sum(1), kind="stable")[:6] for q in of]
        return float(np.mean(training.labels[np.array(near)] == others.labels[:, None]))

    def small(pictures):
        """Pixels of what the network sees, in blocks of 8 × 8."""
        views = ask.prepare(pictures)[:, :, :224, :224]
        return views.reshape(len(views), 3, 28, 8, 28, 8).mean((3, 5)).reshape(len(views), -1)

    by_feature = same(others.features, training.features)
    by_pixel = same(small(others.pictures), small(training.pictures))
    by_chance = float((training.labels[None] == others.labels[:, None]).mean())
    say(f"""
        Without a network one would compare pixels; but a thing that is moved by half its width is, pixel by pixel,
        another. Of the six nearest of each of the {len(others.labels)} pictures that it was not trained on, so many are
        of the same class:

    """, table(["nearest by", "of the same class"], [["features", f"{by_feature:.0%}"], ["pixels", f"{by_pixel:.0%}"],
                                                      ["chance", f"{by_chance:.0%}"]]), f"""
        A few dozen pictures are too few to rely on these shares; the table of the recorded run above is of
        {recorded.facts["nearest"]["asked"]}.
    """, *["""
        Moreover, the training pictures here are those that were found as the nearest of some of the others. This is why
        even the pixels do well.
    """] * ("scores" in ask.facts))
    return


@app.cell
def _():
    start = '''def backward(gy, u, v):
    # y = Σ (u − v)², the squared distance of two features
    gu = gy * 2 * (u - v)
    gv = gy * 2 * (u - v)
    return gu, gv
'''
    answer = start.replace("gv = gy * 2 * (u - v)", "gv = -gu")

    def check(backward):
        random = np.random.default_rng(0)
        gradcheck(lambda u, v: ((u - v) ** 2).sum(), random.normal(size=6), random.normal(size=6), backward=backward)

    asked = "backward"
    tries = {
        "both signs turned": start.replace("gu = gy", "gu = -gy"),
        "the 2 forgotten": answer.replace("gy * 2 *", "gy *"),
        "only gy forgotten": answer.replace("gy * 2", "2"),
        "v held fixed": start.replace("gv = gy * 2 * (u - v)", "gv = np.zeros_like(v)"),
    }
    say("""
        ## Exercise

        Suppose that you want to pull the features of two pictures together, and take their squared distance as a loss.
        With the backward below one of the two would run away. Mend it. Below it stands what
        `gradcheck` says about the answer.
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
