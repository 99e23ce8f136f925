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
    from page import answer_box, attempt, figure, one_answer, picture, say, table

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

        A formula is computed one small step at a time, and a gradient goes back over the same steps. So an engine needs
        a record of what was computed, from what, and how a gradient gets back over each step. This record is called a
        **tape**. Here one is written before your eyes, for plain numbers. Then it computes the same formula as minicnn,
        and both have to agree to the last bit.
    """)
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

        It has a value, and it knows its inputs. For each input it has a function that **carries** the gradient back. A
        number that somebody wrote down has no inputs: it is a leaf.

    """, code(Remembered), """
        Nothing here is a list of steps. The numbers hold on to their inputs, those to theirs, and the age says in which
        order they came: this is all the tape there is.
    """)
    return (Remembered,)


@app.cell
def _(Remembered, code):
    class Number(Remembered):
        def __add__(self, other):
            return Number(self.value + other.value, "+", (self, other), (lambda g: g, lambda g: g))

        def __mul__(self, other):
            a, b = self.value, other.value
            return Number(a * b, "×", (self, other), (lambda g: g * b, lambda g: g * a))

        def tanh(self):
            y = np.tanh(self.value)
            return Number(y, "tanh", (self,), (lambda g: g * (1 - y * y),))

    say("""
        ## Operators

        Each computes its value and, in the same place, notes its own slopes. Of a sum both are 1. Of $a \\cdot b$ they
        are $b$ and $a$. Of $y = \\tanh(x)$, a smooth step from −1 to 1, the slope is $1 - y^2$.

    """, code(Number))
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

        `flow` holds what has reached each number so far. A **heap** is a list that hands out its smallest entry first;
        with the age negated that is the youngest. All that was computed from a number is younger than the number
        itself. So when its turn comes, every share of its gradient has arrived.

    """, code(backward), f"""
        No recursion, no sorting. Put into a file of its own, imports and empty lines included, the engine has
        {len(alone.splitlines())} lines.
    """)
    return (backward,)


@app.cell
def _():
    x_slider = mo.ui.slider(-2.0, 2.0, step=0.25, value=0.5, label="the input x", show_value=True)
    w_slider = mo.ui.slider(-2.0, 2.0, step=0.25, value=0.75, label="the weight w", show_value=True)
    mo.vstack([x_slider, w_slider])
    return w_slider, x_slider


@app.cell
def _(Number, backward, w_slider, x_slider):
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

    values = [float(x_slider.value), float(w_slider.value), -0.3, -1.5, 0.2]
    y, leaves = by_tape(values)
    y_minicnn, gradients = by_minicnn(values)
    assert y.value == y_minicnn
    assert [leaf.grad for leaf in leaves] == gradients, "not the same to the last bit"

    def of_array(p):
        return np.array([by_tape(p)[0].value])

    report = gradcheck(of_array, np.array(values), backward=lambda gy, p: gy * [leaf.grad for leaf in by_tape(p)[1]])
    assert report.error < 1e-6
    say("""
        ## Two engines, one formula

        Two layers of one unit each, where the second also passes on what it was given, as residual networks do:

        $$h = \\tanh(x w + b), \\qquad y = \\tanh(h v + c) + h$$

        It is written once, with `+`, `*` and `.tanh()`. It does not know which engine computes it.

    """, table(["", "value", "∂y/∂(it), tape", "∂y/∂(it), minicnn"],
               [[name, value, leaf.grad, gradient]
                for name, value, leaf, gradient in zip("xwbvc", values, leaves, gradients, strict=True)]), f"""
        $y$ is {y.value:.17g} by the tape and {y_minicnn:.17g} by minicnn. All five gradients are equal to the last
        bit, because both engines do the same operations in the same order. They could share a mistake, so `gradcheck`
        held the tape against small differences as well: the relative error is {report.error:.0e}. Move an input or a
        weight.
    """)
    return network, values, y


@app.cell
def _(y):
    def collected(y):
        """All numbers behind y, oldest first, and how each is written by their ages."""
        found, waiting = {}, [y]
        while waiting:
            number = waiting.pop()
            found[number.age] = number
            waiting += number.inputs
        numbers = [found[age] for age in sorted(found)]
        names = dict(zip(numbers, "xwbvc", strict=False))
        for number in numbers[5:]:
            ages = [f"№ {x.age - numbers[0].age}" for x in number.inputs]
            names[number] = f" {number.op} ".join(ages) if len(ages) == 2 else f"{number.op}({ages[0]})"
        return numbers, names

    numbers, names = collected(y)
    shares = [(number, x, carry(number.grad)) for number in numbers
              for x, carry in zip(number.inputs, number.carries, strict=True)]
    for number in numbers[:-1]:
        assert np.isclose(number.grad, sum(share for _, x, share in shares if x is number), rtol=1e-14, atol=1e-15)
    h = next(number for number in numbers if sum(x is number for _, x, _ in shares) == 2)
    to_h = [f"{share:.4f} from № {number.age - numbers[0].age}" for number, x, share in shares if x is h]
    say("""
        ## The tape itself

        The number before it is the age. Read it downwards for the values and upwards for the gradients.

    """, table(["age", "it", "value", "∂y/∂(it)"],
               [[number.age - numbers[0].age, names[number], number.value, number.grad] for number in numbers]), f"""
        $h$ is № {h.age - numbers[0].age}. It was used twice, so two shares reach it ({"; ".join(to_h)}), and its
        gradient is their sum, {h.grad:.4f}.
    """)
    return names, numbers, shares


@app.cell
def _(names, numbers, shares):
    def draw_tape():
        drawing = figure(7, 3.4)
        axes = drawing.subplots()
        first, most = numbers[0].age, max(abs(share) for *_, share in shares)
        for number, x, share in shares:
            a, b = x.age - first, number.age - first
            t = np.linspace(0, np.pi, 60)
            axes.plot((a + b) / 2 - (b - a) / 2 * np.cos(t), np.sin(t) * (b - a) ** 0.7,
                      "-" if share >= 0 else ":", color="C0" if share >= 0 else "C1",
                      lw=0.5 + 4 * abs(share) / (most or 1), solid_capstyle="butt")
        for i, number in enumerate(numbers):
            axes.text(i, -0.75, names[number] if not number.op else number.op, ha="center", weight="bold")
            axes.text(i, -1.55, f"{number.value:.2f}", ha="center", fontsize=9)
            axes.text(i, -2.35, f"{number.grad:.2f}", ha="center", fontsize=9)
        axes.plot(range(len(numbers)), [0] * len(numbers), "o", color="black", ms=4)
        for height, word in ((-1.55, "value"), (-2.35, "gradient")):
            axes.text(-0.7, height, word, ha="right", fontsize=9)
        axes.set(xlim=(-2.2, len(numbers) - 0.4), ylim=(-2.7, 4))
        axes.axis("off")
        axes.set_title("what each step sends back: solid above 0, dotted below 0", fontsize=10)
        return drawing

    largest = max(shares, key=lambda share: abs(share[2]))
    picture(draw_tape(), f"The {len(numbers)} numbers of the tape in a row, by age, and an arc from each back to each "
                         "of its inputs, the thicker the more gradient goes along it. The thickest carries "
                         f"{largest[2]:.3g} from {names[largest[0]]} to {names[largest[1]]}.")
    return


@app.cell
def _(Number, backward, code_of, network, values):
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
        leaves = [Number(value) for value in values]
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

        The text of `backward` above is changed a little and run again:

        - **= for +=**: `flow[x] = carry(g)` in both branches.
        - **oldest first**: the minus before the ages is left out.
        - **oldest first, once**: also, whoever has been met is not met again, as many a recursive walk has it.

    """, table(["∂y/∂", *found], [[name, *(float(gradient[i]) for gradient, _ in found.values())]
                                  for i, name in enumerate("xwbvc")]
               + [["met", *(n for _, n in found.values())]]), f"""
        The first and the last lose one road each: of the two shares that reach $h$, one keeps only what came through
        the upper layer, the other only what came straight from $y$. Their numbers for $x$, $w$ and $b$ add up to the
        right ones: {one_road[0]:.4f} + {other_road[0]:.4f} = {right[0]:.4f} for $x$. They look like gradients and the
        program runs. For $v$ and $c$, which have one road only, they are even right.

        "Oldest first" alone gives the **right** numbers, which may surprise. $h$ is met too early, hands on what it
        has, and is met once more when the rest arrives; since shares are added, nothing is lost. But
        {found["oldest first"][1]} numbers were met, not {met}.
    """)
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

        Layers on top of each other, each with two roads, $h ← \\tanh(h v) + h$. How many numbers are met:

    """, table(["layers", "youngest first", "oldest first"], rows), f"""
        With each layer the number of roads doubles, and oldest first walks every one of them. Youngest first meets each
        number once, whatever the roads. In {many:,} layers it meets {met_in_many:,}; a function that calls itself
        for every input would be stopped by Python {sys.getrecursionlimit():,} calls deep.
    """)
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

        `minicnn/engine/backward.py` has the same loop, the same dictionary and the same heap. Around them:

        - **Arrays.** What an array sends back must have the shape of what it reaches (chapter 3), and an error says
          where it has not.
        - **Only what is needed.** What does not require a gradient is not noted down, nor is anything under
          `no_grad()`. Only leaves keep a `.grad`, and they get it after the whole walk: an error leaves it as it was.
        - **Devices.** Each step is carried back on the device where it was computed. A copy from one to another is an
          op like any other (chapter 10).
        - **Freeing.** Our tape lives as long as $y$ does. minicnn keeps of the values only what a carrying function
          needs, and lets it go once it is used.

    """, f"""
        For example $\\tanh(2x)$, summed, with {x.data.nbytes:,} bytes in $x$: on the way the graph kept {kept:,} bytes,
        which are the values of tanh, and backward freed {freed:,}. A second backward has nothing left to walk. What it
        says, and what is said of a carrying function that gives one number for an array:

    """, f"```\n{why(loss)}\n\n{shapes}\n```")
    return


