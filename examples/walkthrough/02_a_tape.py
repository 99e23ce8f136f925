"""Chapter 2: a tape. A whole engine in forty lines, beside minicnn on the same formula, and what its order is for."""

import marimo

app = marimo.App(app_title="2 · A tape in forty lines")

with app.setup:
    import ast
    import heapq
    import inspect
    import itertools
    import sys
    from types import SimpleNamespace

    import marimo as mo
    import numpy as np
    from graph import walked
    from page import answer_box, attempt, both, one_answer, say, table
    from scene import scene

    from minicnn import Tensor, gradcheck, no_grad, ops, trace
    from minicnn.engine.op import op


@app.cell
def _():
    def code_of(thing):
        """The source of a function or class of this chapter; of a class inspect finds only the methods."""
        method = next((m for m in vars(thing).values() if inspect.isfunction(m)), thing)
        cell = inspect.cleandoc("".join(inspect.findsource(method)[0]))
        part = next(part for part in ast.walk(ast.parse(cell)) if getattr(part, "name", "") == thing.__name__)
        return "\n".join(line[part.col_offset :] for line in cell.splitlines()[part.lineno - 1 : part.end_lineno])

    def code(thing):
        return f"```python\n{code_of(thing)}\n```"

    say("""
        # 2 · A tape in forty lines

        A formula is computed one small step at a time, and its gradient goes back over the same steps in the opposite
        order. So an engine has to write down what it computed, from which numbers, and how a gradient gets back over
        each step. This record is called a **tape**. In this chapter we write a whole engine of this kind for plain
        numbers. At the end it computes the same formula as minicnn, and the two agree to the last bit.
    """, vi=["""
        # 2 · Băng ghi trong bốn mươi dòng

        Một công thức được tính từng bước nhỏ một, và gradient của nó đi ngược lại đúng các bước ấy theo thứ tự đảo. Vì
        vậy chương trình phải ghi lại nó đã tính gì, từ những số nào, và gradient đi ngược qua mỗi bước ra sao. Bản ghi
        đó gọi là **băng ghi** (tape). Trong chương này ta viết trọn một bộ máy như thế cho các số thông thường. Cuối
        cùng nó tính cùng một công thức với minicnn, và hai bên khớp nhau đến từng bit.
    """])
    return code, code_of


@app.cell
def _(code):
    class Remembered:
        ages = itertools.count()

        def __init__(self, value, op="", inputs=(), carries=()):
            self.value, self.op = value, op
            self.inputs = inputs  # what it was computed from
            self.carries = carries  # for each, what turns ∂y/∂self into its share
            self.age = next(self.ages)
            self.grad = 0.0

    say("""
        ## A number that remembers

        Each number has a value and knows the numbers that it was computed from, its inputs. For each input it keeps a
        function that **carries** the gradient back. A number that was given, and not computed, has no inputs. It is
        called a **leaf**.

    """, code(Remembered), """
        There is no list of steps anywhere. Each number holds on to its inputs, and these hold on to theirs; the age
        says in which order they were made. That is the whole tape.
    """, vi=["""
        ## Một con số biết nhớ

        Mỗi số có một giá trị và biết những số mà nó được tính từ đó, gọi là các đầu vào. Với mỗi đầu vào nó giữ một hàm
        **mang** gradient trở về. Một số được cho sẵn chứ không phải tính ra thì không có đầu vào. Nó được gọi là **lá**
        (leaf).
    """, ..., """
        Không ở đâu có danh sách các bước cả. Mỗi số giữ các đầu vào của nó, các đầu vào lại giữ đầu vào của chúng; tuổi
        cho biết chúng được tạo ra theo thứ tự nào. Toàn bộ băng ghi chỉ có thế.
    """])
    return (Remembered,)


