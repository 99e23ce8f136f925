"""Chapter 3: shapes. What was copied forwards is summed backwards; bias gradients; products found from their shapes."""

import marimo

app = marimo.App(app_title="3 · Shapes")

with app.setup:
    import inspect
    import itertools
    import re

    import marimo as mo
    import numpy as np
    from matplotlib.patches import Rectangle
    from page import answer_box, attempt, both, figure, one_answer, picture, say, table

    from minicnn import GradientError, Tensor, gradcheck, ops
    from minicnn.ops.arithmetic import summed_to


@app.cell
def _():
    def gradients(function, *arrays, gy):
        """The gradients of all inputs by the engine, given that of the output."""
        inputs = [Tensor(array, requires_grad=True) for array in arrays]
        function(*inputs).backward(gy)
        return [x.grad.numpy() for x in inputs]

    def verdict(function, *arrays, backward):
        """What gradcheck says of a backward written by hand: its verdicts, or what was seen; but not in which line."""
        try:
            gradcheck(function, *arrays, backward=backward)
        except GradientError as error:
            said = "; ".join(f"{v.name}: {v.text}" for v in error.verdicts) or str(error)
            return re.sub(r" in line \d+", "", said)
        return "right"

    def written(shape):
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"

    pairs = {f"{written(a)} + {written(b)}": (a, b) for a, b in [
        ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), (1, 3)), ((3, 1), (1, 4)), ((2, 3), (1,)), ((2, 3), ()),
        ((2, 3), (2, 3))]}
    say("""
        # 3 · Shapes

        A gradient **always** has the shape of its value, because every number of an array has a slope of its own. This
        simple rule goes a long way. It tells you where a backward has to sum and over which axes, and in a matrix
        product it even tells you what to multiply.
    """, vi=["""
        # 3 · Kích thước

        Gradient **luôn luôn** có cùng kích thước (shape) với giá trị của nó, vì mỗi con số trong một mảng có độ dốc
        riêng. Quy tắc đơn giản này rất có ích. Nó cho biết một hàm backward phải cộng ở đâu và theo những trục nào, và
        với phép nhân ma trận, nó thậm chí cho biết phải nhân cái gì với cái gì.
    """])
    return gradients, pairs, verdict, written


@app.cell
def _(pairs):
    pair = mo.ui.dropdown(list(pairs), value=next(iter(pairs)), label=both("shapes of a + b", "kích thước của a + b"))
    return (pair,)


