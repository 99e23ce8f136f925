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
    from page import alexnet_in, answer_box, attempt, both, figure, given, one_answer, picture, say, table

    from minicnn import Tensor, gradcheck, keep_memory, nn, no_grad, ops
    from minicnn.explain import gradient_of_score
    from minicnn.layout import tiled
    from minicnn.models import VARIANTS, pretrained
    from minicnn.models.classifier import middle
    from minicnn.ops.window import sides


@app.cell
def _():
    keep_memory()

    def introduce():
        ask = pretrained()
        parameters, facts = sum(p.size for p in ask.net.parameters()), ask.facts
        return say(f"""
            # 11 · AlexNet on one photograph

            A trained AlexNet looks at a photograph of a cat. Below you see what it answers and which pixels this answer
            depends on. Then you can follow the photograph through the network, step by step, forwards to the loss and
            backwards to the pixels. Every number on the way can be taken apart and checked.

            The network comes with minicnn. It has 1/16 of AlexNet's kernels and units, so {parameters:,} parameters in
            place of 61 million, and learned from CIFAR-10's small photographs of {len(ask.classes)} kinds of things for
            {facts["progress"]["epoch"]} epochs, that is, it saw each of them so many times. Of
            {facts["scores"]["pictures"]:,} photographs that it had never seen it names {facts["scores"]["top1"]:.1%}
            correctly, where guessing would get {1 / len(ask.classes):.0%}. So expect mistakes. The cat was photographed
            by Stéfan van der Walt (CC0).

            You may also give files of your own: a picture, and weights, which is whatever `minicnn.models.load` reads,
            such as the folder of a run of `examples/train_alexnet.py`, or torchvision's or Caffe's AlexNet. The right
            class is a name or a number.
        """, vi=[f"""
            # 11 · AlexNet nhìn một bức ảnh

            Một mạng AlexNet đã huấn luyện nhìn bức ảnh một con mèo. Dưới đây bạn thấy nó trả lời gì, và câu trả lời ấy
            phụ thuộc vào những điểm ảnh nào. Sau đó bạn có thể theo bức ảnh đi qua mạng, từng bước một, xuôi đến hàm
            mất mát rồi ngược về các điểm ảnh. Mọi con số trên đường đều có thể mổ xẻ và kiểm tra.

            Mạng này đi kèm minicnn. Nó có 1/16 số kernel và nơ-ron của AlexNet, tức {parameters:,} tham số thay vì 61
            triệu, và đã học từ những bức ảnh nhỏ của CIFAR-10 gồm {len(ask.classes)} loại vật, trong
            {facts["progress"]["epoch"]} epoch, tức là nó đã xem mỗi ảnh bấy nhiêu lần. Trong
            {facts["scores"]["pictures"]:,} bức ảnh nó chưa từng thấy, nó gọi đúng tên {facts["scores"]["top1"]:.1%},
            còn đoán mò thì được {1 / len(ask.classes):.0%}. Vậy hãy chuẩn bị gặp lỗi. Con mèo do Stéfan van der Walt
            chụp (CC0).

            Bạn cũng có thể đưa tệp của mình: một bức ảnh, và trọng số, tức là bất cứ thứ gì `minicnn.models.load` đọc
            được, chẳng hạn thư mục của một lần chạy `examples/train_alexnet.py`, hay AlexNet của torchvision hoặc của
            Caffe. Lớp đúng là một cái tên hoặc một con số.
        """])

    introduce()
    return


@app.cell
def _():
    picture_file = mo.ui.text(label=both("picture", "bức ảnh"), placeholder="the cat")
    weights = mo.ui.text(label=both("weights", "trọng số"), placeholder="the small network")
    label = mo.ui.text(label=both("right class", "lớp đúng"), placeholder="cat, or its best guess")
    entry = mo.ui.text(label=both("entry", "phần tử"), placeholder="the largest")  # shown further down
    mo.hstack([picture_file, weights, label], justify="start", wrap=True)
    return entry, label, picture_file, weights


@app.cell
def _(label, picture_file, weights):
    cat = Path(__file__).with_name("pictures") / "cat.jpg"
    model, no_weights = given(weights.value.strip(), alexnet_in, pretrained, "the small network")
    pixels, no_picture = given(picture_file.value.strip(), model.read, lambda: model.read(cat), "the cat")

    def right_class():
        """(the class that is taken as right, a complaint or None)"""
        text, names = str(label.value).strip(), model.classes
        if text in names or (text.isdecimal() and int(text) < len(names)):
            return (names.index(text) if text in names else int(text)), None
        complaint = text and say(f"`{text.replace('`', ' ')}` is none of the {len(names)} classes: here is its best "
                                 "guess instead.", vi=[f"`{text.replace('`', ' ')}` không thuộc {len(names)} lớp: "
                                                      "ở đây là dự đoán tốt nhất của mạng."])
        known = "cat" in names and not picture_file.value.strip()
        return names.index("cat") if known and not text else int(model.scores([pixels])[0].argmax()), complaint or None

    right, no_class = right_class()
    mo.vstack([one for one in (no_weights, no_picture, no_class) if one is not None])
    return model, pixels, right


