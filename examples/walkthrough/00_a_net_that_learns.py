"""Chapter 0: a net that learns. The words, a loss that falls, and one step of training taken apart."""

import marimo

app = marimo.App(app_title="0 · A net that learns")

with app.setup:
    import marimo as mo
    import numpy as np
    from page import answer_box, attempt, both, figure, one_answer, picture, say
    from scene import scene

    from minicnn import Tensor, gradcheck, no_grad, ops


@app.cell
def _():
    say("""
        # 0 · A net that learns

        Two spirals are wound around each other, one of blue circles, one of orange squares. A neural network is shown
        these 200 points and told which spiral each belongs to. Nobody tells it what a spiral is. It begins with random
        numbers, and at each step it changes them a little. Press *Play* and watch it learn: the colour of the plane is
        what the net would say of a point at that place.
    """, vi=["""
        # 0 · Một mạng đang học

        Hai đường xoắn ốc quấn lấy nhau, một đường gồm các hình tròn màu lam, một đường gồm các hình vuông màu cam. Một
        mạng nơ-ron được cho xem 200 điểm này và được cho biết mỗi điểm thuộc đường xoắn nào. Không ai nói cho nó biết
        đường xoắn ốc là gì. Nó bắt đầu với những con số ngẫu nhiên, và ở mỗi bước nó thay đổi chúng một chút. Hãy bấm
        *Play* và xem nó học: màu của mặt phẳng là câu trả lời của mạng cho một điểm nằm ở chỗ đó.
    """])
    return


@app.cell
def _():
    program = '''\
import numpy as np
from minicnn import nn, ops, optim

def spirals(random):
    t = np.sqrt(random.uniform(0.04, 1, 100))  # how far out
    arm = np.stack([t * np.cos(2 * np.pi * t), t * np.sin(2 * np.pi * t)], axis=1)
    points = np.concatenate([arm, -arm]) + random.normal(0, 0.03, (200, 2))
    return points.astype(np.float32), np.repeat([0, 1], 100)

random = np.random.default_rng(1)
points, labels = spirals(random)

net = nn.Sequential(
    nn.Linear(2, 16, generator=random), nn.Tanh(),
    nn.Linear(16, 16, generator=random), nn.Tanh(),
    nn.Linear(16, 2, generator=random))
sgd = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for step in range(120):
    loss = ops.cross_entropy(net(points), labels)  # forward
    sgd.zero_grad()
    loss.backward()  # backward
    sgd.step()  # update
'''

    def learn():
        """The program as it stands; after every step somebody looks at the net."""
        looked, names = [], {}

        def look():
            with no_grad():
                net, at = names["net"], np.linspace(REACH, -REACH, SIDE, dtype=np.float32)
                y, x = np.meshgrid(at, -at, indexing="ij")
                shares = net(np.stack([x.ravel(), y.ravel()], axis=1)).softmax().numpy()[:, 1]
                logits = net(names["points"])
                loss = ops.cross_entropy(logits, names["labels"]).item()
                looked.append((loss, (logits.numpy().argmax(axis=1) == names["labels"]).mean(), shares))

        before, after = program.split("for step in range(120):\n")
        exec(before, names)
        look()
        for _ in range(120):
            exec(f"if True:\n{after}", names)
            look()
        losses, right, maps = zip(*looked, strict=True)
        assert abs(names["loss"].item() - losses[-2]) < 1e-6, "the loss that a step prints is that before it"
        return names["net"], names["points"], names["labels"], losses, right, maps

    SIDE, REACH, DIGITS = 44, 1.25, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    net, points, labels, losses, right, maps = learn()
    shown = range(0, 121, 3)
    assert losses[0] > np.log(2) / 2 > 10 * losses[-1] and right[-1] == 1
    scene("learning", {
        "points": points.round(3).astype(float), "labels": labels, "side": SIDE, "reach": REACH, "at": list(shown),
        "maps": ["".join(DIGITS[int(share * 63.99)] for share in maps[step]) for step in shown],
        "losses": np.round(losses, 4), "right": [right[step] for step in shown],
    }, f"Two spirals of 100 points each, and the plane coloured by what the net says. At first the border is nearly a "
       f"straight line and {right[0]:.0%} of the points are right; after 120 steps it winds between the spirals, and "
       f"{right[-1]:.0%} are. Below, the loss falls from {losses[0]:.3f} to {losses[-1]:.3f}.", 420)
    return labels, losses, net, points, program, right