@app.cell
def _(gradients, pair, pairs, written):
    def numbers_for(A, B):
        random = np.random.default_rng(3)
        a, b = random.integers(-4, 5, A).astype(float), random.integers(-4, 5, B).astype(float)
        return a, b, random.integers(1, 10, np.broadcast_shapes(A, B)).astype(float)

    def owners(shape, out):
        """For each place of the output: the number of the element that was copied to it."""
        return np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), out)

    def by_owner(g, shape):
        """Each element collects the gradient of all places it was copied to."""
        sums = np.zeros(np.prod(shape, dtype=int))
        for owner, share in zip(owners(shape, g.shape).flat, g.flat, strict=True):
            sums[owner] += share
        return sums.reshape(shape)

    A, B = pairs[pair.value]
    a, b, gy = numbers_for(A, B)
    ga, gb = gradients(ops.add, a, b, gy=gy)
    assert np.array_equal(ga, by_owner(gy, A)) and np.array_equal(gb, by_owner(gy, B))
    assert np.array_equal(gb, summed_to(gy, B)) and gb.sum() == gy.sum()
    assert ga.shape == A and gb.shape == B
    times_a, times_b = gradients(ops.multiply, a, b, gy=gy)
    assert np.array_equal(times_a, by_owner(gy * b, A)) and np.array_equal(times_b, by_owner(gy * a, B))
    axes = []
    for i, size in enumerate(gy.shape):
        own = i - (gy.ndim - len(B))
        axes.append([i, size, both("none", "không có") if own < 0 else B[own],
                     both("summed away", "cộng cho mất đi") if own < 0 else
                     both("summed, kept as 1", "cộng, giữ lại là 1") if B[own] == 1 else
                     both("as it is", "giữ nguyên")])

    def draw_flow():
        drawing = figure(5.6, 4.2)
        grid = drawing.subplots(2, 2, gridspec_kw={"width_ratios": [gy.shape[1], max(ga.shape[-1:] + gb.shape[-1:])]})
        for row, name, shape, g in zip(grid, "ab", (A, B), (ga, gb), strict=True):
            sides = ((f"gy: which number of {name} gets it", gy, owners(shape, gy.shape)),
                     (f"g{name} {written(shape)}", g, owners(shape, shape)))
            for axes, (title, values, to) in zip(row, sides, strict=True):
                flat, flat_to = np.atleast_2d(values), np.atleast_2d(to)
                axes.imshow(flat_to, cmap="cividis", vmin=-1.2 * g.size, vmax=max(1, g.size - 1), aspect="equal")
                for (i, j), value in np.ndenumerate(flat):
                    axes.text(j, i, f"{value:g}\n{name}{flat_to[i, j]}", ha="center", va="center", fontsize=10)
                axes.set(xticks=np.arange(flat.shape[1] + 1) - 0.5, yticks=np.arange(flat.shape[0] + 1) - 0.5)
                axes.tick_params(length=0, labelbottom=False, labelleft=False)
                axes.grid(color="white", lw=2)
                axes.set_title(title, fontsize=10)
        return drawing

    def collected_by(name, shape, g, word="collects"):
        to = owners(shape, gy.shape)
        return f"{name}0 {word} {' + '.join(f'{share:g}' for share in gy[to == 0])} = {g.flat[0]:g}"

    mo.vstack([
        say("""
            ## Copied forwards, summed backwards

            When two shapes differ, NumPy stretches the smaller one: it **copies** its numbers until both fit. This is
            called **broadcasting**. A number that was copied to several places is used several times, and you know from
            chapter 1 that what comes back along several uses is added. So whatever was copied forwards is summed
            backwards. Choose two shapes:
        """, vi=["""
            ## Xuôi thì sao chép, ngược thì cộng

            Khi hai kích thước khác nhau, NumPy kéo giãn mảng nhỏ hơn: nó **sao chép** các số cho đến khi hai bên vừa
            nhau. Việc đó gọi là **broadcasting**. Một số được chép đến nhiều chỗ tức là được dùng nhiều lần, và từ
            chương 1 bạn đã biết: những gì đi ngược về từ nhiều lần dùng thì cộng lại. Vậy cái gì sao chép lúc đi xuôi
            thì được cộng lúc đi ngược. Hãy chọn hai kích thước:
        """]),
        pair,
        picture(draw_flow(), f"Two rows, for a and for b. On the left gy, {written(gy.shape)}, each place marked with "
                             "the number that was copied to it; on the right the gradient, which sums over equal "
                             "marks. "
                             f"{collected_by('a', A, ga)}; {collected_by('b', B, gb)}.",
            vi=f"Hai hàng, cho a và cho b. Bên trái là gy, {written(gy.shape)}, mỗi ô ghi số nào đã được chép đến đó; "
               f"bên phải là gradient, tức tổng trên các ô có cùng dấu. {collected_by('a', A, ga, 'gom')}; "
               f"{collected_by('b', B, gb, 'gom')}.",
            texts={f"which number of {name} gets it": f"số nào của {name} nhận nó" for name in "ab"}),
        say(f"""
            Here {written(A)} and {written(B)} both become {written(gy.shape)}. On the left is `gy`, the gradient that
            reaches $y = a + b$. Its numbers are made up, and small, so that you can add them in your head. Under each
            stands which number of $a$, or of $b$, was copied to that place; b0 is the first number of $b$. On the
            right, each number has collected the gradients of its copies: {collected_by("b", B, gb)}. The values of $a$
            and $b$ do not matter here, because in a sum every slope is 1. Axis by axis, this happens for $b$, whose
            shape is {written(B)}:
        """, table([both("axis of y", "trục của y"), both("its size", "độ dài"), both("of b", "của b"), "gradient"],
                   axes), f"""
            That is the whole rule. An axis that $b$ does not have is summed away. An axis where $b$ has size 1 is
            summed, too, but kept. The engine's `gb` has the shape {written(gb.shape)} and adds up to {gb.sum():g}, as
            `gy` does: nothing was lost.
        """, vi=[f"""
            Ở đây {written(A)} và {written(B)} đều trở thành {written(gy.shape)}. Bên trái là `gy`, gradient đến được
            $y = a + b$. Các số của nó được bịa ra, và nhỏ, để bạn cộng nhẩm được. Dưới mỗi số ghi số nào của $a$, hoặc
            của $b$, đã được chép đến ô đó; b0 là số đầu tiên của $b$. Bên phải, mỗi số đã gom gradient của các bản sao
            của nó: {collected_by("b", B, gb, "gom")}. Giá trị của $a$ và $b$ ở đây không quan trọng, vì trong một tổng
            mọi độ dốc đều bằng 1. Xét từng trục, với $b$ có kích thước {written(B)} thì:
        """, ..., f"""
            Toàn bộ quy tắc chỉ có thế. Trục nào $b$ không có thì cộng cho mất đi. Trục nào mà $b$ có độ dài 1 thì cũng
            cộng, nhưng giữ lại trục. `gb` của minicnn có kích thước {written(gb.shape)} và tổng bằng {gb.sum():g}, đúng
            bằng tổng của `gy`: không có gì bị mất.
        """]),
    ])
    return


