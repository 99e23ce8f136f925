"""Chapter 13: what a network learned, by its first kernels, its guesses, and what lies near to what in its features."""

import marimo

app = marimo.App(app_title="13 · What it learned")

with app.setup:
    from dataclasses import replace
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from page import alexnet_in, attempt, figure, given, picture, say, table

    from minicnn import Tensor, gradcheck, manual_seed, no_grad, ops
    from minicnn.data import Statistics, built_in_set, central_crops, image_folders, read_picture
    from minicnn.data.division import Division
    from minicnn.data.sources import image_set, image_sets
    from minicnn.layout import tiled
    from minicnn.models import RECIPES, alexnet
    from minicnn.models.classifier import Classifier
    from minicnn.models.recipes import FINETUNE
    from minicnn.models.variants import PAPERS


@app.cell
def _():
    weights = mo.ui.text(label="weights", placeholder="none: a small network is trained here", full_width=True)
    mo.vstack([say("""
        # 13 · What it learned

        Three looks into a trained network, those of the paper's §6.1: its first kernels, its five best guesses, and
        which pictures it takes to be alike. Give whatever `minicnn.models.load` reads: the folder of a run of
        `examples/train_alexnet.py`, a checkpoint in it, or torchvision's or Caffe's AlexNet. Without it, the page
        trains a network of an eighth of the width on a few dozen pictures, in seconds: enough to see how to look, not
        to see much.
    """), weights])
    return (weights,)


@app.cell
def _():
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
            manual_seed(config["seed"])  # the draw that the run began with, if not the scale of each kernel
            net = alexnet(config["variant"], len(kinds), width=config["width"],
                          inverted_dropout=config["inverted_dropout"])
            replace(RECIPES[config["recipe"]], from_data=False).start(net, np.zeros(0))
            first = first_kernels(net)
        return SimpleNamespace(ask=ask, first=first, kinds=kinds, parts=parts, steps=steps, name=str(ask.path))

    def trained_here(steps=16, batch=20):
        recipe = RECIPES["small"]
        with TemporaryDirectory() as cache:
            folders = image_folders(built_in_set(Path(cache), train=60, val=20))
            mean = np.mean([read_picture(path) for path, _ in folders[0].samples], axis=0, dtype=np.float32)
            mean = np.ascontiguousarray(mean.transpose(2, 0, 1))
            parts = shown(folders, read_picture)
        nothing = Statistics(mean, np.ones(3, np.float32), np.eye(3, dtype=np.float32), bad={})
        scale, labels = 1 / central_crops(parts[0].pictures, nothing).std(), parts[0].labels

        def prepare(pictures):
            return central_crops(pictures, nothing, scale)

        views = prepare(parts[0].pictures)
        manual_seed(13)
        net = alexnet(classes=len(folders[0].classes), width=1 / 8)
        recipe.start(net, views)
        first, optimiser = first_kernels(net), recipe.optimiser(net)
        optimiser.lr = 0.003
        order = np.random.default_rng(13)
        for _ in range(steps):
            chosen = order.permutation(len(labels))[:batch]
            optimiser.zero_grad()
            ops.cross_entropy(net.train()(views[chosen]), labels[chosen]).backward()
            optimiser.step()
        ask = Classifier(net.eval(), folders[0].classes, prepare, Path(), PAPERS, mean)
        return SimpleNamespace(ask=ask, first=first, kinds=ask.classes, parts=parts, steps=steps,
                               name="the network trained here")

    def first_kernels(net):
        """By tower, (K, 3, 11, 11)."""
        return {name: tower.conv1.layers[0].weight.numpy().copy()
                for name, tower in zip("ab", net.towers(), strict=False)}
    return first_kernels, from_file, trained_here