@app.cell
def _(Remembered, code):
    class Number(Remembered):
        def __add__(self, other):
            a, b = self.value, other.value
            return Number(a + b, "+", (self, other), (lambda g: g, lambda g: g))

        def __mul__(self, other):
            a, b = self.value, other.value
            return Number(a * b, "×", (self, other), (lambda g: g * b, lambda g: g * a))

        def tanh(self):
            y = np.tanh(self.value)
            return Number(y, "tanh", (self,), (lambda g: g * (1 - y * y),))

    say("""
        ## Operators

        An operator computes its value and, in the same place, writes down its slopes. A sum grows by 1 when either of
        its terms grows by 1, so both slopes are 1. The product $a \\cdot b$ grows by $b$ when $a$ grows by 1, and by
        $a$ when $b$ does. And $y = \\tanh(x)$, a smooth step from −1 to 1, has the slope $1 - y^2$.

    """, code(Number), vi=["""
        ## Các phép toán

        Một phép toán tính giá trị của nó và ngay tại đó ghi lại các độ dốc. Một tổng tăng 1 khi một trong hai số hạng
        tăng 1, nên cả hai độ dốc đều bằng 1. Tích $a \\cdot b$ tăng thêm $b$ khi $a$ tăng 1, và tăng thêm $a$ khi $b$
        cũng tăng như thế. Còn $y = \\tanh(x)$, một bậc thang trơn từ −1 đến 1, có độ dốc $1 - y^2$.
    """, ...])
    return (Number,)


@app.cell
def _(Number, Remembered, code, code_of):
    def backward(y):
        flow = {y: 1.0}  # what has reached each number so far
        waiting = [(-y.age, y)]
        while waiting:
            number = heapq.heappop(waiting)[1]  # the youngest
            g = flow.pop(number)
            number.grad += g
            for x, carry in zip(number.inputs, number.carries, strict=True):
                if x in flow:
                    flow[x] += carry(g)
                else:
                    flow[x] = carry(g)
                    heapq.heappush(waiting, (-x.age, x))

    alone = "\n\n\n".join(["import heapq\nimport itertools\n\nimport numpy as np",
                           *map(code_of, (Remembered, Number, backward))])
    engine = {}
    exec(alone, engine)
    two = engine["Number"](2.0)
    engine["backward"](two * two + two)
    assert two.grad == 5 and 38 <= len(alone.splitlines()) <= 48
    say("""
        ## Backward

        The dictionary `flow` holds the gradient that has reached each number so far. A **heap** is a list that always
        hands out its smallest entry; since the ages are negated, that is the youngest number. Everything that was
        computed from a number is younger than the number itself. So when its turn comes, every share of its gradient
        has arrived.

    """, code(backward), f"""
        There is no recursion, and nobody sorts the graph beforehand: the heap puts in order only the few numbers that
        are waiting. In a file of its own, with imports and empty lines, the engine has {len(alone.splitlines())} lines.
    """, vi=["""
        ## Lan truyền ngược

        Từ điển `flow` giữ phần gradient đã đến được mỗi số. **Heap** là một danh sách luôn đưa ra phần tử nhỏ nhất; vì
        tuổi được đổi dấu nên đó là số trẻ nhất. Mọi thứ được tính từ một số đều trẻ hơn số đó. Vậy khi đến lượt nó, mọi
        phần gradient của nó đều đã về đủ.
    """, ..., f"""
        Không có đệ quy, và không ai sắp xếp đồ thị từ trước: heap chỉ xếp thứ tự vài số đang chờ. Viết thành một tệp
        riêng, kể cả các dòng import và dòng trống, bộ máy này dài {len(alone.splitlines())} dòng.
    """])
    return (backward,)


@app.cell
def _():
    x_slider = mo.ui.slider(-2.0, 2.0, step=0.25, value=0.5, label=both("the input x", "đầu vào x"), show_value=True)
    return (x_slider,)