@app.cell
def _():
    source = inspect.getsource(summed_to)
    say("""
        ## The same in the engine

        In minicnn, every operator that stretches its inputs ends its backward with this function, from
        `ops/arithmetic.py`. It has two lines of code, and `total` in them is the sum over some axes. The first line
        sums over the axes that the shape does not have, the second over those of size 1, and keeps these:

    """, f"```python\n{source}```", """
        For $y = a + b$ every use has the slope 1, so `gy` itself is summed. For $y = a \\cdot b$ the slope towards $b$
        is $a$: first multiply place by place, `gy * a`, and then sum.
    """, vi=["""
        ## Cũng điều ấy trong minicnn

        Trong minicnn, mọi phép toán có kéo giãn đầu vào đều kết thúc phần backward bằng hàm này, trong
        `ops/arithmetic.py`. Nó có hai dòng lệnh, trong đó `total` là tổng theo một số trục. Dòng đầu cộng theo những
        trục mà kích thước cần có không có, dòng thứ hai cộng theo những trục dài 1 và giữ lại các trục ấy:
    """, ..., """
        Với $y = a + b$, mỗi lần dùng có độ dốc 1, nên chính `gy` được cộng. Với $y = a \\cdot b$, độ dốc theo $b$ là
        $a$: trước hết nhân từng ô, `gy * a`, rồi mới cộng.
    """])
    return


@app.cell
def _():
    def unsummed(b, gy):
        """A step downhill with a gradient that was not summed, as two ways to write it go."""
        stepped = b - 0.1 * gy
        try:
            b -= 0.1 * gy
        except ValueError as error:
            return stepped.shape, str(error)
        raise AssertionError("NumPy made room")

    grown, told = unsummed(np.zeros(3), np.ones((2, 3)))
    assert grown == (2, 3) and "broadcast" in told
    say(f"""
        ## If nobody sums

        What if $b$ has the shape (3,) and is handed `gy` as it is, with the shape (2, 3)? The update `b = b - 0.1 * gy`
        goes through, since NumPy stretches $b$ once more. Afterwards $b$ has the shape {grown}, a bias of its own for
        every image of the batch, and nothing has complained. The update `b -= 0.1 * gy` writes into $b$, which has no
        room for that, and NumPy says:

    """, f"> {told}", """
        This is why minicnn's `backward()` compares the shape of every gradient with that of its value before it goes
        on.
    """, vi=[f"""
        ## Nếu không ai cộng

        Nếu $b$ có kích thước (3,) mà nhận nguyên `gy` với kích thước (2, 3) thì sao? Phép cập nhật `b = b - 0.1 * gy`
        vẫn chạy, vì NumPy lại kéo giãn $b$ một lần nữa. Sau đó $b$ có kích thước {grown}, tức mỗi ảnh trong lô (batch)
        có một bias riêng, mà không ai phàn nàn gì. Còn phép cập nhật `b -= 0.1 * gy` ghi vào chính $b$, ở đó không đủ
        chỗ, và NumPy nói:
    """, ..., """
        Vì thế `backward()` của minicnn so kích thước của mỗi gradient với kích thước của giá trị trước khi đi tiếp.
    """])
    return


@app.cell
def _():
    batch = mo.ui.slider(1, 8, step=1, value=4, show_value=True,
                         label=both("images in the batch, N", "số ảnh trong lô, N"))
    return (batch,)