@app.cell
def _(labels, losses, net, points, program, right):
    parameters = sum(p.size for p in net.parameters())
    logits = net(points[:1]).numpy()[0].astype(float)
    shares = np.exp(logits) / np.exp(logits).sum()
    assert labels[0] == 0 and shares[0] > 0.9 and abs(np.log(2) - 0.693) < 1e-3
    say("""
        ## The words

        This is the program that has just run: first the points, then the net, and at the end five lines that teach it.

    """, f"```python\n{program}```", f"""
        These are the words that all other chapters use:

        - A **unit** is one number that a layer computes: it multiplies each input by a number, its **weight**, adds up
          the products, and adds a number of its own, the **bias**. `Linear(2, 16)` has 16 units, each with 2 weights
          and a bias. `Tanh` then bends each number into the range from −1 to 1. Without that bend, layer upon layer
          would still draw only straight borders.
        - The weights and biases are the **parameters**. This net has {parameters}. They are all that it learns.
        - The **label** of a point is its right answer, given as the number of a **class**: 0 for circles and 1 for
          squares.
        - A **batch** is what goes through the net at once: here all 200 points, an array of shape (200, 2).
        - The last layer gives two numbers for each point, the **logits**: the larger one wins. For the first point they
          are {logits[0]:.3f} and {logits[1]:.3f}. **Softmax** turns them into shares that add up to 1: it says
          {100 * shares[0]:.1f} % for circles.
        - The **loss** is one number that says how wrong the net is: −ln of the share that it gives to the right answer,
          averaged over the batch. It is called cross-entropy, `ops.cross_entropy` in the program. A net that is sure
          and right has a loss near 0. One that always says half and half has ln 2 = {np.log(2):.3f}. This one came from
          {losses[0]:.3f}, with {100 * right[0]:.0f} % right, down to {losses[-1]:.3f}, with {100 * right[-1]:.0f} %
          right.
        - A **step** is what the last four lines do: **forward** computes the loss, **backward** finds for each
          parameter how the loss would change if that parameter were a little larger, and the **update** moves each
          parameter a little in the direction in which the loss falls. How far it moves is set by the **learning rate**,
          `lr`. The kind of update is called stochastic gradient descent, `SGD`. Two details: backward adds to what it
          found before, so `zero_grad()` first sets that to 0, and with `momentum=0.9` each move also repeats 0.9 of the
          move before, as a rolling ball keeps its speed.
    """, vi=["""
        ## Các thuật ngữ

        Đây là chương trình vừa chạy: trước hết là các điểm, rồi đến mạng, và cuối cùng là năm dòng dạy cho nó.
    """, ..., f"""
        Đây là những thuật ngữ mà mọi chương khác đều dùng:

        - Một **nơ-ron** (unit, đơn vị) là một con số mà một tầng (layer) tính ra: nó nhân mỗi đầu vào với một số, gọi
          là **trọng số** (weight) của đầu vào ấy, cộng các tích lại, rồi cộng thêm một số của riêng nó, gọi là
          **bias**. `Linear(2, 16)` có 16 nơ-ron, mỗi nơ-ron có 2 trọng số và một bias. Sau đó `Tanh` uốn mỗi số vào
          khoảng từ −1 đến 1. Không có chỗ uốn đó thì chồng bao nhiêu tầng cũng chỉ vẽ được những ranh giới thẳng.
        - Các trọng số và bias là **tham số** (parameter). Mạng này có {parameters} tham số. Đó là tất cả những gì nó
          học.
        - **Nhãn** (label) của một điểm là câu trả lời đúng cho nó, viết bằng số thứ tự của một **lớp** (class): 0 cho
          hình tròn và 1 cho hình vuông.
        - Một **lô** (batch) là những gì đi qua mạng cùng một lúc: ở đây là cả 200 điểm, một mảng có kích thước (200,
          2).
        - Tầng cuối cho hai số với mỗi điểm, gọi là **logit**: số lớn hơn thắng. Với điểm đầu tiên, chúng là
          {logits[0]:.3f} và {logits[1]:.3f}. **Softmax** biến chúng thành những tỉ lệ có tổng bằng 1: nó cho hình tròn
          {100 * shares[0]:.1f} %.
        - **Hàm mất mát** (loss) là một con số cho biết mạng sai đến mức nào: −ln của tỉ lệ mà nó gán cho câu trả lời
          đúng, lấy trung bình trên cả lô. Nó được gọi là cross-entropy, `ops.cross_entropy` trong chương trình. Mạng
          vừa chắc chắn vừa đúng có mất mát gần 0. Mạng lúc nào cũng trả lời nửa nọ nửa kia có ln 2 = {np.log(2):.3f}.
          Mạng này đi từ {losses[0]:.3f}, với {100 * right[0]:.0f} % trả lời đúng, xuống {losses[-1]:.3f}, với
          {100 * right[-1]:.0f} % trả lời đúng.
        - Một **bước** (step) là việc mà bốn dòng cuối làm: **lan truyền xuôi** (forward) tính hàm mất mát, **lan truyền
          ngược** (backward) tìm cho từng tham số xem mất mát thay đổi ra sao nếu tham số ấy lớn hơn một chút, và bước
          **cập nhật** (update) dịch từng tham số một chút theo hướng làm mất mát giảm. Dịch bao xa là do **tốc độ học**
          (learning rate), `lr`, quyết định. Kiểu cập nhật này gọi là stochastic gradient descent, `SGD`. Hai chi tiết:
          lan truyền ngược cộng thêm vào những gì nó đã tìm thấy trước đó, nên trước hết `zero_grad()` đặt chúng về 0;
          và với `momentum=0.9`, mỗi lần dịch còn lặp lại 0.9 của lần dịch trước, như một quả bóng đang lăn giữ tốc độ
          của nó.
    """])
    return