@app.cell
def _(Number, backward, x_slider):
    def network(x, w, b, v, c):
        h = (x * w + b).tanh()
        return (h * v + c).tanh() + h

    def by_tape(values):
        leaves = [Number(value) for value in values]
        y = network(*leaves)
        backward(y)
        return y, leaves

    def by_minicnn(values):
        leaves = [Tensor(np.float64(value), requires_grad=True) for value in values]
        y = network(*leaves)
        y.backward()
        return y.item(), [leaf.grad.item() for leaf in leaves]

    others = [0.75, -0.3, -1.5, 0.2]  # w, b, v, c
    values = [float(x_slider.value), *others]
    y, leaves = by_tape(values)
    y_minicnn, gradients = by_minicnn(values)
    assert y.value == y_minicnn
    assert [leaf.grad for leaf in leaves] == gradients, "not the same to the last bit"

    def of_array(p):
        return np.array([by_tape(p)[0].value])

    report = gradcheck(of_array, np.array(values), backward=lambda gy, p: gy * [leaf.grad for leaf in by_tape(p)[1]])
    assert report.error < 1e-6
    mo.vstack([
        say("""
            ## Two engines, one formula

            Here are two layers of one unit each. The second also passes on what it was given, as residual networks do:

            $$h = \\tanh(x w + b), \\qquad y = \\tanh(h v + c) + h$$

            The formula is written once, with `+`, `*` and `.tanh()`. It does not know which engine computes it. Move
            the input:
        """, vi=["""
            ## Hai bộ máy, một công thức

            Đây là hai tầng, mỗi tầng một nơ-ron. Tầng thứ hai còn chuyển tiếp cả cái nó nhận được, như trong các mạng
            phần dư (residual network):

            $$h = \\tanh(x w + b), \\qquad y = \\tanh(h v + c) + h$$

            Công thức chỉ được viết một lần, với `+`, `*` và `.tanh()`. Nó không biết bộ máy nào đang tính. Hãy di
            chuyển đầu vào:
        """]),
        x_slider,
        say(table(["", both("value", "giá trị"), both("gradient by our tape", "gradient theo băng ghi"),
                   both("by minicnn", "theo minicnn")],
                  [[name, value, leaf.grad, gradient]
                   for name, value, leaf, gradient in zip("xwbvc", values, leaves, gradients, strict=True)]), f"""
            By our tape $y$ is {y.value:.17g}, by minicnn it is {y_minicnn:.17g}. All five gradients are equal to the
            last bit, because both engines do the same operations in the same order. They could still share a mistake.
            So `gradcheck` also compared the tape with small steps. It takes several and works out where they lead as
            the step shrinks to nothing (chapter 4), so they agree far better than one step did in chapter 1: the
            relative error is {report.error:.0e}.
        """, vi=[..., f"""
            Theo băng ghi của ta, $y$ bằng {y.value:.17g}; theo minicnn, nó bằng {y_minicnn:.17g}. Cả năm gradient bằng
            nhau đến từng bit, vì hai bộ máy làm cùng những phép tính theo cùng thứ tự. Nhưng có thể cả hai cùng mắc một
            lỗi. Vì vậy `gradcheck` còn so băng ghi với các bước nhỏ. Nó đi nhiều bước và tính xem chúng dẫn đến đâu khi
            bước co lại thành không (chương 4), nên khớp tốt hơn nhiều so với một bước trong chương 1: sai số tương đối
            là {report.error:.0e}.
        """]),
    ])
    return by_tape, network, others