@app.cell
def _(from_file, trained_here, weights):
    seen, _complaint = given(weights.value.strip(), from_file, trained_here, "the small network")
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
        verdict = "" if fresh[1] < 0.7 * guessing else (
            "By it, this network **has hardly learned anything**: take what follows as a way to look, not as a "
            "finding.")
        return [f"This is `{seen.name}`, after {seen.steps:,} steps.",
                table(["pictures", "how many", "right", "loss"], [
                    ["of its training set", len(training.labels), f"{known[0]:.0%}", known[1]],
                    ["others", len(others.labels), f"{fresh[0]:.0%}", fresh[1]],
                    ["by guessing", "–", f"{1 / len(classes):.0%}", guessing]]),
                "The second line is the one that counts: what is right in the first alone was learned by heart. "
                + verdict]

    say("## Has it learned anything?", *(tell() if kinds == classes else [f"""
        `{seen.name}` came without pictures, and without names for its {len(classes):,} classes. It is shown the
        built-in set, patterns of {len(kinds)} kinds ({", ".join(kinds[:3])} …): so none of its guesses can be counted
        as right or wrong. What it has learned shows in its kernels, and in what it takes to be alike.
    """]))
    return others, training


@app.cell
def _(seen):
    which = mo.ui.dropdown(["now", *["at the start", "the change"] * bool(seen.first)], value="now", label="kernels")
    which
    return (which,)