@app.cell
def _(model, pixels, right):
    def look():
        """The photograph, the gradient of its class's score, the kernels of conv1, and the five best guesses."""
        inside, (gradient,) = middle(model.net.pixels), gradient_of_score(model, pixels, [right])
        answers, classes = model.classify(pixels), model.classes
        drawing = figure(5.5, 4.9)
        panels = drawing.subplot_mosaic([["photo", "gradient"], ["kernels", "bars"]], height_ratios=[1.25, 1])
        panels["photo"].imshow(pixels[inside, inside])
        strength = np.abs(gradient).max(axis=0)[:224, :224].reshape(28, 8, 28, 8).mean(axis=(1, 3))
        panels["gradient"].imshow(strength, cmap="gray", vmin=0)
        kernels = np.concatenate([tower.conv1.layers[0].weight.numpy() for tower in model.net.towers()])
        half = kernels / np.maximum(np.abs(kernels).max(axis=(1, 2, 3), keepdims=True), 1e-12) / 2
        across = 3 if len(kernels) < 12 else 16
        tiles = tiled((0.5 + half).transpose(0, 2, 3, 1), across, between=1.0)
        panels["kernels"].imshow(tiles[:-1, :-1], aspect="equal")
        panels["bars"].barh(range(len(answers)), [answer.probability for answer in answers],
                            color=["C1" if answer.name == classes[right] else "C0" for answer in answers],
                            alpha=0.6)
        for row, answer in enumerate(answers):
            panels["bars"].text(0.02, row, f"{answer.name[:18]} {answer.probability:.0%}", va="center", fontsize=10)
        panels["bars"].set(xlim=(0, 1), yticks=[], ylim=(len(answers) - 0.4, -0.6), xlabel="probability")
        for name, title in (("photo", "the photograph"), ("gradient", f"what {classes[right][:14]} depends on"),
                            ("kernels", "kernels of conv1"), ("bars", "its best guesses")):
            panels[name].set_title(title, fontsize=10)
        for name in ("photo", "gradient", "kernels"):
            panels[name].set_axis_off()
        said = "; ".join(f"{answer.name} {answer.probability:.1%}" for answer in answers)
        texts = {"the photograph": "bức ảnh", "kernels of conv1": "các kernel của conv1", "probability": "xác suất",
                 "its best guesses": "các dự đoán tốt nhất",
                 f"what {classes[right][:14]} depends on": f"{classes[right][:14]} dựa vào đâu"}
        words = (f"The photograph; bright, the pixels on which the score of {classes[right]} depends; the "
                 f"{len(kernels)} kernels of conv1, in colours; the best guesses: {said}.",
                 f"Bức ảnh; sáng lên, những điểm ảnh mà điểm số của {classes[right]} phụ thuộc vào; {len(kernels)} "
                 f"kernel của conv1, bằng màu; các dự đoán tốt nhất: {said}.")
        return drawing, texts, words, answers, gradient

    def nudged(gradient):
        """Rows of a table: every colour moved by so many levels along the sign of the gradient, what the gradient
        predicts for the score of the class, what the network gives, and the probability."""
        about, levels = model.shown, np.array([0, 0.01, 0.1, 1])
        step = np.sign(gradient) * (about.scale / np.reshape(about.deviation, (3, 1, 1)))
        step = step[::-1] if about.channels == "BGR" else step
        images = model.prepare([pixels]) + levels[:, None, None, None] * step
        with no_grad():
            scores = model.net(Tensor(images.astype(np.float32)))
        found, chances = scores.numpy()[:, right], scores.softmax().numpy()[:, right]
        predicted = levels * float(np.abs(gradient).sum(dtype=np.float64))
        rise = [f"{x:.4f}" for x in predicted], [f"{x - found[0]:.4f}" for x in found]
        return [[f"{level:g}", *each, f"{p:.2%}"] for level, *each, p in zip(levels, *rise, chances, strict=True)]

    seen, seen_texts, seen_words, answers, of_score = look()
    rows_of_score = nudged(of_score)
    thing, best = model.classes[right], answers[0].name
    verdict = f"It takes the picture for **{best}**, " + ("which is right." if best == thing else (
        f"and that is wrong. {thing.capitalize()} gets {rows_of_score[0][-1]}."))
    verdict_vi = f"Nó cho rằng bức ảnh là **{best}**, " + ("và thế là đúng." if best == thing else (
        f"và thế là sai. {thing.capitalize()} được {rows_of_score[0][-1]}."))
    mo.vstack([picture(seen, seen_words[0], vi=seen_words[1], texts=seen_texts), say(f"""
        {verdict} The grey picture is the gradient of the score (the *logit*) of {thing} with respect to the pixels,
        made by one `backward()`: the brighter a square, the more the score changes if each of its 8 × 8 pixels
        becomes a little lighter or darker, whichever raises it.

        Is that true? We move every colour of every pixel by a small part of one of its 255 levels, up or down as the
        gradient says, and ask the network again:

    """, table([both("levels", "số mức"), both("rise predicted", "dự đoán tăng"),
               both("rise of the score", "điểm số tăng"), both("probability", "xác suất")], rows_of_score), """
        The smaller the step, the better the gradient predicts: a derivative holds for infinitely small steps. You would
        not even see a whole level, and yet it may change the answer.

        The kernels of the first convolution, conv1, are the only weights that can be looked at as pictures, since they
        alone see colours. Each is shown with its largest weight at full brightness; grey is 0. Chapter 13 measures what
        they have become.
    """, vi=[f"""
        {verdict_vi} Hình xám là gradient của điểm số (*logit*) của {thing} theo các điểm ảnh, tìm được bằng một lần
        `backward()`: ô càng sáng thì điểm số càng thay đổi nhiều khi mỗi điểm ảnh trong 8 × 8 điểm ảnh của ô sáng
        lên hoặc tối đi một chút, theo hướng làm điểm số tăng.

        Có đúng thế không? Ta dịch mọi màu của mọi điểm ảnh một phần nhỏ của một trong 255 mức, lên hoặc xuống như
        gradient nói, rồi hỏi mạng lần nữa:
    """, ..., """
        Bước càng nhỏ thì gradient dự đoán càng đúng: đạo hàm chỉ đúng cho những bước nhỏ vô cùng. Cả một mức bạn cũng
        không nhìn thấy được, vậy mà nó có thể thay đổi câu trả lời.

        Các kernel của tầng tích chập đầu tiên, conv1, là những trọng số duy nhất có thể xem như ảnh, vì chỉ chúng nhìn
        thấy màu. Mỗi kernel được vẽ sao cho trọng số lớn nhất của nó có độ sáng tối đa; màu xám là 0. Chương 13 đo xem
        chúng đã trở thành gì.
    """])])
    return