@app.cell
def _(by_tape, network, others):
    names = ["x", "w", "b", "v", "c", "p = x · w", "q = p + b", "h = tanh(q)", "r = h · v", "s = r + c", "t = tanh(s)",
             "y = t + h"]

    def drawn():
        """The tape as minicnn has it, for a few x; and our own tape, number by number."""
        cases = {x: walked(network, x, *others) for x in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)}
        for x, case in cases.items():
            found, waiting = {}, [by_tape([x, *others])[0]]
            while waiting:
                number = waiting.pop()
                found[number.age] = number
                waiting += number.inputs
            numbers = [found[age] for age in sorted(found)]
            assert [number.value for number in numbers] == case["values"]
            sums = {len(numbers) - 1: 1.0} | {at: total for (at, _, _), (_, total) in
                                              zip(case["edges"], case["added"], strict=True)}
            assert [number.grad for number in numbers] == [sums[i] for i in range(len(numbers))]
        left, middle, right = 58, 173, 288
        places = [(left, 0), (middle, 0), (right, 1), (right, 3), (right, 4),
                  (115, 1), (middle, 2), (75, 3), (middle, 4), (190, 5), (190, 6), (75, 7)]
        return cases, {"nodes": [{"name": name, "at": [x, 26 + 62 * row]} for name, (x, row) in
                                 zip(names, places, strict=True)], "choose": "x =", "chosen": 3, "wide": 350,
                       "cases": [[f"{x:g}", case] for x, case in cases.items()], "height": 2 * 26 + 7 * 62}

    cases, data = drawn()
    h = names.index("h = tanh(q)")
    to_h = [(names[to][0], share) for (at, to, _), (share, _) in
            zip(cases[0.5]["edges"], cases[0.5]["added"], strict=True) if at == h]
    assert [name for name, _ in to_h] == ["y", "r"]
    sum_at_h = sum(share for _, share in to_h)
    mo.vstack([
        say("""
            ## The tape itself

            This is what minicnn wrote down for the same formula, and our own tape has the same numbers. Step through
            it, first forward, then backward:
        """, vi=["""
            ## Chính băng ghi ấy

            Đây là những gì minicnn đã ghi lại cho công thức trên; băng ghi của ta cũng có đúng những số đó. Hãy đi từng
            bước, trước hết xuôi, rồi ngược:
        """]),
        scene("graph", data, "The tape of two layers, to be stepped: 12 numbers from x, w, b, v and c down to y. "
              f"At x = 0.5 two shares reach h, {to_h[0][1]:.4f} from y and {to_h[1][1]:.4f} from r.", 620),
        say(f"""
            $h$ was used twice, so two shares reach it. At $x = 0.5$ they are {to_h[0][1]:.4f} from $y$ and
            {to_h[1][1]:.4f} from $r$, and its gradient is their sum, {sum_at_h:.4f}. Press *= for +=*, and everything
            above $h$ comes out wrong.
        """, vi=[f"""
            $h$ được dùng hai lần, nên có hai phần gradient đến nó. Tại $x = 0.5$ đó là {to_h[0][1]:.4f} từ $y$ và
            {to_h[1][1]:.4f} từ $r$, và gradient của nó là tổng, {sum_at_h:.4f}. Bấm *= for +=*, và mọi thứ phía trên
            $h$ đều ra sai.
        """]),
    ])
    return