@app.cell
def _(batch, gradients):
    count, inputs, units = int(batch.value), 5, 3
    draws = np.random.default_rng(5)
    x, w, b_linear = (draws.standard_normal(size) for size in ((count, inputs), (units, inputs), units))
    g_linear = draws.integers(-4, 5, (count, units)).astype(float) + 0.5  # + 0.5: so that few sums are 0
    gb_linear = gradients(ops.linear, x, w, b_linear, gy=g_linear)[2]

    def slopes(h=1e-6):
        """Each bias moved a little: how much L = Σ y · gy changes."""
        def loss(b):
            return (ops.linear(x, w, b).numpy() * g_linear).sum()

        return np.array([(loss(b_linear + h * e) - loss(b_linear - h * e)) / (2 * h) for e in np.eye(units)])

    measured, summed, averaged = slopes(), g_linear.sum(axis=0), g_linear.mean(axis=0)
    assert np.allclose(measured, summed, atol=1e-6) and np.array_equal(gb_linear, summed)
    assert np.allclose(averaged * count, summed) and (count == 1) == np.allclose(averaged, summed)
    def draw_linear():
        drawing = figure(3.6, 0.32 * count + 1.5)
        axes = drawing.subplots()
        for n, k in np.ndindex(count, units):
            axes.text(k, n, f"{g_linear[n, k]:g}", ha="center", va="center", fontsize=11)
        for k in range(units):
            axes.add_patch(Rectangle((k - 0.45, -0.45), 0.9, count - 0.1, fill=False, ec="C0", lw=1.5))
            axes.annotate(f"{gb_linear[k]:g}", (k, count - 0.5), (k, count + 0.75), ha="center", va="center",
                          weight="bold", fontsize=11, arrowprops={"arrowstyle": "<-", "color": "C0"})
        axes.set(xlim=(-0.6, units - 0.4), ylim=(count + 1.2, -0.6))
        axes.set_title(f"gy ({count}, {units}), and its sums over the batch", fontsize=10)
        axes.axis("off")
        return drawing

    mo.vstack([
        say("""
            ## Sum or mean?

            A linear layer computes $y = x w^T + b$, where $y$ has the shape (N, K), one row for each of N images and
            one column for each of K units. The bias $b$ has the shape (K,): it is copied to every image of the batch.
            So its gradient is the **sum** over the batch, axis 0.
        """, vi=["""
            ## Tổng hay trung bình?

            Một tầng tuyến tính tính $y = x w^T + b$, trong đó $y$ có kích thước (N, K): mỗi ảnh trong N ảnh là một
            hàng, mỗi nơ-ron trong K nơ-ron là một cột. Bias $b$ có kích thước (K,): nó được chép cho mọi ảnh trong lô.
            Vậy gradient của nó là **tổng** trên cả lô, tức theo trục 0.
        """]),
        batch,
        picture(draw_linear(), f"gy of the linear layer, {count} rows and {units} columns, and below each column its "
                               f"sum: {', '.join(f'{g:g}' for g in gb_linear)}.",
            vi=f"gy của tầng tuyến tính, {count} hàng và {units} cột, dưới mỗi cột là tổng của nó: "
               f"{', '.join(f'{g:g}' for g in gb_linear)}.",
            texts={"and its sums over the batch": "và các tổng trên lô"}),
        say("""
            The numbers of `gy` are made up here, too. Many people write the mean in place of the sum. To see who is
            right, we need a loss that sends this `gy` back: $L = Σ\\, y · gy$ does, since it grows by `gy` when $y$
            grows by 1. We move each bias a little and measure how fast $L$ changes:
        """, table(["bias", both("measured", "đo được"), "minicnn", both("sum", "tổng"),
                     both("mean", "trung bình")],
                   [[f"b{k}", round(float(measured[k]), 6), gb_linear[k], summed[k], averaged[k]]
                    for k in range(units)]),
            "The mean is the sum divided by N." if count > 1 else "With one image, the mean and the sum are the same, "
            "and the mistake cannot be seen. So check a backward with a batch of more than one.", vi=["""
            Các số của `gy` ở đây cũng được bịa ra. Nhiều người viết trung bình thay cho tổng. Để biết ai đúng, ta cần
            một hàm mất mát gửi về đúng `gy` này: $L = Σ\\, y · gy$ làm được, vì nó tăng thêm `gy` khi $y$ tăng 1. Ta
            dịch mỗi bias một chút và đo xem $L$ thay đổi nhanh đến đâu:
        """, ..., "Trung bình là tổng chia cho N." if count > 1 else
            "Với một ảnh, trung bình và tổng bằng nhau, nên không thấy được lỗi. Vì vậy hãy kiểm tra một hàm backward "
            "với lô có nhiều hơn một ảnh."]),
    ])
    return