@app.cell
def _(model, pixels, right):
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

    image = Tensor(model.prepare([pixels]), requires_grad=True)
    steps = record(model.net, image, right)
    by_steps = gradients(steps[0].gx["a"])
    loss = ops.cross_entropy(model.net(image), np.array([right]))
    loss.backward()
    pairs = zip(by_steps, gradients(image.grad.numpy()[0]), strict=True)
    apart = [np.abs(u - v).max() / (np.abs(v).max() or 1) for u, v in pairs]
    assert loss.item() == steps[-1].y["a"] and max(apart) < 1e-6
    stops = [i for i, s in enumerate(steps) if s.op not in ("split", "join", "part")]
    road = [(i, 0) for i in stops] + [(i, 1) for i in reversed(stops)]  # forwards and back, to be chosen further down
    say(f"""
        ## There and back

        The loss is L = −ln p = **{loss.item():.6f}**, since the network gives the right class, {model.classes[right]},
        the probability p = {np.exp(-loss.item()):.6f}. Guessing would cost ln {len(model.classes)} =
        {np.log(len(model.classes)):.6f}.

        Going backward does *not* mean running the network in reverse: no x is computed back from a y. Each step needs
        what it saw on the way forward, and gy, the gradient of the loss with respect to its output. It hands on gx, the
        gradient with respect to its input, which is the gy of the step before it. This is why AlexNet can be cut after
        every op, here into {len(steps)} steps, each with a small `backward(gy)` of its own.

        Does cutting change anything? We compare the gradients of the picture and of all {len(apart) - 1} arrays of
        parameters with those of one `loss.backward()`: {apart.count(0)} of {len(apart)} are the same to the last bit,
        and the largest difference, as a share of an array's largest entry, is {max(apart):.1g}.
    """, *["""
        This network normalises over both towers. Here each tower normalises all maps and keeps its own; the engine
        sends over only those that a window reaches beyond the cut.
    """] * any(s.op == "part" for s in steps), vi=[f"""
        ## Đi và về

        Mất mát là L = −ln p = **{loss.item():.6f}**, vì mạng gán cho lớp đúng, {model.classes[right]}, xác suất
        p = {np.exp(-loss.item()):.6f}. Đoán mò thì mất ln {len(model.classes)} = {np.log(len(model.classes)):.6f}.

        Đi ngược *không* có nghĩa là chạy mạng theo chiều ngược lại: không x nào được tính lại từ y. Mỗi bước cần những
        gì nó đã thấy lúc đi xuôi, và gy, gradient của mất mát theo đầu ra của nó. Nó trao đi gx, gradient theo đầu vào,
        cũng chính là gy của bước đứng trước nó. Nhờ vậy có thể cắt AlexNet sau mỗi phép toán, ở đây thành {len(steps)}
        bước, mỗi bước có một lần `backward(gy)` nhỏ của riêng nó.

        Cắt ra như thế có làm thay đổi gì không? Ta so gradient của bức ảnh và của cả {len(apart) - 1} mảng tham số với
        kết quả của một lần `loss.backward()`: {apart.count(0)} trong {len(apart)} giống nhau đến bit cuối cùng, và khác
        biệt lớn nhất, tính theo phần tử lớn nhất của mảng, là {max(apart):.1g}.
    """, *["""
        Mạng này chuẩn hoá trên cả hai tháp. Ở đây mỗi tháp chuẩn hoá mọi bản đồ rồi giữ phần của mình; minicnn chỉ gửi
        sang những bản đồ mà cửa sổ vươn qua ranh giới.
    """] * any(s.op == "part" for s in steps)])
    return forward, road, steps, strongest