@app.cell
def _(Number, backward, code_of, network, others):
    def edited(*edits):
        """backward with pieces of its text replaced; it returns how many numbers it met."""
        def counting(heap):
            met.append(1)
            return heapq.heappop(heap)

        source, met = code_of(backward), []
        for old, new in edits:
            assert source.count(old) >= 1
            source = source.replace(old, new)
        scope = {"heapq": SimpleNamespace(heappop=counting, heappush=heapq.heappush)}
        exec(source, scope)

        def walk(y):
            met.clear()
            scope["backward"](y)
            return len(met)

        return walk

    oldest = [("-y.age", "y.age"), ("-x.age", "x.age")]
    once = ("g = flow.pop(number)", "g = flow.pop(number)\n        if number.grad: continue")
    walks = {"right": edited(), "= for +=": edited(("+= carry", "= carry")),
             "oldest first": edited(*oldest), "oldest first, once": edited(*oldest, once)}

    def result(walk):
        leaves = [Number(value) for value in (0.5, *others)]
        met = walk(network(*leaves))
        return np.array([leaf.grad for leaf in leaves]), met

    found = {name: result(walk) for name, walk in walks.items()}
    right, met = found["right"]
    one_road, other_road = found["= for +="][0], found["oldest first, once"][0]
    assert np.allclose(one_road[:3] + other_road[:3], right[:3], rtol=1e-12, atol=1e-14)
    assert np.array_equal(one_road[3:], right[3:]) and np.array_equal(other_road[3:], right[3:])
    assert np.allclose(found["oldest first"][0], right, rtol=1e-12, atol=1e-14) and found["oldest first"][1] > met
    say("""
        ## Broken on purpose

        Let us change the text of `backward` a little and run it again, at $x = 0.5$:

        - **= for +=**: both branches say `flow[x] = carry(g)`.
        - **oldest first**: the minus before the ages is left out.
        - **oldest first, once**: besides, what reaches a number that has been visited already is dropped. Many
          recursive walks do this.

    """, table(["∂y/∂", *found], [[name, *(round(float(gradient[i]), 4) for gradient, _ in found.values())]
                                  for i, name in enumerate("xwbvc")]
               + [[both("visits", "lần ghé"), *(n for _, n in found.values())]]), f"""
        Two of them lose a road. Of the two shares that reach $h$, "= for +=" keeps only the one that came through the
        second layer, and "oldest first, once" only the one that came straight from $y$. So their numbers for $x$, $w$
        and $b$ add up to the right ones: {one_road[0]:.4f} + {other_road[0]:.4f} = {right[0]:.4f} for $x$. The numbers
        look like gradients, and the program runs without a complaint. For $v$ and $c$, which have only one road, they
        are even right.

        You may be surprised that "oldest first" alone gives the **right** numbers. It comes to $h$ too early, hands on
        what $h$ has by then, and comes back when the rest arrives. Since shares are added, nothing is lost. But it
        makes {found["oldest first"][1]} visits instead of {met}.
    """, vi=["""
        ## Cố ý làm hỏng

        Ta hãy sửa vài chữ trong `backward` rồi chạy lại, tại $x = 0.5$:

        - **= for +=** (= thay cho +=): cả hai nhánh đều viết `flow[x] = carry(g)`.
        - **oldest first** (già nhất trước): bỏ dấu trừ trước tuổi.
        - **oldest first, once** (già nhất trước, một lần): thêm vào đó, những gì đến một số đã được ghé thì bị bỏ
          đi. Nhiều cách duyệt đệ quy làm như vậy.
    """, ..., f"""
        Hai trong số đó làm mất một con đường. Trong hai phần gradient đến $h$, "= for +=" chỉ giữ phần đi qua tầng thứ
        hai, còn "oldest first, once" chỉ giữ phần đến thẳng từ $y$. Vì thế các số của chúng cho $x$, $w$ và $b$ cộng
        lại thành đúng: {one_road[0]:.4f} + {other_road[0]:.4f} = {right[0]:.4f} với $x$. Những con số ấy trông y như
        gradient, và chương trình chạy không một lời phàn nàn. Với $v$ và $c$, vốn chỉ có một con đường, chúng thậm chí
        còn đúng.

        Có thể bạn ngạc nhiên rằng riêng "oldest first" lại cho số **đúng**. Nó đến $h$ quá sớm, trao đi những gì $h$
        đang có lúc đó, rồi quay lại khi phần còn lại về tới. Vì các phần được cộng vào nhau nên không mất gì cả. Nhưng
        nó tốn {found["oldest first"][1]} lần ghé thăm thay vì {met}.
    """])
    return (walks,)