@app.cell
def _():
    x, label, rate = np.array([[1.0, -0.5]]), np.array([1]), 0.5
    w1, w2 = np.array([[0.8, -0.4], [0.6, 1.2]]), np.array([[1.1, -0.7], [0.5, 0.9]])

    def loss_of(w1, w2):
        return ops.cross_entropy(ops.tanh(x @ w1) @ w2, label).item()

    def by_hand():
        a = x @ w1
        h = np.tanh(a)
        z = h @ w2
        p = np.exp(z) / np.exp(z).sum()
        loss = -np.log(p[0, label[0]])
        gz = p - [[0, 1]]  # the label is 1
        gw2 = h.T @ gz
        gh = gz @ w2.T
        ga = gh * (1 - h * h)
        gw1 = x.T @ ga
        return a, h, z, p, loss, gz, gw2, gh, ga, gw1

    def by_minicnn():
        t1, t2 = Tensor(w1, requires_grad=True), Tensor(w2, requires_grad=True)
        loss = ops.cross_entropy(ops.tanh(x @ t1) @ t2, label)
        loss.backward()
        return loss.item(), t1.grad.numpy(), t2.grad.numpy()

    a, h, z, p, loss, gz, gw2, gh, ga, gw1 = by_hand()
    found, found_gw1, found_gw2 = by_minicnn()
    assert abs(found - loss) < 1e-12
    assert np.allclose(found_gw1, gw1, rtol=1e-12) and np.allclose(found_gw2, gw2, rtol=1e-12)
    new_w1, new_w2 = w1 - rate * gw1, w2 - rate * gw2
    new_loss = loss_of(new_w1, new_w2)
    assert new_loss < loss
    return a, ga, gh, gw1, gw2, gz, h, label, loss, loss_of, new_loss, new_w1, new_w2, p, rate, w1, w2, x, z


@app.cell
def _():
    stage = mo.ui.slider(1, 6, step=1, value=1, label=both("part of the step", "phần của bước"), show_value=True)
    say("""
        ## One step, taken apart

        A net small enough to write every number down: two inputs, two units, two logits, no biases, and a batch of one
        point, whose right answer is class 1. Move the slider through the six parts of one step.
    """, vi=["""
        ## Mổ xẻ một bước

        Một mạng đủ nhỏ để viết ra mọi con số: hai đầu vào, hai nơ-ron, hai logit, không có bias, và một lô gồm một điểm
        có câu trả lời đúng là lớp 1. Hãy kéo thanh trượt qua sáu phần của một bước.
    """])
    return (stage,)