@app.cell
def _(ask, first_kernels, seen, which):
    def alike(kernels, before):
        """The cosine between every kernel and itself at the start: 1 where only its scale has changed."""
        u, v = (k.reshape(len(k), -1).astype(np.float64) for k in (kernels, before))
        return (u * v).sum(1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))

    def turned(kernels, before):
        """What is new: a kernel less its multiple of the one at the start."""
        u, v = (k.reshape(len(k), -1).astype(np.float64) for k in (kernels, before))
        return (u - (u * v).sum(1, keepdims=True) / (v * v).sum(1, keepdims=True) * v).reshape(kernels.shape)

    now = first_kernels(ask.net)
    new = {name: turned(now[name], first) for name, first in (seen.first or {}).items()}
    likeness = {name: alike(now[name], first) for name, first in (seen.first or {}).items()}
    chosen = {"now": now, "at the start": seen.first, "the change": new}[which.value]

    def draw_kernels():
        """A row of axes for each tower; every kernel is stretched to the full range of brightness by itself."""
        across = min(16, len(chosen["a"]))
        down = -(-len(chosen["a"]) // across)
        drawing = figure(5.5, 0.5 + len(chosen) * down * 5 / across)
        rows = drawing.subplots(len(chosen), 1, squeeze=False)[:, 0]
        for axes, (name, kernels) in zip(rows, chosen.items(), strict=True):
            most = np.maximum(np.abs(kernels).max(axis=(1, 2, 3), keepdims=True), 1e-12)
            tiles = (0.5 + 0.5 * kernels / most).transpose(0, 2, 3, 1)  # grey is 0
            axes.imshow(tiled(tiles, across, between=1.0)[:-1, :-1])
            axes.set(xticks=[], yticks=[], ylabel=f"tower {name}")
        return drawing

    words = f"The {sum(map(len, now.values()))} kernels of conv1, {which.value}" + ", tower a above tower b" * (
        len(now) > 1) + "".join(f"; {name} is like its start by {v.min():.4f} or more" for name, v in likeness.items())
    mo.vstack([say("""
        ## The first kernels

        Only the kernels of conv1 can be looked at as pictures: they see colours, all others see outputs of layers.
        Each is stretched to the full range by itself, so their brightness cannot be compared. Grey is 0.
    """), picture(draw_kernels(), f"{words}.")])
    return likeness, new, now


@app.cell
def _(likeness, new, now, seen, which):
    def smooth(kernels):
        """The share of a kernel's energy in waves of at most two periods across it, in either direction."""
        waves = np.abs(np.fft.fft2(kernels)) ** 2
        assert np.allclose(waves.sum((1, 2, 3)) / 11**2, (kernels.astype(np.float64) ** 2).sum((1, 2, 3)))  # Parseval
        low = np.abs(np.fft.fftfreq(11, 1 / 11)) <= 2
        return waves[:, :, np.ix_(low, low)[0], np.ix_(low, low)[1]].sum() / max(waves.sum(), 1e-30)

    def grey(kernels):
        """The share of the energy in what red, green and blue have in common."""
        return 3 * (kernels.mean(axis=1) ** 2).sum() / max((kernels**2).sum(), 1e-30)

    noise = np.random.default_rng(0).standard_normal((4000, 3, 11, 11))
    assert abs(smooth(noise) - 25 / 121) < 0.01 and abs(grey(noise) - 1 / 3) < 0.01
    rows = []
    for _name, _kernels in now.items():
        rows += [[f"{_name}, now", smooth(_kernels), grey(_kernels),
                  f"{likeness[_name].mean():.5f}" if likeness else "not known"]]
        if likeness:
            rows += [[f"{_name}, at the start", smooth(seen.first[_name]), grey(seen.first[_name]), 1],
                     [f"{_name}, the change", smooth(new[_name]), grey(new[_name]), "–"]]

    def tell_change():
        """What is told of a network whose start is known."""
        mean = float(np.mean([v.mean() for v in likeness.values()]))
        told = (f"On average a kernel is still {mean:.5f} like itself at the start: what you see is **the noise it was "
                'drawn as**. A run of minutes can guess well on an easy set (see the README): the layers above learn '
                "to use random kernels. For kernels that look like something it takes far longer.") if mean > 0.8 else (
                f"On average a kernel is {mean:.3f} like itself at the start: the kernels have moved.")
        sign = "" if min(map(smooth, new.values())) < 2 * 25 / 121 else (
            "The change is the first sign of it, and smooth already: neighbouring pixels of a picture are alike, so "
            "the gw = Σ gy · x of neighbouring weights are.")
        hint = ("What you see now is only what is new." if which.value == "the change" else
                "Choose *the change* above.")
        return f"{told} {hint}", sign

    told, sign = tell_change() if likeness else ("What these kernels started from is not here.", "")
    say("""
        Noise can be told from edges by numbers. *Smooth* is the share of a kernel's energy in waves of at most two
        periods across its 11 pixels; *grey*, the share of what its three colours have in common; *like the start*, the
        cosine between the kernel and its start.

    """, table(["kernels", "smooth", "grey", "like the start"], [
        *rows, ["noise, by count", 25 / 121, 1 / 3, "–"]]), told, f"""
        In the paper's Figure 3, after 90 epochs of ImageNet, one tower has edges and stripes of many directions, nearly
        without colour, and the other blobs and edges of colour. They say that this comes about in every run, with the
        towers changed round or not: conv1 and conv2 of a tower never see the other tower. Then *smooth* is far above
        the noise in both, and *grey* is high in one tower and low in the other. {sign}
    """)
    return


@app.cell
def _(others, training):
    source = mo.ui.dropdown(["others", "of its training set"], value="others", label="pictures")
    number = mo.ui.slider(0, min(len(others.labels), len(training.labels)) - 1, value=0, label="picture",
                          show_value=True)  # fmt: skip
    mo.hstack([source, number], justify="start", wrap=True)
    return number, source


@app.cell
def _(classes, kinds, number, others, source, training):
    part, at = (others if source.value == "others" else training), int(number.value)

    def guess():
        p, label = part.probabilities[at], kinds[part.labels[at]]
        best = np.argsort(-p, kind="stable")[:5]
        drawing = figure(5.5, 2.5)
        left, right = drawing.subplots(1, 2)
        left.imshow(part.pictures[at])
        left.set_axis_off()
        left.set_title(f"picture {at}: {label}", fontsize=10)
        right.barh(range(len(best)), p[best], color=["C1" if classes[c] == label else "C0" for c in best])
        right.set(yticks=range(len(best)), yticklabels=[classes[c] for c in best], xlim=(0, 1), xlabel="probability")
        right.invert_yaxis()
        return drawing, best, p[best], label

    drawing, best, sure, right = guess()
    total = part.probabilities[at].sum()
    assert abs(total - 1) < 1e-5 and (np.diff(sure) <= 0).all()
    mo.vstack([say(f"""
        ## Its five best guesses

        Softmax makes probabilities of the logits; over all {len(classes)} classes they sum to {total:.6f}. They say how
        sure the network is, not whether it is right.

    """, table(["class", "probability", ""], [[classes[c], f"{p:.4f}", "the right one" if classes[c] == right else ""]
                                            for c, p in zip(best, sure, strict=True)])),
        picture(drawing, f"Picture {at}, of class {right}, beside the probabilities of " + ", ".join(
                f"{classes[c]} {p:.2f}" for c, p in zip(best, sure, strict=True)) + ".")])
    return at, part


@app.cell
def _(ask, at, kinds, others, part, training):
    def distances(features, query):
        """√Σ (f − q)², from one feature to every feature of the training pictures."""
        with no_grad():
            d = ((Tensor(features) - query) ** 2).sum(axis=1) ** 0.5
        assert np.allclose(d.numpy(), np.linalg.norm(features - query, axis=1), rtol=1e-4, atol=1e-6)
        return d.numpy()

    d = distances(training.features, part.features[at])
    nearest = np.argsort(d, kind="stable")[:6]
    itself = distances(training.features, training.features[at])
    assert itself[at] == itself.min() == 0

    def draw_nearest():
        drawing = figure(5.5, 3.9)
        cells = drawing.subplots(2, 4).ravel()
        for axes in cells:
            axes.set_axis_off()
        cells[0].imshow(part.pictures[at])
        cells[0].set_title(kinds[part.labels[at]], fontsize=10, fontweight="bold")
        for axes, i in zip(cells[[1, 2, 3, 5, 6, 7]], nearest, strict=False):
            axes.imshow(training.pictures[i])
            axes.set_title(f"{kinds[training.labels[i]]}\n{d[i]:.3g}", fontsize=10)
        cells[4].text(0.5, 0.5, "above: this one;\nright: its six\nnearest, with\ndistances", ha="center", va="center")
        return drawing

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
    mo.vstack([say(f"""
        ## What it takes to be alike

        The outputs of fc7 of all towers, {training.features.shape[1]:,} numbers, are all that fc8 gets to see of a
        picture: its *feature*. Two pictures are alike to the network where their features are near to each other, by
        Euclidean distance. Here are the six of the training pictures that are nearest to picture {at}; the farthest is
        at {d.max():.4g}.

    """, table(["place", "class", "distance"], [[place, kinds[training.labels[i]], float(d[i])]
                                               for place, i in enumerate(nearest, 1)])),
        picture(draw_nearest(), f"Picture {at}, of class {kinds[part.labels[at]]}, and its six nearest: " + ", ".join(
                f"{kinds[training.labels[i]]} at {d[i]:.3g}" for i in nearest) + "."),
        say(f"""
        The nearest of a training picture is itself, at distance {itself[at]:g}: choose *of its training set* above.
        Without a network, one would compare pixels; but a pattern moved by half its width is, pixel by pixel, another.
        Of the six nearest of each of the {len(others.labels)} others, so many are of the same class:

    """, table(["nearest by", "of the same class"], [["features", f"{by_feature:.0%}"], ["pixels", f"{by_pixel:.0%}"],
                                                      ["chance", f"{by_chance:.0%}"]]))])
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
    say("""
        ## Exercise

        To pull the features of two pictures together, one would take their squared distance as a loss. Its backward
        stands below; one of the two pictures would run away. Mend it. What `gradcheck` says follows.
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