@app.cell
def _(Number, walks):
    def deep(layers):
        """layers times h ← tanh(h v) + h, and h at the start."""
        x, v = Number(0.5), Number(0.1)
        h = x
        for _ in range(layers):
            h = (h * v).tanh() + h
        return h, x

    def compare(layers):
        (y, x), (again, x_again) = deep(layers), deep(layers)
        met = [layers, walks["right"](y), walks["oldest first"](again)]
        assert np.isclose(x.grad, x_again.grad, rtol=1e-9)
        return met

    rows = [compare(layers) for layers in (2, 4, 8, 12)]
    assert all(young == 3 * layers + 2 and old == 5 * 2**layers - 4 for layers, young, old in rows)
    many = 4 * sys.getrecursionlimit()
    top, _ = deep(many)
    met_in_many = walks["right"](top)
    assert met_in_many == 3 * many + 2
    say("""
        ## What the order costs

        Now we put many such layers on top of each other, $h ← \\tanh(h v) + h$, each with two roads, and count the
        visits:

    """, table([both("layers", "số tầng"), both("youngest first", "trẻ nhất trước"),
               both("oldest first", "già nhất trước")], rows), f"""
        Each layer doubles the number of roads, and "oldest first" walks every one of them. "Youngest first" visits each
        number once, however many roads there are: {met_in_many:,} visits in {many:,} layers. A function that calls
        itself for every input would not get that far: Python stops it after {sys.getrecursionlimit():,} nested calls.
    """, vi=["""
        ## Cái giá của thứ tự

        Bây giờ ta chồng nhiều tầng như thế lên nhau, $h ← \\tanh(h v) + h$, mỗi tầng có hai con đường, và đếm số lần
        ghé thăm:
    """, ..., f"""
        Mỗi tầng làm số con đường tăng gấp đôi, và "oldest first" (già nhất trước) đi hết từng con đường một. "Youngest
        first" (trẻ nhất trước) ghé mỗi số đúng một lần, dù có bao nhiêu con đường: {met_in_many:,} lần ghé trong
        {many:,} tầng. Một hàm tự gọi lại chính nó cho mỗi đầu vào không đi xa được đến thế: Python dừng nó sau
        {sys.getrecursionlimit():,} lần gọi lồng nhau.
    """])
    return


@app.cell
def _():
    def why(y):
        """What backward() says instead of going."""
        try:
            y.backward()
        except (RuntimeError, ValueError) as error:
            return str(error)
        raise AssertionError("it went")

    @op
    def misshapen(x):
        return 2 * x, lambda gy: gy.sum()

    x = Tensor(np.ones((250, 1000), np.float32), requires_grad=True)
    with trace() as t:
        middle = x * 2
        loss = middle.tanh().sum()
        loss.backward()
    kept, freed = sum(s.kept for s in t.steps), sum(s.freed for s in t.steps)
    assert kept == freed == x.data.nbytes
    before, shapes = x.grad, why(misshapen(x).sum())
    assert x.grad is before and middle.grad is None and not (Tensor(2.0) * 3).made_by
    with no_grad():
        assert not (x * 2).made_by
    say("""
        ## What minicnn has beyond this

        `minicnn/engine/backward.py` has the same loop, the same dictionary and the same heap. This is what it adds:

        - **Arrays.** A gradient must have the shape of the value that it belongs to (chapter 3). If it has not, an
          error says where.
        - **Only what is needed.** Nothing is written down for a number that needs no gradient, nor inside `no_grad()`.
          Only leaves keep their gradient, in `.grad`, and they get it when the whole walk is over. So an error on the
          way leaves `.grad` as it was.
        - **Devices.** The gradient of each step is computed on the device where the step was computed. A copy from one
          device to another is an op like any other (chapter 10).
        - **Memory.** Our tape lives as long as $y$ does. minicnn keeps only those values that a carrying function
          needs, and lets go of each as soon as it has been used.

    """, f"""
        Take $\\tanh(2x)$, summed up, with {x.data.nbytes:,} bytes in $x$. On the way forward the graph kept {kept:,}
        bytes, the values of tanh, and backward freed {freed:,}. So a second `backward()` has nothing left to walk, and
        says so:

    """, f"> {why(loss)}", "And this is what you are told if a carrying function returns one number for a whole array:",
        f"> {shapes}", vi=["""
        ## minicnn còn có gì hơn thế

        `minicnn/engine/backward.py` có cùng vòng lặp, cùng từ điển và cùng heap đó. Nó có thêm:

        - **Mảng.** Gradient phải có cùng kích thước với giá trị của nó (chương 3). Nếu không, một thông báo lỗi chỉ ra
          chỗ sai.
        - **Chỉ những gì cần.** Với một số không cần gradient thì không ghi gì cả, bên trong `no_grad()` cũng vậy. Chỉ
          các lá giữ gradient của mình, trong `.grad`, và chúng chỉ nhận được khi cả chuyến đi đã xong. Vì thế một lỗi
          giữa đường để `.grad` nguyên như cũ.
        - **Thiết bị.** Gradient của mỗi bước được tính trên đúng thiết bị đã tính bước đó. Sao chép từ thiết bị này
          sang thiết bị khác cũng là một phép toán như mọi phép toán khác (chương 10).
        - **Bộ nhớ.** Băng ghi của ta sống lâu như $y$. minicnn chỉ giữ những giá trị mà một hàm mang gradient cần đến,
          và bỏ từng giá trị ngay khi dùng xong.
    """, f"""
        Lấy $\\tanh(2x)$, cộng tất cả lại, với {x.data.nbytes:,} byte trong $x$. Trên đường đi xuôi, đồ thị giữ lại
        {kept:,} byte, là các giá trị của tanh, và lan truyền ngược giải phóng {freed:,}. Vì thế lần gọi `backward()`
        thứ hai không còn gì để đi, và nó nói:
    """, ..., """
        Còn đây là thông báo khi một hàm mang gradient trả về một số cho cả một mảng:
    """, ...])
    return