@app.cell
def _(ga, gh, gw1, gw2, gz, h, loss, new_loss, new_w1, new_w2, p, rate, stage, w1, w2, x, z):
    def draw_step(part):
        drawing = figure(5.6, 3.5)
        axes = drawing.subplots()
        layers = [x[0], h[0], z[0], p[0], [loss if part < 6 else new_loss]]
        upto = {1: 2, 2: 3}.get(part, 5)  # how many layers are computed
        none = [None, None]
        back = [none, ga[0] if part == 5 else none, gz[0] if part in (4, 5) else none, none, [None]]
        heights = [[1, 0]] * 4 + [[0.5]]
        for i, (before, after, gradient) in enumerate(((w1, new_w1, gw1), (w2, new_w2, gw2))):
            for j, k in np.ndindex(2, 2):
                y1, y2 = heights[i][j], heights[i + 1][k]
                axes.plot([i, i + 1], [y1, y2], color="0.75", lw=1.2, zorder=0)
                text = f"{gradient[j, k]:.3f}" if part == 5 else f"{(after if part == 6 else before)[j, k]:.3f}"
                along = 0.5 if j == k else 0.3
                axes.text(i + along, y1 + (y2 - y1) * along, text, ha="center", va="center", fontsize=10,
                          color="C1" if part >= 5 else "0.25", bbox={"fc": "white", "ec": "none", "pad": 1}, zorder=1)
        for i in (2, 3):
            for j in range(2):
                for k in range(2) if i == 2 else [0]:
                    axes.plot([i, i + 1], [heights[i][j], heights[i + 1][k]], color="0.75", lw=1.2, zorder=0)
        for i, (values, grads) in enumerate(zip(layers, back, strict=True)):
            for j, (value, grad) in enumerate(zip(values, grads, strict=True)):
                known = i < upto
                axes.text(i, heights[i][j], f"{value:.3f}" if known else "·", ha="center", va="center", fontsize=11,
                          weight="bold", zorder=2, bbox={"boxstyle": "round,pad=0.4", "fc": "white",
                                                         "ec": "C0" if known else "0.75", "lw": 1.5})
                if grad is not None:
                    axes.text(i, heights[i][j] - 0.2, f"∂ {grad:.3f}", ha="center", va="center", fontsize=10,
                              color="C1", weight="bold", zorder=2)
        for i, word in enumerate(("inputs x", "units h", "logits z", "shares p", "loss")):
            axes.text(i, 1.3, word, ha="center", fontsize=10)
        axes.set(xlim=(-0.45, 4.45), ylim=(-0.35, 1.45))
        axes.axis("off")
        return drawing

    parts = {
        1: f"""**Forward, the units.** Each unit weighs the two inputs and adds up, and tanh bends the sum. The upper
           unit:
           {x[0, 0]:g} · {w1[0, 0]:g} + ({x[0, 1]:g}) · {w1[1, 0]:g} = {(x @ w1)[0, 0]:.3f}, and
           tanh({(x @ w1)[0, 0]:.3f}) = **{h[0, 0]:.3f}**.""",
        2: f"""**Forward, the logits.** The same with the next weights, and without tanh. The upper logit:
           {h[0, 0]:.3f} · {w2[0, 0]:g} + ({h[0, 1]:.3f}) · {w2[1, 0]:g} = **{z[0, 0]:.3f}**.""",
        3: f"""**Forward, the loss.** Softmax makes shares of the logits: $p_k = e^{{z_k}} / (e^{{z_0}} + e^{{z_1}})$.
           The right
           answer is class 1, the lower one, and gets {p[0, 1]:.3f}. The loss is −ln {p[0, 1]:.3f} = **{loss:.3f}**.""",
        4: f"""**Backward, to the logits.** How does the loss change when a logit grows a little? For softmax with this
           loss
           the answer is short: share minus 1 for the right class, the share itself for all others. So the upper logit
           gets **{gz[0, 0]:.3f}**: if it grows, the loss grows. The lower one gets {p[0, 1]:.3f} − 1 =
           **{gz[0, 1]:.3f}**: if it grows, the loss falls.""",
        5: f"""**Backward, to the weights.** The upper unit reaches both logits. What comes back along both is added:
           {gz[0, 0]:.3f} · {w2[0, 0]:g} + ({gz[0, 1]:.3f}) · ({w2[0, 1]:g}) = {gh[0, 0]:.3f}. tanh has the slope 1 − h²
           = {1 - h[0, 0] ** 2:.3f} there, so before tanh it is {gh[0, 0]:.3f} · {1 - h[0, 0] ** 2:.3f} =
           **{ga[0, 0]:.3f}**. And the gradient of a weight is its input times what came back at its other end. At the
           top left: {x[0, 0]:g} · {ga[0, 0]:.3f} = **{gw1[0, 0]:.3f}**. The orange numbers on the lines are these.""",
        6: f"""**Update.** Every weight moves against its gradient, {rate:g} times as far, for the learning rate is
           {rate:g}.
           At the top left: {w1[0, 0]:g} − {rate:g} · ({gw1[0, 0]:.3f}) = **{new_w1[0, 0]:.3f}**. The point goes forward
           again through the new weights: the loss was {loss:.3f} and is now **{new_loss:.3f}**.""",
    }
    parts_vi = {
        1: f"""**Xuôi: các nơ-ron.** Mỗi nơ-ron nhân hai đầu vào với trọng số rồi cộng lại, và tanh uốn tổng ấy. Nơ-ron
           ở trên: {x[0, 0]:g} · {w1[0, 0]:g} + ({x[0, 1]:g}) · {w1[1, 0]:g} = {(x @ w1)[0, 0]:.3f}, và
           tanh({(x @ w1)[0, 0]:.3f}) = **{h[0, 0]:.3f}**.""",
        2: f"""**Xuôi: các logit.** Cũng như thế với các trọng số tiếp theo, nhưng không có tanh. Logit ở trên:
           {h[0, 0]:.3f} · {w2[0, 0]:g} + ({h[0, 1]:.3f}) · {w2[1, 0]:g} = **{z[0, 0]:.3f}**.""",
        3: f"""**Xuôi: mất mát.** Softmax biến các logit thành tỉ lệ:
           $p_k = e^{{z_k}} / (e^{{z_0}} + e^{{z_1}})$. Câu trả lời đúng là lớp 1, ở dưới, và nó được
           {p[0, 1]:.3f}. Mất mát là −ln {p[0, 1]:.3f} = **{loss:.3f}**.""",
        4: f"""**Ngược: đến các logit.** Mất mát thay đổi ra sao khi một logit tăng một chút? Với softmax và hàm mất mát
           này, câu trả lời rất gọn: tỉ lệ trừ 1 cho lớp đúng, chính tỉ lệ ấy cho các lớp khác. Vậy logit ở trên nhận
           **{gz[0, 0]:.3f}**: nếu nó tăng thì mất mát tăng. Logit ở dưới nhận {p[0, 1]:.3f} − 1 =
           **{gz[0, 1]:.3f}**: nếu nó tăng thì mất mát giảm.""",
        5: f"""**Ngược: đến các trọng số.** Nơ-ron ở trên đi đến cả hai logit. Những gì quay về theo hai đường được cộng
           lại: {gz[0, 0]:.3f} · {w2[0, 0]:g} + ({gz[0, 1]:.3f}) · ({w2[0, 1]:g}) = {gh[0, 0]:.3f}. Ở đó tanh có độ dốc
           1 − h² = {1 - h[0, 0] ** 2:.3f}, nên trước tanh nó là {gh[0, 0]:.3f} · {1 - h[0, 0] ** 2:.3f} =
           **{ga[0, 0]:.3f}**. Còn gradient của một trọng số là đầu vào của nó nhân với những gì quay về ở đầu kia. Góc
           trên bên trái: {x[0, 0]:g} · {ga[0, 0]:.3f} = **{gw1[0, 0]:.3f}**. Đó là những số màu cam trên các đường.""",
        6: f"""**Cập nhật.** Mỗi trọng số dịch ngược chiều gradient của nó, xa gấp {rate:g} lần, vì tốc độ học là
           {rate:g}. Góc trên bên trái: {w1[0, 0]:g} − {rate:g} · ({gw1[0, 0]:.3f}) = **{new_w1[0, 0]:.3f}**. Điểm ấy
           lại đi xuôi qua các trọng số mới: mất mát trước là {loss:.3f}, bây giờ là **{new_loss:.3f}**.""",
    }
    shown_p = f"The loss is {loss:.3f}" if stage.value < 6 else f"The loss was {loss:.3f} and is {new_loss:.3f}"
    shown_vi = f"Mất mát là {loss:.3f}" if stage.value < 6 else f"Mất mát từ {loss:.3f} thành {new_loss:.3f}"
    shown_vi = shown_vi if stage.value > 2 else "Mất mát chưa được tính"
    mo.vstack([
        stage,
        picture(draw_step(int(stage.value)), "A net of two inputs, two units, two logits, two shares and a loss, each "
                f"with its number, and the weights on the lines between them, at part {stage.value} of the step. "
                + (shown_p if stage.value > 2 else "The loss is not computed yet") + ".",
            vi=f"Một mạng gồm hai đầu vào, hai nơ-ron, hai logit, hai tỉ lệ và một mất mát, mỗi thứ kèm con số của "
               f"nó, và các trọng số trên những đường nối chúng, ở phần {stage.value} của bước. "
               f"{shown_vi}.",
            texts={"inputs": "đầu vào", "units": "nơ-ron", "logits": "logit", "shares": "tỉ lệ", "loss": "mất mát"}),
        say(parts[int(stage.value)], vi=[parts_vi[int(stage.value)]]),
    ])
    return


