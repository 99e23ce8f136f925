"""Chapter 1: one number. A derivative by hand, the graph, why += and why the youngest first."""

import marimo

app = marimo.App(app_title="1 · One number")

with app.setup:
    import marimo as mo
    import numpy as np
    from page import answer_box, attempt, figure, one_answer, picture, say, table

    from minicnn import Tensor, gradcheck


@app.cell
def _():
    say("""
        # 1 · One number

        A network is a long formula, and training it means asking of every number in it: *if you were a little larger,
        how much larger would the loss be?* The answer is a derivative. This chapter finds one by hand, and then sees
        how `backward()` finds the same.
    """)
    return


@app.cell
def _():
    slider = mo.ui.slider(-3.0, 3.0, step=0.25, value=1.5, label="x", show_value=True)
    slider
    return (slider,)


@app.cell
def _(slider):
    x = float(slider.value)
    h = 1e-6

    def f(x):
        return (x * 3 + 1) * x

    slope_by_hand = 6 * x + 1
    slope_by_difference = (f(x + h) - f(x - h)) / (2 * h)
    t = Tensor(np.float64(x), requires_grad=True)
    y = f(t)
    y.backward()
    slope_by_minicnn = t.grad.item()
    assert abs(slope_by_minicnn - slope_by_hand) < 1e-12
    assert abs(slope_by_difference - slope_by_hand) < 1e-6
    say(f"""
        ## Three ways to one slope

        Take $y = (3x + 1)\\,x$. Multiplied out it is $3x^2 + x$, and its slope is $6x + 1$. At $x = {x:g}$:

    """, table(["way", "∂y/∂x"], [
        ["by hand, 6x + 1", slope_by_hand],
        ["by a small step, (f(x + h) − f(x − h)) / 2h with h = 10⁻⁶", slope_by_difference],
        ["by `y.backward()`", slope_by_minicnn],
    ]), """
        The second way needs no thought, but two evaluations for every number that may change. AlexNet has 61 million of
        them. `backward()` finds all slopes in about the time of two evaluations *in all*.
    """)
    return f, slope_by_minicnn, x


@app.cell
def _(f, slope_by_minicnn, x):
    def draw():
        drawing = figure(7, 3)
        axes = drawing.subplots()
        xs = np.linspace(-3, 3, 121)
        axes.plot(xs, f(xs), label="y = (3x + 1) x")
        axes.plot(xs, f(x) + slope_by_minicnn * (xs - x), "--", label=f"slope {slope_by_minicnn:g}")
        axes.plot([x], [f(x)], "o", color="black")
        axes.set(xlabel="x", ylabel="y", ylim=(-12, 32))
        axes.grid(alpha=0.3)
        axes.legend()
        return drawing

    picture(draw(), f"The parabola y = (3x + 1) x and its tangent at x = {x:g}, which rises by {slope_by_minicnn:g} "
                    "for one step to the right.")
    return


@app.cell
def _(x):
    def walk():
        a = x * 3
        b = a + 1
        y = b * x
        gy = 1.0  # ∂y/∂y
        gb = gy * x  # y = b · x: per unit of b, y grows by x
        gx_from_product = gy * b  # and per unit of x, by b
        ga = gb * 1  # b = a + 1
        gx_from_a = ga * 3  # a = 3x
        return a, b, y, gb, ga, gx_from_product, gx_from_a

    a, b, value, gb, ga, direct, through_a = walk()
    assert abs(direct + through_a - (6 * x + 1)) < 1e-12
    say("""
        ## The graph

        The computer does one small thing at a time: $a = 3x$, then $b = a + 1$, then $y = b \\cdot x$. Each knows its
        own slope at sight. Going backward, each multiplies what has reached it by that slope and hands it on:

    """, table(["step", "value", "∂y/∂(it)", "because"], [
        ["y = b · x", value, 1.0, "y by itself"],
        ["b = a + 1", b, gb, "y = b · x grows by x per unit of b"],
        ["a = 3 x", a, ga, "b = a + 1 grows by 1 per unit of a"],
        ["x, through a", x, through_a, "a = 3x grows by 3 per unit of x"],
        ["x, straight into y", x, direct, "y = b · x grows by b per unit of x"],
    ]), f"""
        $x$ is used **twice**: a little more of it changes $y$ along both roads, so what comes back along them is
        **added**: {through_a:g} + {direct:g} = **{through_a + direct:g}**. This is why every engine writes `+=` and not
        `=`. With `=` the road walked last would be all that counts: {direct:g} or {through_a:g}, and both are wrong.
    """)
    return


@app.cell
def _():
    def order_matters():
        x = Tensor(np.float64(2.0), requires_grad=True)
        a = x * x  # used twice below
        b = a * 3
        y = a * b
        y.backward()
        return x.grad.item(), 12 * 2.0**3, [(name, node.node.age) for name, node in (("x", x), ("a", a), ("b", b),
                                                                                  ("y", y))]

    found, expected, ages = order_matters()
    assert found == expected
    oldest = ages[0][1]
    numbered = ", ".join(f"{name} {age - oldest}" for name, age in ages)
    say(f"""
        ## Why the youngest first

        Let $a = x^2$, $b = 3a$, $y = a \\cdot b$. Whoever hands on what reached $a$ before $b$ has sent its share,
        hands on too little. $b$ was made after $a$, so all that was ever made *from* $a$ is **younger** than $a$. Walk
        from the youngest to the oldest, and each number is met only when its sum is complete. minicnn numbers tensors
        as they are born ({numbered}) and needs no other order: no recursion and no sorting of a graph. At $x = 2$ it
        finds {found:g}, and $12x^3$ is {expected:g}.
    """)
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # y = x³ + 2x: what comes back along each of the two roads?
    gx = gy * 3 * x**2
    gx = gy * 2
    return gx
'''
    answer = start.replace("gx = gy * 2", "gx += gy * 2")
    tries = {
        "keep only the first road": start.replace("    gx = gy * 2\n", ""),
        "forget gy on the second road": start.replace("gx = gy * 2", "gx += 2"),
        "forget the exponent": answer.replace("3 * x**2", "x**2"),
    }

    def check(backward):
        gradcheck(lambda x: x**3 + 2 * x, np.array([0.5, -1.0, 2.0]), backward=backward)

    asked = "backward"
    say("## Exercise\n\nMend this backward of $y = x^3 + 2x$. What `gradcheck` says of it stands below.")
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