@app.cell
def _():
    start = '''def x_tanh(x):
    # An op for arrays: its value, and the function that carries ∂L/∂y to ∂L/∂x.
    t = np.tanh(x)
    return x * t, lambda gy: gy * t
'''
    answer = start.replace("gy * t\n", "gy * (t + x * (1 - t * t))\n")
    tries = {
        "the slope of tanh alone": start.replace("gy * t\n", "gy * (1 - t * t)\n"),
        "the slopes multiplied, not added": start.replace("gy * t\n", "gy * t * x * (1 - t * t)\n"),
        "x forgotten in the second road": start.replace("gy * t\n", "gy * (t + 1 - t * t)\n"),
    }

    def check(x_tanh):
        x = np.array([[-1.5, -0.5, 0.25], [0.75, 1.0, 2.0]])
        if not np.allclose(x_tanh(x)[0], (Tensor(x) * ops.tanh(Tensor(x))).numpy()):
            raise ValueError("the value is no longer x · tanh(x): change only what carries the gradient")
        gradcheck(lambda x: x_tanh(x)[0], x, backward=lambda gy, x: x_tanh(x)[1](gy))

    asked = "x_tanh"
    say("""
        ## Exercise

        This is what an op looks like in minicnn: a function of arrays that returns its value and what carries the
        gradient back. Mend the gradient of $y = x \\tanh(x)$. $x$ comes in along two roads. What `gradcheck` says of
        yours stands below.
    """)
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