@app.cell
def _(ga, gh, gz):
    assert np.sign(ga[0, 0]) == np.sign(gh[0, 0])
    say(f"""
        ## The chain rule, and what `gy` means

        Look at part 5 once more. The loss depends on the logits, the logits on the units, the units on the weights. If
        $z$ grows twice as fast as $h$, and the loss three times as fast as $z$, then the loss grows six times as fast
        as $h$: rates along a chain are **multiplied**. This is the **chain rule**, and where a number is used twice,
        what comes back from both uses is **added**.

        So no layer needs to know the whole net. It is handed one thing: how the loss changes with its output $y$. In
        this walkthrough, and in minicnn's code, this is called **`gy`**, the gradient of the loss with respect to $y$.
        The layer multiplies it by its own slopes and hands on **`gx`**, the same for its input, and **`gw`** for its
        weights. For the second layer above `gy` is ({gz[0, 0]:.3f}, {gz[0, 1]:.3f}), and it hands on
        ({gh[0, 0]:.3f}, {gh[0, 1]:.3f}). Each chapter from here on is about one layer, and about how it makes `gx` and
        `gw` of `gy`.
    """, vi=[f"""
        ## Quy tắc dây chuyền, và ý nghĩa của `gy`

        Hãy nhìn lại phần 5. Mất mát phụ thuộc vào các logit, các logit phụ thuộc vào các nơ-ron, các nơ-ron phụ thuộc
        vào các trọng số. Nếu $z$ tăng nhanh gấp đôi $h$, và mất mát tăng nhanh gấp ba $z$, thì mất mát tăng nhanh gấp
        sáu $h$: các tốc độ dọc theo một dây chuyền được **nhân** với nhau. Đó là **quy tắc dây chuyền** (chain rule,
        đạo hàm của hàm hợp), và khi một số được dùng hai lần thì những gì quay về từ hai lần dùng được **cộng** lại.

        Vì vậy không tầng nào cần biết cả mạng. Nó chỉ được trao một thứ: mất mát thay đổi ra sao theo đầu ra $y$ của
        nó. Trong các chương này, và trong mã của minicnn, thứ đó gọi là **`gy`**, gradient của mất mát theo $y$. Tầng
        nhân nó với các độ dốc của chính mình rồi trao tiếp **`gx`**, cũng là thứ đó nhưng theo đầu vào, và **`gw`**
        theo các trọng số. Với tầng thứ hai ở trên, `gy` là ({gz[0, 0]:.3f}, {gz[0, 1]:.3f}), và nó trao tiếp
        ({gh[0, 0]:.3f}, {gh[0, 1]:.3f}). Từ đây trở đi, mỗi chương nói về một tầng, và về cách nó tạo ra `gx` và `gw`
        từ `gy`.
    """])
    return