@app.cell
def _(forward, right, steps, strongest):
    def products(w, x, names, place=lambda *index: index, bias=None):
        """Σ w · x + b: the first few products by size, how many more there are, and their sum."""
        each = w.astype(np.float64) * x
        first = np.argsort(-np.abs(each), axis=None, kind="stable")[:4]
        rows = [[", ".join(str(int(j)) for j in place(*np.unravel_index(n, each.shape))), w.flat[n], x.flat[n],
                 each.flat[n]] for n in first]
        total = each.sum() + (bias or 0)
        rest = f"{each.size - len(first):,}", f"{each.sum() - each.flat[first].sum():.6g}"
        told = both(f"These are the largest of {each.size:,} products, {np.sum(each == 0):,} of which are 0. The other "
                    f"{rest[0]} add up to {rest[1]}; " + (
                    f"all add up to **{total:.6g}**." if bias is None else
                    f"all add up to {each.sum():.6g}, and with the bias {bias:.6g} to **{total:.6g}**."),
                    f"Đây là những tích lớn nhất trong {each.size:,} tích, trong đó {np.sum(each == 0):,} bằng 0. "
                    f"{rest[0]} tích còn lại góp {rest[1]}; " + (
                    f"tổng tất cả là **{total:.6g}**." if bias is None else
                    f"tổng tất cả là {each.sum():.6g}, và cộng bias {bias:.6g} là **{total:.6g}**."))
        return [table(names, rows), told], total

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
        mask = int(x[at] > 0)
        return [both(f"x was {x[at]:.6g}, so the mask is {mask}; gy is {gy[at]:.6g}: gx = **{gx:.6g}**.",
                     f"x là {x[at]:.6g}, nên mặt nạ là {mask}; gy là {gy[at]:.6g}: gx = **{gx:.6g}**.")], gx

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
        place = [both("channel j", "kênh j"), both("row, column j", "hàng, cột j")][len(axes) - 1]
        return [table([place, *names], rows),
                *[both(f"These are the largest of {len(places)}.", f"Đây là những số lớn nhất trong {len(places)} số.")]
                * (len(places) > len(rows))]

    def lrn(s, layer, x, *at):
        """y = x / d^β, d = k + α Σ x[j]² over the neighbours j: channels, or, within a map, places"""
        d, places, axes = norm(layer, x, *at)
        y = x[at] / d**layer.beta
        told = largest(["x[j]", "x[j]²"], places, lambda j: x[j], axes, lambda j: (x[j], float(x[j]) ** 2))
        sums = f"d = {layer.k:g} + {layer.alpha:g} · {(d - layer.k) / (layer.alpha or 1):.6g} = {d:.6g}"
        return [*told, f"{sums}, y = {x[at]:.6g} / {d:.6g}^{layer.beta:g} = **{y:.6g}**."], y

    def lrn_back(s, layer, x, gy, *at):
        """gx = gy / d^β − 2αβ x Σ gy[j] y[j] / d[j] over all j in whose window this x is"""
        here, places, axes = norm(layer, x, *at)
        d = {j: norm(layer, x, *j)[0] for j in places}
        y = {j: float(x[j]) / d[j] ** layer.beta for j in places}
        each = {j: float(gy[j]) * y[j] / d[j] for j in places}
        own, others = gy[at] / here**layer.beta, 2 * layer.alpha * layer.beta * x[at] * sum(each.values())
        told = largest(["gy[j]", "y[j]", "d[j]", "gy y / d"], places, each.get, axes,
                       lambda j: (gy[j], y[j], d[j], each[j]))
        gx = f"gx = **{own - others:.6g}**"
        words = both(f"Through its own y came gy / d^β = {own:.6g}, through all these d came {others:.6g}: {gx}.",
                     f"Qua y của chính nó có gy / d^β = {own:.6g}, qua mọi d ở trên có {others:.6g}: {gx}.")
        return [*told, words], own - others

    def window(layer, x, c, p, q):
        """The numbers of a window of pooling, and the row and column of the first of its largest."""
        P, Q = p * layer.stride, q * layer.stride
        seen = x[c, P : P + layer.size, Q : Q + layer.size]
        return seen, (P + int(seen.argmax()) // seen.shape[1], Q + int(seen.argmax()) % seen.shape[1])

    def pool(s, layer, x, c, p, q):
        """y = the largest x of the window"""
        seen, winner = window(layer, x, c, p, q)
        columns, lines = ([first * layer.stride + j for j in range(layer.size)] for first in (q, p))
        names = ["", *(both(f"column {j}", f"cột {j}") for j in columns)]
        rows = [[both(f"row {j}", f"hàng {j}"), *line] for j, line in zip(lines, seen, strict=False)]
        return [table(names, rows), both(f"The winner stands in row, column {winner}: **{seen.max():.6g}**.",
                                         f"Số thắng nằm ở hàng, cột {winner}: **{seen.max():.6g}**.")], seen.max()

    def pool_back(s, layer, x, gy, c, h, w):
        """gx = Σ gy of the windows that this x won"""
        inside = [(p, q) for p, q in np.ndindex(gy.shape[1:]) if 0 <= h - p * layer.stride < layer.size
                  and 0 <= w - q * layer.stride < layer.size]
        winners = [window(layer, x, c, p, q)[1] for p, q in inside]
        gx = sum(gy[c, p, q] for (p, q), winner in zip(inside, winners, strict=True) if winner == (h, w))
        rows = [[f"{p}, {q}", gy[c, p, q], f"{a}, {b}"] for (p, q), (a, b) in zip(inside, winners, strict=True)]
        won = winners.count((h, w))
        told = both(f"This is x at {h}, {w}. It won {won} of {len(inside)} windows: gx = **{gx:.6g}**.",
                    f"Đây là x tại {h}, {w}. Nó thắng {won} trong {len(inside)} cửa sổ: gx = **{gx:.6g}**.")
        return [table([both("window p, q", "cửa sổ p, q"), "gy", both("won by x at", "x thắng tại")], rows), told], gx

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
        name, total = "gy" if back else "x", sum(value for value, _, _ in parts)
        sums = [" + ".join(f"{value:.6g} ({name} {of} {t} {at} {place})" for value, t, place in parts) or nothing
                for of, at, nothing in (("of tower", "at", "not kept: nothing"), ("của tháp", "tại", "không được giữ"))]
        factors = [f", {words} {factor:g}" * (factor != 1) for words in ("with the factor", "với hệ số")]
        return [both(*(f"{each} = **{total:.6g}**{of}" for each, of in zip(sums, factors, strict=True)))], total

    def entropy(s, layer, x):
        """L = −ln p[label], p = eˣ / Σ eˣ; the largest x is taken off from all first, so that no eˣ is too large"""
        shifted = x.astype(np.float64) - x.max()
        total, own = np.exp(shifted).sum(), shifted[s.label]
        end = f"L = ln {total:.6g} − ({own:.6g}) = **{np.log(total) - own:.6g}**"
        return [both(f"The largest of {len(x)} x is {x.max():.6g}. Less that, x[label] is {own:.6g} and Σ eˣ is "
                     f"{total:.6g}: {end}.",
                     f"Số lớn nhất trong {len(x)} x là {x.max():.6g}. Trừ số đó đi, x[label] là {own:.6g} và Σ eˣ là "
                     f"{total:.6g}: {end}.")], np.log(total) - own

    def entropy_back(s, layer, x, gy, j):
        """gx = p − 1[label]"""
        p, one = np.exp(x.astype(np.float64) - x.max()), int(j == s.label)
        p = p[j] / p.sum()
        end = f"gx = {p:.6g} − {one} = **{p - one:.6g}**"
        return [both(f"p is {p:.6g}, and {j} is {'' if one else 'not '}the label: {end}.",
                     f"p là {p:.6g}, và {j} {'' if one else 'không '}phải là nhãn: {end}.")], p - one

    OPS = {"Conv2d": ("convolution", conv, conv_back), "Linear": ("linear layer", linear, linear_back),
           "LocalResponseNorm": ("local response normalisation", lrn, lrn_back), "ReLU": ("ReLU", relu, relu_back),
           "MapResponseNorm": ("normalisation within a map", lrn, lrn_back),
           "MaxPool2d": ("max-pooling", pool, pool_back), "loss": ("cross-entropy", entropy, entropy_back),
           "split": ("picture for each tower", moved, moved), "Flatten": ("flatten", moved, moved),
           "join": ("concatenation", moved, moved), "part": ("each tower's own", moved, moved),
           "Dropout": ("dropout, idle", moved, moved)}
    IN_VIETNAMESE = {
        "convolution": "tích chập", "linear layer": "tầng tuyến tính", "max-pooling": "gộp cực đại",
        "local response normalisation": "chuẩn hoá phản ứng cục bộ", "cross-entropy": "entropy chéo",
        "normalisation within a map": "chuẩn hoá trong một bản đồ", "flatten": "duỗi phẳng",
        "picture for each tower": "ảnh cho mỗi tháp", "concatenation": "ghép nối",
        "each tower's own": "phần riêng của mỗi tháp", "dropout, idle": "dropout, đứng yên",
    }

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
            kind = OPS[steps[i].op][0]
            yield [f"{steps[i].place}, {both(kind, IN_VIETNAMESE.get(kind, kind))}", by_hand, engine, told]

    say("""
        ## By hand, by backward, by differences

        AlexNet has two towers, a and b: two halves that work side by side, and meet at conv3 and in the layers fc6, fc7
        and fc8 (chapter 10). The letters fc are short for fully connected: each unit reads every number of the layer
        before. Here are the first convolution and the last op of every kind, each at the entry with the largest
        gradient. *By hand* means that this one number is added up from the arrays of its step. *Differences* means that
        the entry is moved a little both ways and that everything behind it is computed again, in double precision.
    """, table([both("step", "bước"), both("by hand", "bằng tay"), "backward", both("differences", "sai phân")],
               list(compare())), vi=["""
        ## Bằng tay, bằng backward, bằng sai phân

        AlexNet có hai tháp, a và b: hai nửa làm việc bên cạnh nhau, và gặp nhau ở conv3 và ở các tầng fc6, fc7 và fc8
        (chương 10). Chữ fc viết tắt cho fully connected, kết nối đầy đủ: mỗi nơ-ron đọc mọi số của tầng trước. Đây là
        tầng tích chập đầu tiên và phép toán cuối cùng của mỗi loại, mỗi phép toán tại phần tử có gradient lớn nhất.
        *Bằng tay* nghĩa là riêng con số này được cộng ra từ các mảng của bước đó. *Sai phân* nghĩa là phần tử được dịch
        một chút về cả hai phía và mọi thứ phía sau nó được tính lại, với độ chính xác kép.
    """, ...])
    return IN_VIETNAMESE, OPS, differences, explain


@app.cell
def _(entry, road):
    step = mo.ui.slider(0, len(road) - 1, value=0, label=both("step", "bước"), show_value=True, full_width=True)
    mo.vstack([say(f"""
        ## Any number of any step

        Steps 0 to {len(road) // 2 - 1} go forwards, from the first convolution to the loss; {len(road) // 2} to
        {len(road) - 1} come back to the photograph. Steps that only hand numbers to the other tower are left out. The
        marked entry is the one with the largest absolute value. For another one, write its tower, channel, row and
        column, such as `b 2 10 12`, or the tower and the number of a unit. Numbers above 0 are orange, numbers below 0
        purple; where none is below 0, the brighter the larger.
    """, vi=[f"""
        ## Con số bất kỳ của bước bất kỳ

        Các bước từ 0 đến {len(road) // 2 - 1} đi xuôi, từ tầng tích chập đầu tiên đến mất mát; từ {len(road) // 2} đến
        {len(road) - 1} đi ngược về bức ảnh. Những bước chỉ chuyển các số sang tháp kia được bỏ qua. Phần tử được đánh
        dấu là phần tử có giá trị tuyệt đối lớn nhất. Muốn xem phần tử khác, hãy viết tháp, kênh, hàng và cột của nó,
        như `b 2 10 12`, hoặc tháp và số thứ tự của nơ-ron. Số lớn hơn 0 màu cam, số nhỏ hơn 0 màu tím; ở đâu không có
        số nào nhỏ hơn 0 thì càng sáng là càng lớn.
    """]), step, entry])
    return (step,)


@app.cell
def _(entry, road, step, steps, strongest):
    def choose():
        """The array of a step: forwards, y; then, from the loss down, gx. And one entry of it."""
        i, back = road[step.value]
        arrays, words = steps[i].gx if back else steps[i].y, str(entry.value).replace(",", " ").split()
        own = max(arrays, key=lambda tower: np.abs(arrays[tower]).max())
        at, complaint = strongest(arrays[own]), None
        if words:
            tower = words.pop(0) if words[0] in arrays else "a"
            asked = tuple(int(word) if word.isdecimal() else -1 for word in words)
            shape = arrays[tower].shape
            if len(asked) == len(shape) and all(0 <= j < n for j, n in zip(asked, shape, strict=True)):
                own, at = tower, asked
            else:
                complaint = say(f"`{str(entry.value).replace('`', ' ')}` is no entry of {shape}, counted from 0, in a "
                                "tower: here is the largest instead.", vi=[
                                    f"`{str(entry.value).replace('`', ' ')}` không phải là phần tử của {shape}, đếm từ "
                                    "0, trong một tháp: ở đây là phần tử lớn nhất."])
        return SimpleNamespace(count=step.value, i=i, s=steps[i], back=back, tower=own, array=arrays[own],
                               arrays=arrays, at=tuple(map(int, at)), complaint=complaint,
                               shared=len(arrays) < len(steps[0].y))

    now = choose()
    return (now,)


@app.cell
def _(IN_VIETNAMESE, OPS, differences, explain, now, right, steps):
    def as_map(array):
        """A vector in rows, as square as they can be."""
        wide = next(n for n in range(int(np.ceil(np.sqrt(array.size))), array.size + 1) if array.size % n == 0)
        return array.reshape(-1, wide)

    def draw():
        drawing, towers = figure(5.5, 4.4), [*now.arrays]
        panels = drawing.subplot_mosaic([["strip"] * (len(towers) + 1), [*towers, "map"]],
                                        height_ratios=[1, 2.6], width_ratios=[1] * len(towers) + [2])
        strip, chart = panels["strip"], panels["map"]
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
        arrays = now.arrays if now.array.ndim else now.s.x  # of the loss, what it sees
        most = max(float(np.abs(array).max()) for array in arrays.values()) or 1.0
        signed = now.back or min(float(array.min()) for array in arrays.values()) < 0
        look = {"cmap": "PuOr_r" if signed else "viridis", "vmin": -most if signed else 0, "vmax": most}
        for t, array in arrays.items():
            maps, nothing = array if array.ndim == 3 else as_map(array)[None], np.nan
            chosen = sorted(np.argsort(-np.abs(maps).max(axis=(1, 2)), kind="stable")[:12])
            panels[t].imshow(tiled(maps[chosen], -(-len(chosen) // 4), between=nothing)[:-1, :-1], **look)
            panels[t].set_title(f"tower {t}" if not now.shared else "both", fontsize=10)
            panels[t].set_axis_off()
        maps, at = arrays[now.tower], now.at or (right,)
        shown = maps[at[0]] if maps.ndim == 3 else as_map(maps)
        spot = at[1:] if maps.ndim == 3 else divmod(at[0], shown.shape[1])
        drawing.colorbar(chart.imshow(shown, **look), ax=chart, shrink=0.8)
        one, one_vi = ((f"channel {at[0]} of {now.tower}", f"kênh {at[0]} của {now.tower}") if maps.ndim == 3 else
                       ("one number each", "mỗi nơ-ron một số"))  # fmt: skip
        chart.set_title(one, fontsize=10)
        for colour, edge in (("white", 3), ("black", 1)):
            chart.plot(*reversed(spot), "s", ms=9, mfc="none", mec=colour, mew=edge)
        return drawing, {
            "picture": "ảnh", "loss": "mất mát", "both" if now.shared else "tower": "cả hai" if now.shared else "tháp",
            "backwards" if now.back else "forwards": "ngược" if now.back else "xuôi", one: one_vi,
        }  # fmt: skip

    def tell():
        at = now.at
        (parts, _, engine), (name, *formulas) = explain(now.i, now.tower, at, now.back), OPS[now.s.op]
        what, way = ("gx", "backwards") if now.back else ("y", "forwards")
        parts += [both(f"The engine has {engine:.6g}, which is the same in single precision.",
                       f"minicnn có {engine:.6g}, ở độ chính xác đơn thì như nhau.")]
        if now.back:
            across, left, beyond, verdict = differences(now.i, now.tower, at)
            error = abs(across - engine) / (max(abs(across), abs(engine)) or 1)
            sides = f"the slope is {left:.6g} to the left and {beyond:.6g} to the right"
            sides_vi = f"độ dốc là {left:.6g} về bên trái và {beyond:.6g} về bên phải"
            parts += [both(
                f"**Moved a little** both ways, this entry of x changes the loss by {across:.6g} per unit. " + {
                    "alike": f"Backward says {engine:.6g}; the relative error is {error:.0e}.",
                    "a kink": f"But here is a kink: {sides}, so no derivative. Backward says {engine:.6g}: of equal "
                              "numbers the first wins a window, and at 0 the slope of ReLU is 0.",
                    "different": f"Backward says {engine:.6g}, which differs by {error:.0e}; {sides}."}[verdict],
                f"**Dịch một chút** về cả hai phía, phần tử này của x làm mất mát đổi {across:.6g} mỗi đơn vị. " + {
                    "alike": f"Backward nói {engine:.6g}; sai số tương đối là {error:.0e}.",
                    "a kink": f"Nhưng ở đây có điểm gãy: {sides_vi}, nên không có đạo hàm. Backward nói {engine:.6g}: "
                              "trong các số bằng nhau, số đầu tiên thắng cửa sổ, và tại 0 độ dốc của ReLU là 0.",
                    "different": f"Backward nói {engine:.6g}, lệch đi {error:.0e}; {sides_vi}."}[verdict])]
        of = [("all", now.array), *((f"channel {c}", now.array[c]) for c in at[: now.array.ndim == 3])]
        where = ", ".join(map(str, at)) or "its only place"
        words = f"The steps of both towers, this one marked; the maps of {what} in each tower; {of[-1][0]} of tower "
        words += f"{now.tower}, from {of[-1][1].min():.6g} to {of[-1][1].max():.6g}, with the entry at {where} marked."
        channel = f"kênh {at[0]}" if now.array.ndim == 3 else "tất cả"
        words_vi = (f"Các bước của cả hai tháp, bước này được đánh dấu; các bản đồ của {what} trong mỗi tháp; "
                    f"{channel} của tháp {now.tower}, từ {of[-1][1].min():.6g} đến {of[-1][1].max():.6g}, phần tử tại "
                    f"{where} được đánh dấu.")
        drawing, texts = draw()
        shown = picture(drawing, words, vi=words_vi, texts=texts)
        return mo.vstack([*[now.complaint] * (now.complaint is not None), shown, say(f"""
            ### Step {now.count}, {now.s.place}: {name}, {way}

            {what} of tower {now.tower} has the shape {now.array.shape}{" and belongs to both towers" * now.shared}.
        """, table([both("of", "của"), both("mean", "trung bình"), both("least", "nhỏ nhất"),
                   both("most", "lớn nhất"), both("zeros", "số không")],
                  [[both(n, n.replace("all", "tất cả").replace("channel", "kênh")), a.mean(), a.min(), a.max(),
                    f"{np.mean(a == 0):.2%}"] for n, a in of]), f"""
            The entry at {where}, by hand, with {formulas[now.back].__doc__}:
        """, *parts, vi=[f"""
            ### Bước {now.count}, {now.s.place}: {IN_VIETNAMESE.get(name, name)}, {"ngược" if now.back else "xuôi"}

            {what} của tháp {now.tower} có kích thước {now.array.shape}{" và thuộc về cả hai tháp" * now.shared}.
        """, ..., f"""
            Phần tử tại {where}, tính bằng tay, theo {formulas[now.back].__doc__}:
        """, *[...] * len(parts)])])

    tell()
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # L = −ln p[label], p = eˣ / Σ eˣ, for one picture whose label is 2
    p = np.exp(x) / np.exp(x).sum()
    gx = np.zeros_like(x)
    gx[2] = gy * (p[2] - 1)  # it has to rise; and the others?
    return gx
'''
    answer = start.replace("np.zeros_like(x)", "gy * p")

    def check(backward):
        gradcheck(lambda x: np.log(np.exp(x).sum()) - x[2], np.array([0.5, -1.0, 2.0, 0.0]), backward=backward)

    asked = "backward"
    tries = {
        both("only gy forgotten", "chỉ quên gy"):
            answer.replace("gy * p", "p.copy()").replace("gy * (p[2] - 1)", "p[2] - 1"),
        both("the wrong sign", "sai dấu"):
            answer.replace("gy * p", "-gy * p").replace("gy * (p[2] - 1)", "gy * (1 - p[2])"),
        both("the slope of p, not of L", "độ dốc của p chứ không phải của L"):
            start.replace("np.zeros_like(x)", "gy * p * (1 - p)"),
        both("divided by the number of classes", "chia cho số lớp"): answer.replace("return gx", "return gx / len(x)"),
    }
    say("""
        ## Exercise

        Mend the first step back, that of the loss. Below it stands what `gradcheck` says about the answer.
    """, vi=["""
        ## Bài tập

        Hãy sửa bước đầu tiên trên đường về, bước của hàm mất mát. Bên dưới là điều `gradcheck` nói về câu trả lời.
    """])
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