@app.cell
def _():
    def from_cross_entropy(n):
        logits = Tensor(np.random.default_rng(1).standard_normal((n, 3)), requires_grad=True)
        ops.cross_entropy(logits, np.zeros(n, int)).backward()
        share = logits.softmax().numpy() - np.eye(3)[np.zeros(n, int)]
        return np.allclose(logits.grad.numpy(), share / n)

    assert all(from_cross_entropy(n) for n in (1, 4, 16))
    say("""
        ## Where the mean really is

        But is the loss not a mean over the batch? It is. That mean belongs to the loss: `cross_entropy` divides by N,
        so every layer is handed a `gy` that has been divided already. If a layer took the mean as well, it would divide
        a second time. A layer just sums, and need not know how the loss is made.
    """, vi=["""
        ## Trung bình thật ra nằm ở đâu

        Nhưng chẳng phải hàm mất mát là trung bình trên cả lô sao? Đúng thế. Trung bình ấy là việc của hàm mất mát:
        `cross_entropy` chia cho N, nên mọi tầng nhận được một `gy` đã chia sẵn. Nếu tầng lại lấy trung bình nữa thì là
        chia hai lần. Tầng chỉ việc cộng, và không cần biết hàm mất mát được tính ra sao.
    """])
    return


@app.cell
def _(gradients, verdict):
    N, K, P, Q = 4, 3, 2, 4
    random = np.random.default_rng(8)
    images, kernels, biases = (random.standard_normal(s) for s in ((N, 2, P + 2, Q + 2), (K, 2, 3, 3), (K,)))
    g_conv = random.integers(1, 10, (N, K, P, Q)).astype(float)
    gb_conv = gradients(ops.conv2d, images, kernels, biases, gy=g_conv)[2]
    assert np.array_equal(gb_conv, g_conv.sum(axis=(0, 2, 3))) and gb_conv.shape == (K,)
    without_bias = ops.conv2d(images, kernels).numpy()

    def layer(b):
        return without_bias + b[:, None, None]  # (N, K, P, Q) + (K, 1, 1)

    said = {way: verdict(layer, biases, backward=backward) for way, backward in {
        "mean": lambda gy, b: gy.mean(axis=(0, 2, 3)),
        "sum over the batch": lambda gy, b: gy.sum(axis=0),
        "sum over batch and places": lambda gy, b: gy.sum(axis=(0, 2, 3)),
    }.items()}
    assert "constant factor" in said["mean"] and f"1 / {N * P * Q}" in said["mean"]
    assert said["sum over the batch"] != said["sum over batch and places"] == "right"
    def draw_conv():
        drawing = figure(5.2, 2.6)
        axes = drawing.subplots()
        for n in range(N):
            row, column = divmod(n, 2)
            for p, q in np.ndindex(P, Q):
                axes.text(column * (Q + 0.6) + q, row * (P + 0.6) + p, f"{g_conv[n, 0, p, q]:g}", ha="center",
                          va="center", fontsize=11)
            axes.add_patch(Rectangle((column * (Q + 0.6) - 0.5, row * (P + 0.6) - 0.5), Q, P, fill=False, ec="C1",
                                     lw=1.5))
        bottom = -(-N // 2) * (P + 0.6)
        axes.annotate(f"{gb_conv[0]:g}", (Q - 0.2, bottom - 0.9), (Q - 0.2, bottom + 0.8), ha="center", va="center",
                      weight="bold", fontsize=11, arrowprops={"arrowstyle": "<-", "color": "C1"})
        axes.set(xlim=(-0.8, 2 * Q + 0.4), ylim=(bottom + 1.4, -0.8))
        axes.set_title(f"gy of kernel 0: {N} images of {P} × {Q}, and one sum", fontsize=10)
        axes.axis("off")
        return drawing

    mo.vstack([
        say(f"""
            ## One bias, every image and every place

            A convolution (chapter 5) moves K small grids of weights, its **kernels**, over every image. Each kernel
            makes one **map**, a grid of P × Q numbers, and adds its own bias $b_k$ to all of them. So the shape of $y$
            is (N, K, P, Q), and $b_k$ is used for N · P · Q = {N} · {P} · {Q} = {N * P * Q} numbers. Its gradient is
            the sum over all of them, over the axes 0, 2 and 3, and what is left has the shape (K,).
        """, vi=[f"""
            ## Một bias, mọi ảnh và mọi vị trí

            Một tầng tích chập (convolution, chương 5) đưa K lưới trọng số nhỏ, gọi là các **kernel**, đi khắp mỗi ảnh.
            Mỗi kernel tạo ra một **bản đồ** (map), tức một lưới P × Q số, và cộng bias $b_k$ của riêng nó vào tất cả.
            Vậy kích thước của $y$ là (N, K, P, Q), và $b_k$ được dùng cho N · P · Q = {N} · {P} · {Q} = {N * P * Q} con
            số. Gradient của nó là tổng trên tất cả các số ấy, theo các trục 0, 2 và 3, và cái còn lại có kích thước
            (K,).
        """]),
        picture(draw_conv(), f"The {N} maps of gy that belong to kernel 0, and one sum of all their numbers, "
                             f"{gb_conv[0]:g}.",
            vi=f"{N} bản đồ của gy thuộc về kernel 0, và một tổng của tất cả các số trong đó, {gb_conv[0]:g}.",
            texts={"gy of kernel": "gy của kernel", "images of": "ảnh", "and one sum": "và một tổng"}),
        say("""
            If you write the mean instead, `gy.mean(axis=(0, 2, 3))`, `gradcheck` says:
        """, f"> {said['mean']}", "If you sum over the batch alone, `gy.sum(axis=0)`, it says:",
            f"> {said['sum over the batch']}", f"""
            And of `gy.sum(axis=(0, 2, 3))` it says: {said["sum over batch and places"]}.
        """, vi=["""
            Nếu bạn viết trung bình, `gy.mean(axis=(0, 2, 3))`, thì `gradcheck` nói:
        """, ..., """
            Nếu bạn chỉ cộng trên lô, `gy.sum(axis=0)`, nó nói:
        """, ..., f"""
            Còn với `gy.sum(axis=(0, 2, 3))` nó nói: {said["sum over batch and places"]} (đúng).
        """]),
    ])
    return


@app.cell
def _(gradients):
    def reduced():
        x, rows = np.arange(6.0).reshape(2, 3), []
        for op, axis, gy in ((ops.sum, 0, [1, 2, 3]), (ops.sum, 1, [1, 2]), (ops.mean, 1, [1, 2]), (ops.mean, None, 1)):
            gy = np.array(gy, float)
            gx = gradients(lambda x, op=op, axis=axis: op(x, axis=axis), x, gy=gy)[0]
            n = x.size // gy.size if op is ops.mean else 1
            column = gy if axis is None else np.expand_dims(gy, axis)
            assert np.array_equal(gx, np.broadcast_to(column, x.shape) / n)
            inside = f"axis={axis}" if axis is not None else ""
            rows.append([f"`x.{op.__name__}({inside})`", f"`{gy.tolist()}`", f"`{np.round(gx, 2).tolist()}`"])
        return rows

    say("""
        ## And the other way round

        `sum` adds forwards, so backwards it copies: each number went into one sum, with the slope 1, and gets the
        gradient of that sum. In a mean over $n$ numbers every slope is 1/n, so its backward copies and divides by $n$.
        Some examples, where $x$ has the shape (2, 3):

    """, table(["y", "gy", "gx"], reduced()), """
        Copying and summing are each other's backward. One thing is easily forgotten: before the copying, the axis that
        was summed away has to come back, with size 1. Otherwise a gradient of shape (2,) does not fit beside (2, 3),
        or, what is worse, one of shape (3,) fits along the wrong axis.
    """, vi=["""
        ## Và chiều ngược lại

        `sum` cộng lúc đi xuôi, nên lúc đi ngược nó sao chép: mỗi số đi vào một tổng với độ dốc 1, và nhận gradient của
        tổng ấy. Trong trung bình của $n$ số, mỗi độ dốc là 1/n, nên phần ngược của nó sao chép rồi chia cho $n$. Vài ví
        dụ, với $x$ có kích thước (2, 3):
    """, ..., """
        Sao chép và cộng là phần ngược của nhau. Có một điều dễ quên: trước khi sao chép, trục đã mất đi khi cộng phải
        trở lại, với độ dài 1. Nếu không, một gradient có kích thước (2,) sẽ không vừa với (2, 3), hoặc tệ hơn, một
        gradient có kích thước (3,) lại vừa theo nhầm trục.
    """])
    return


@app.cell
def _(gradients):
    def products(N, D, K):
        """All that can be made of gy and the other matrix, each as it is or transposed, in both orders."""
        random = np.random.default_rng(2)
        x, w, gy = (random.standard_normal(shape) for shape in ((N, D), (D, K), (N, K)))
        right, rows = dict(zip("xw", gradients(ops.matmul, x, w, gy=gy), strict=True)), []
        for goal, name, other in (("x", "w", w), ("w", "x", x)):
            choices = list(itertools.product((("gy", gy), ("gy.T", gy.T)), ((name, other), (f"{name}.T", other.T))))
            for (n1, m1), (n2, m2) in choices + [(second, first) for first, second in choices]:
                if m1.shape[1] != m2.shape[0]:
                    rows.append([goal, f"`{n1} @ {n2}`", "does not fit", False, False])
                else:
                    y = m1 @ m2
                    fits = y.shape == right[goal].shape
                    rows.append([goal, f"`{n1} @ {n2}`", str(y.shape), fits, fits and np.allclose(y, right[goal])])
        return rows

    unequal, square = products(2, 3, 4), products(3, 3, 3)
    fitting = [row for row in unequal if row[3]]
    assert [row[1] for row in fitting] == ["`gy @ w.T`", "`x.T @ gy`"] and all(row[4] for row in fitting)
    fitting_square = sum(row[3] for row in square)
    assert fitting_square == len(square) and sum(row[4] for row in square) == 2
    say(f"""
        ## Transposes, found from the shapes alone

        You need not learn the backward of a matrix product by heart. Take $y = x w$, where $x$ is (N, D) = (2, 3) and
        $w$ is (D, K) = (3, 4), so that $y$ and `gy` are (N, K) = (2, 4). The gradient of $x$ must be a product of `gy`
        and $w$, and the gradient of $w$ a product of `gy` and $x$, where each may be transposed and either may come
        first. That makes {len(unequal) // 2} candidates for each, {len(unequal)} in all. These are the ones whose
        shapes can be multiplied at all:

    """, table([both("for", "cho"), both("product", "tích"), both("shape", "kích thước"),
                  both("wanted", "cần có")],
               [[f"g{goal}", name, shape, f"{(2, 3) if goal == 'x' else (3, 4)}{': yes' * fits}"]
                for goal, name, shape, fits, _ in unequal if shape != "does not fit"]), f"""
        For each gradient only one candidate has the right shape, and it is the one that the engine uses: **gx = gy wᵀ**
        and **gw = xᵀ gy**. But if N = D = K, all {fitting_square} candidates have the right shape, and only
        {sum(row[4] for row in square)} of them are right. So test with sizes that are all different; then the shapes
        work for you.
    """, vi=[f"""
        ## Ma trận chuyển vị, tìm ra chỉ từ kích thước

        Bạn không cần học thuộc phần ngược của phép nhân ma trận. Lấy $y = x w$, với $x$ là (N, D) = (2, 3) và $w$ là
        (D, K) = (3, 4), nên $y$ và `gy` là (N, K) = (2, 4). Gradient của $x$ phải là tích của `gy` và $w$, gradient của
        $w$ phải là tích của `gy` và $x$, trong đó mỗi ma trận có thể chuyển vị và thứ tự có thể đổi. Như vậy có
        {len(unequal) // 2} ứng viên cho mỗi gradient, tất cả là {len(unequal)}. Đây là những ứng viên có kích thước
        nhân được với nhau:
    """, ..., f"""
        Với mỗi gradient chỉ còn một ứng viên có đúng kích thước, và đó chính là cái mà minicnn dùng: **gx = gy wᵀ** và
        **gw = xᵀ gy**. Nhưng nếu N = D = K thì cả {fitting_square} ứng viên đều có đúng kích thước, mà chỉ
        {sum(row[4] for row in square)} là đúng. Vậy hãy thử với những kích thước đôi một khác nhau; khi đó kích thước
        sẽ giúp bạn.
    """])
    return


@app.cell
def _(gradients):
    def as_broadcast(x, w):
        return (x.reshape(*x.shape, 1) * w.reshape(1, *w.shape)).sum(axis=1)  # (N, D, 1) · (1, D, K), summed over D

    def same():
        random = np.random.default_rng(4)
        x, w, gy = (random.standard_normal(shape) for shape in ((2, 3), (3, 4), (2, 4)))
        return [np.allclose(one, other) for one, other in zip(gradients(as_broadcast, x, w, gy=gy),
                                                              gradients(ops.matmul, x, w, gy=gy), strict=True)]

    assert all(same())
    say("""
        ## Why the shapes know it

        A matrix product is a stretching followed by a sum: $y_{nk} = \\sum_d x_{nd} w_{dk}$. The number $x_{nd}$ has no
        index $k$, so it was copied to every $k$, and its gradient sums over $k$: $gx_{nd} = \\sum_k gy_{nk} w_{dk}$,
        which is $gy\\, w^T$. The number $w_{dk}$ has no index $n$: it was used for the whole batch, so its gradient
        sums over $n$. We can also write the product that way, `(x.reshape(N, D, 1) * w.reshape(1, D, K)).sum(axis=1)`,
        and the engine finds the same two gradients.

        One rule covers this whole chapter: **a gradient is summed over every index that its value does not have.**
    """, vi=["""
        ## Vì sao kích thước biết điều đó

        Phép nhân ma trận là kéo giãn rồi cộng: $y_{nk} = \\sum_d x_{nd} w_{dk}$. Số $x_{nd}$ không có chỉ số $k$, nên
        nó được chép cho mọi $k$, và gradient của nó cộng theo $k$: $gx_{nd} = \\sum_k gy_{nk} w_{dk}$, tức là
        $gy\\, w^T$. Số $w_{dk}$ không có chỉ số $n$: nó được dùng cho cả lô, nên gradient của nó cộng theo $n$. Ta cũng
        có thể viết phép nhân như thế, `(x.reshape(N, D, 1) * w.reshape(1, D, K)).sum(axis=1)`, và minicnn tìm ra đúng
        hai gradient ấy.

        Một quy tắc cho cả chương này: **gradient được cộng theo mọi chỉ số mà giá trị của nó không có.**
    """])
    return


@app.cell
def _():
    start = '''def backward(gy, x, w, b):
    # y = x * w + b
    # gy and x: (N, C), w: (C,), b: (1,)
    gx = gy * w
    gw = gy * x
    gb = gy.mean().reshape(1)
    return gx, gw, gb
'''
    answer = start.replace("gy * x", "(gy * x).sum(axis=0)").replace("gy.mean()", "gy.sum()")
    tries = {
        both("sum w, and leave the mean", "cộng cho w, để nguyên trung bình"):
            start.replace("gy * x", "(gy * x).sum(axis=0)"),
        both("means for both", "trung bình cho cả hai"): start.replace("gy * x", "(gy * x).mean(axis=0)"),
        both("sum over the wrong axis", "cộng theo nhầm trục"): answer.replace("axis=0", "axis=1"),
        both("sum gy before it is multiplied", "cộng gy trước khi nhân"):
            answer.replace("(gy * x).sum(axis=0)", "gy.sum(axis=0) * x.sum(axis=0)"),
    }

    def check(backward):
        random = np.random.default_rng(6)
        gradcheck(lambda x, w, b: x * w + b, *(random.standard_normal(shape) for shape in ((4, 3), (3,), (1,))),
                  backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        This layer scales each of C channels and shifts all of them by the same number: $y = x w + b$, where $x$ is (N,
        C), $w$ is (C,) and $b$ is (1,). Two of its three gradients are wrong. Which indexes do $w$ and $b$ not have?
        Below it stands what `gradcheck` says of the answer; it tries it with N = 4 and C = 3.
    """, vi=["""
        ## Bài tập

        Tầng này nhân mỗi kênh trong C kênh với một hệ số và cộng cùng một số vào tất cả: $y = x w + b$, với $x$ là (N,
        C), $w$ là (C,) và $b$ là (1,). Hai trong ba gradient của nó bị sai. $w$ và $b$ không có những chỉ số nào? Bên
        dưới là điều `gradcheck` nói về câu trả lời; nó thử với N = 4 và C = 3.
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