@app.cell
def _(gw1, gw2, loss, loss_of, rate, w1, w2):
    def draw_rates():
        drawing = figure(5.6, 2.8)
        axes = drawing.subplots()
        axes.plot(rates, along)
        axes.plot([0, rate], [loss, loss_of(w1 - rate * gw1, w2 - rate * gw2)], "o", color="black")
        axes.plot(rates, loss - rates * steepness, "--", color="C1")
        axes.set_xlabel("learning rate", fontsize=10)
        axes.set_ylabel("loss after the step", fontsize=10)
        axes.set(ylim=(0, 1.1 * loss))
        axes.grid(alpha=0.3)
        return drawing

    rates = np.linspace(0, 3, 61)
    along = np.array([loss_of(w1 - r * gw1, w2 - r * gw2) for r in rates])
    steepness = (gw1**2).sum() + (gw2**2).sum()
    promised = loss - rate * steepness
    small = 1e-6
    assert abs((loss - loss_of(w1 - small * gw1, w2 - small * gw2)) / small - steepness) < 1e-4
    best = float(rates[along.argmin()])
    assert promised < loss_of(w1 - rate * gw1, w2 - rate * gw2) < loss and 0 < best < 3
    mo.vstack([
        say("""
            ## How far to go

            A gradient tells the truth about small steps only. Here is the loss after the same step with other learning
            rates:
        """, vi=["""
            ## Đi bao xa

            Gradient chỉ nói đúng về những bước nhỏ. Đây là mất mát sau cùng bước ấy với những tốc độ học khác:
        """]),
        picture(draw_rates(), f"The loss after one step over the learning rate: it falls from {loss:.3f}, first along "
                              "the dashed straight line that the gradient promises, then less and less, and beyond "
                              f"{best:.2g} it rises.",
            vi=f"Mất mát sau một bước theo tốc độ học: nó giảm từ {loss:.3f}, lúc đầu dọc theo đường thẳng đứt nét mà "
               f"gradient hứa hẹn, rồi giảm ít dần, và quá {best:.2g} thì nó tăng.",
            texts={"learning rate": "tốc độ học", "loss after the step": "mất mát sau bước này"}),
        say(f"""
            The dashed line is what the gradient promises: {promised:.3f} at a rate of {rate:g}. The step reaches
            {loss_of(w1 - rate * gw1, w2 - rate * gw2):.3f}, since the slope changes on the way, and with rates beyond
            {best:.2g} the loss rises again. So training takes many small steps, and asks for a new gradient before
            each. The program above takes 120.
        """, vi=[f"""
            Đường đứt nét là điều mà gradient hứa hẹn: {promised:.3f} với tốc độ {rate:g}. Bước này đạt
            {loss_of(w1 - rate * gw1, w2 - rate * gw2):.3f}, vì độ dốc thay đổi trên đường đi, và với tốc độ quá
            {best:.2g} thì mất mát lại tăng. Vì thế việc huấn luyện đi nhiều bước nhỏ, và hỏi một gradient mới trước mỗi
            bước. Chương trình ở trên đi 120 bước.
        """]),
    ])
    return