@app.cell
def _():
    start = '''def x_tanh(x):
    # An op for arrays: its value, and the function
    # that carries gy, the gradient of the loss by y, back to x.
    t = np.tanh(x)
    return x * t, lambda gy: gy * t
'''
    answer = start.replace("gy * t\n", "gy * (t + x * (1 - t * t))\n")
    tries = {
        both("the slope of tanh alone", "chỉ có độ dốc của tanh"): start.replace("gy * t\n", "gy * (1 - t * t)\n"),
        both("the slopes multiplied, not added", "nhân các độ dốc chứ không cộng"):
            start.replace("gy * t\n", "gy * t * x * (1 - t * t)\n"),
        both("x forgotten in the second road", "quên x ở con đường thứ hai"):
            start.replace("gy * t\n", "gy * (t + 1 - t * t)\n"),
    }

    def check(x_tanh):
        x = np.array([[-1.5, -0.5, 0.25], [0.75, 1.0, 2.0]])
        given = x_tanh(x)
        if not isinstance(given, tuple) or len(given) != 2 or not callable(given[1]):
            raise ValueError("x_tanh has to return two things: the value, and the function that carries gy back")
        if not np.allclose(given[0], (Tensor(x) * ops.tanh(Tensor(x))).numpy()):
            raise ValueError("the value is no longer x · tanh(x): change only what carries the gradient")
        gradcheck(lambda x: x_tanh(x)[0], x, backward=lambda gy, x: x_tanh(x)[1](gy))

    asked = "x_tanh"
    say("""
        ## Exercise

        This is what an op looks like in minicnn: a function of arrays that returns its value and a function that
        carries the gradient back. The gradient of $y = x \\tanh(x)$ is wrong here, because $x$ goes into $y$ along two
        roads. Mend it. Below it stands what `gradcheck` says of the answer.
    """, vi=["""
        ## Bài tập

        Một phép toán trong minicnn trông như thế này: một hàm nhận các mảng, trả về giá trị của nó và một hàm mang
        gradient trở về. Ở đây gradient của $y = x \\tanh(x)$ bị sai, vì $x$ đi vào $y$ theo hai con đường. Hãy sửa nó.
        Bên dưới là điều `gradcheck` nói về câu trả lời.
    """])
    return answer, asked, check, start, tries


@app.cell
def _(start):
    editor = answer_box(start, "your op")
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
