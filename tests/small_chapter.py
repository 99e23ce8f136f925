"""A chapter with a widget of every kind, in which every state shows a number that is easy to work out."""

import marimo

app = marimo.App(app_title="90 · Small")

with app.setup:
    import marimo as mo
    from page import figure, picture, say, table


@app.cell
def _():
    say("""
        # 90 · Small

        A formula in a line, $\\frac{a}{b} < 1$, and one by itself:

        $$\\sum_{i=1}^{n} x_i$$

        ## In a line

        The word marmalade stands here alone. A <strong lang="vi">lời</strong> of another language.

        ```python
        print(1 < 2)
        ```

        ```
        told & done
        ```
    """)
    return


@app.cell
def _():
    say("# Two", "## In English\n\nOne of 2.", vi=["# Hai", "## Tiếng Việt\n\nMột trong 2."])
    return


@app.cell
def _():
    size = mo.ui.slider(1, 4, value=2, label="size", show_value=True)
    share = mo.ui.slider(steps=[0.25, 0.5, 4.0], value=0.5, label="share $x$", show_value=True)
    mo.vstack([size, mo.hstack([share])])
    return share, size


@app.cell
def _():
    held = [0]
    return (held,)


@app.cell
def _(size):
    place = mo.ui.slider(0, size.value - 1, value=size.value // 2, label="place", show_value=True)
    mo.vstack([place])
    return (place,)


@app.cell
def _():
    kind = mo.ui.dropdown(["sum", "product"], value="product", label="kind")
    minus = mo.ui.switch(label="minus")
    way = mo.ui.radio(["up", "down"], value="up", label="way")
    file = mo.ui.text(label="file", placeholder="none")
    class_ = mo.ui.number(0, value=3, label="class")
    mo.vstack([kind, minus, way, mo.hstack([file, class_])])
    return class_, file, kind, minus, way


@app.cell
def _(kind):
    mo.vstack([kind])  # once more
    return


@app.cell
def _():
    _idle = mo.ui.slider(0, 1, value=0, label="only one", disabled=True)
    pair = mo.ui.array([mo.ui.slider(0, 1, value=1, label="first"), _idle])
    mo.vstack([*pair])
    return (pair,)


@app.cell
def _(held, size):
    held[0] = size.value  # changes what another cell has made
    doubled = 2 * size.value
    return (doubled,)


@app.cell
def _(class_, doubled, file, held, kind, minus, pair, place, share, size, way):
    assert held[0] == size.value and file.value == ""
    whole = doubled + place.value if kind.value == "sum" else doubled * place.value
    found = (-1 if minus.value else 1) * whole * share.value + (class_.value if way.value == "up" else pair.value[0])
    say("## Found\n\nIt is:", table(["of", "is"], [["all", f"{found:.2f}"]]))
    return (found,)


@app.cell
def _(size):
    def draw():
        drawing = figure(2, 1)
        drawing.subplots().bar(range(size.value), 1)
        return drawing

    picture(draw(), f"{size.value} bars")
    return


@app.cell
def _(size):
    mo.Html(f'<iframe title="a frame" srcdoc="&lt;p&gt;size {size.value}" onload="alert(1)" width="100%"></iframe>')
    return


@app.cell
def _():
    start, answer, tries = "x = 1 < 2\n", "x = 3\n", {"two": "x = 2\n"}
    say("## Found\n\nA heading again.")
    return answer, start, tries


@app.cell
def _(start):
    editor = mo.ui.code_editor(value=start, language="python", label="your x")
    mo.vstack([editor])
    return (editor,)


@app.cell
def _(editor):
    say(f"The verdict is: {'Right' if '3' in editor.value else 'Not yet'}.")
    return


@app.cell
def _(answer):
    mo.accordion({"One answer": mo.md(f"```python\n{answer}```")})
    return


if __name__ == "__main__":
    app.run()