@app.cell
def _():
    start = '''def backward(gy, w, x, t):
    # A single unit and its loss: y = (w * x - t)²
    # x and t are given; w is to learn.
    return gy * 2 * (w * x - t)
'''
    answer = start.replace("(w * x - t)\n", "(w * x - t) * x\n")
    tries = {
        both("multiply by w", "nhân với w"): start.replace("(w * x - t)\n", "(w * x - t) * w\n"),
        both("the other way round", "trừ ngược lại"): start.replace("(w * x - t)\n", "(t - w * x) * x\n"),
        both("the square's 2 forgotten", "quên số 2 của phép bình phương"):
            start.replace("2 * (w * x - t)\n", "(w * x - t) * x\n"),
        both("gy left out", "bỏ sót gy"): start.replace("gy * 2 * (w * x - t)\n", "2 * (w * x - t) * x\n"),
    }

    def check(backward):
        x, t = np.array([2, -3, 4]), np.array([1, 0, -2])  # whole numbers: given, and not to be checked
        gradcheck(lambda w, x, t: (w * x - t) ** 2, np.array([0.4, -0.7, 1.2]), x, t,
                  backward=lambda gy, w, x, t: (backward(gy, w, x, t), None, None))

    asked = "backward"
    say("""
        ## Exercise

        One unit with one weight is to give $t$ for the input $x$, and its loss is $y = (w x - t)^2$. What is its
        gradient with respect to $w$? Go backward along the chain: the square has the slope 2 · (what is squared), and
        then something is missing. `gradcheck` moves $w$ a little, looks how the loss changes, and says below what it
        thinks of your answer.
    """, vi=["""
        ## Bài tập

        Một nơ-ron có một trọng số phải cho ra $t$ khi đầu vào là $x$, và mất mát của nó là $y = (w x - t)^2$. Gradient
        của nó theo $w$ là gì? Hãy đi ngược theo dây chuyền: phép bình phương có độ dốc 2 · (cái được bình phương), và
        rồi còn thiếu một thứ. `gradcheck` dịch $w$ một chút, xem mất mát thay đổi ra sao, và nói bên dưới nó nghĩ gì về
        câu trả lời của bạn.
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
