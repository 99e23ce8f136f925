"""Chapter 1: one number. A derivative by hand, the graph, why += and why the youngest first."""

import marimo

app = marimo.App(app_title="1 · One number")

with app.setup:
    import marimo as mo
    import numpy as np
    from graph import walked
    from page import answer_box, attempt, both, figure, one_answer, picture, say, table
    from scene import scene

    from minicnn import Tensor, gradcheck


@app.cell
def _():
    say("""
        # 1 · One number

        A network is one long formula. To train it, we ask the same question of every number in it: *if you were a
        little larger, how much larger would the loss be?* The answer is a derivative. In this chapter we find one by
        hand, and then look at how `backward()` finds the same one.
    """, vi=["""
        # 1 · Một con số

        Một mạng là một công thức dài. Để huấn luyện nó, ta hỏi cùng một câu với từng con số trong mạng: *nếu con số này
        lớn hơn một chút thì hàm mất mát (loss) sẽ tăng bao nhiêu?* Câu trả lời là một đạo hàm. Trong chương này ta tự
        tay tìm một đạo hàm, rồi xem `backward()` tìm ra đúng đạo hàm ấy như thế nào.
    """])
    return


@app.cell
def _():
    slider = mo.ui.slider(-3.0, 3.0, step=0.25, value=1.5, label="x", show_value=True)
    say("""
        ## Three ways to one slope

        Our formula is $y = (3x + 1)\\,x$. Multiplied out it is $3x^2 + x$, so its slope is $6x + 1$. Move $x$ and look
        at the tangent:
    """, vi=["""
        ## Ba cách tìm một độ dốc

        Công thức của ta là $y = (3x + 1)\\,x$. Nhân ra ta được $3x^2 + x$, vậy độ dốc là $6x + 1$. Hãy di chuyển $x$ và
        quan sát tiếp tuyến:
    """])
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

    def off(slope):
        return f"{abs(slope - slope_by_hand):.1g}".replace("-", "−")

    def draw():
        drawing = figure(5.6, 2.8)
        axes = drawing.subplots()
        xs = np.linspace(-3, 3, 121)
        axes.plot(xs, f(xs), label="y = (3x + 1) x")
        axes.plot(xs, f(x) + slope_by_minicnn * (xs - x), "--", label=f"slope {slope_by_minicnn:g}")
        axes.plot([x], [f(x)], "o", color="black")
        axes.set(xlabel="x", ylabel="y", ylim=(-12, 32))
        axes.grid(alpha=0.3)
        axes.legend()
        return drawing

    mo.vstack([
        slider,
        picture(draw(), f"The parabola y = (3x + 1) x and its tangent at x = {x:g}, which rises by "
                        f"{slope_by_minicnn:g} for one step to the right.",
            vi=f"Parabol y = (3x + 1) x và tiếp tuyến của nó tại x = {x:g}, tăng {slope_by_minicnn:g} khi sang phải "
               f"một đơn vị.", texts={"slope": "độ dốc"}),
        say(f"There are three ways to find the slope at $x = {x:g}$:", table([
            both("way", "cách"), "∂y/∂x", both("error", "sai số")], [
            [both("by hand, 6x + 1", "bằng tay, 6x + 1"), f"{slope_by_hand:.12g}", "0"],
            [both("by a small step, (f(x + h) − f(x − h)) / 2h with h = 10⁻⁶",
                  "bằng một bước nhỏ, (f(x + h) − f(x − h)) / 2h với h = 10⁻⁶"), f"{slope_by_difference:.12g}",
             off(slope_by_difference)],
            [both("by `y.backward()`", "bằng `y.backward()`"), f"{slope_by_minicnn:.12g}", off(slope_by_minicnn)],
        ]), """
            The small step needs no thought, but it is hardly ever exact, because a computer rounds. And it costs two
            evaluations of the whole formula for *every* number that may change. AlexNet has 61 million of them.
            `backward()` finds all the slopes in about the time of two evaluations *in all*.
        """, vi=[f"Có ba cách tìm độ dốc tại $x = {x:g}$:", ..., """
            Cách dùng bước nhỏ không cần suy nghĩ gì, nhưng hầu như không bao giờ chính xác tuyệt đối, vì máy tính làm
            tròn. Và với *mỗi* con số có thể thay đổi, nó phải tính lại toàn bộ công thức hai lần. AlexNet có 61 triệu
            con số như vậy. Còn `backward()` tìm *tất cả* các độ dốc trong thời gian chỉ bằng khoảng hai lần tính.
        """]),
    ])
    return


@app.cell
def _():
    def drawn():
        """The graph of y = (3x + 1) x as minicnn has it, for a few x."""
        cases = {x: walked(lambda x: (x * 3 + 1) * x, x) for x in (-2.0, -1.0, 0.0, 0.5, 1.5, 3.0)}
        for x, case in cases.items():
            a, b = 3 * x, 3 * x + 1
            assert case["values"] == [x, a, b, b * x]
            assert case["edges"] == [[2, 3, x], [0, 3, b], [1, 2, 1], [0, 1, 3]]
            assert case["added"][-1] == [3 * x, 6 * x + 1]
        places = {"x": (280, 30), "a = 3 · x": (65, 110), "b = a + 1": (65, 190), "y = b · x": (280, 270)}
        return cases, {"nodes": [{"name": name, "at": at} for name, at in places.items()], "choose": "x =",
                       "cases": [[f"{x:g}", case] for x, case in cases.items()], "chosen": 4, "wide": 345,
                       "height": 300}

    cases, data = drawn()
    (direct, _), (through_a, both_roads) = cases[1.5]["added"][1], cases[1.5]["added"][3]
    assert cases[1.5]["replaced"][3][1] == through_a and direct + through_a == both_roads
    mo.vstack([
        say("""
            ## The graph

            A computer does one small thing at a time: first $a = 3x$, then $b = a + 1$, then $y = b \\cdot x$. The
            slope of each small step is easy. The product $y = b \\cdot x$, for example, grows by $x$ when $b$ grows by
            1, and by $b$ when $x$ grows by 1. Going backward, each number multiplies its own gradient by the slope and
            hands the result on to the numbers that it was made of. Step through it:
        """, vi=["""
            ## Đồ thị tính toán

            Máy tính làm từng việc nhỏ một: trước hết $a = 3x$, rồi $b = a + 1$, rồi $y = b \\cdot x$. Độ dốc của mỗi
            bước nhỏ thì dễ tính. Chẳng hạn tích $y = b \\cdot x$ tăng thêm $x$ khi $b$ tăng 1, và tăng thêm $b$ khi $x$
            tăng 1. Khi đi ngược lại, mỗi số lấy gradient của chính nó nhân với độ dốc rồi trao kết quả cho những số đã
            tạo ra nó. Hãy đi từng bước:
        """]),
        scene("graph", data, "The graph of y = (3x + 1) x, to be stepped: x leads to a = 3x, a to b = a + 1, and b and "
              f"x lead to y. Backward at x = 1.5, {direct:g} comes straight from y to x and {through_a:g} through a, "
              f"together {both_roads:g}.", 430),
        say(f"""
            $x$ is used **twice**. A little more of it changes $y$ along both roads, so what comes back along the two
            roads is **added**: {direct:g} + {through_a:g} = **{both_roads:g}** at $x = 1.5$. This is why every engine
            writes `+=` here and not `=`. Press *= for +=* to see where it ends otherwise: only the road that was walked
            last counts, {through_a:g}. The road that was walked first, {direct:g}, is overwritten.
        """, vi=[f"""
            $x$ được dùng **hai lần**. Khi nó tăng một chút, $y$ thay đổi theo cả hai con đường, nên những gì đi ngược
            về theo hai con đường phải được **cộng lại**: {direct:g} + {through_a:g} = **{both_roads:g}** tại $x = 1.5$.
            Vì thế ở chỗ này thư viện nào cũng viết `+=` chứ không viết `=`. Hãy bấm *= for +=* để xem điều gì xảy ra
            nếu viết khác: chỉ con đường đi sau cùng được tính, {through_a:g}. Con đường đi trước, {direct:g}, đã bị ghi
            đè.
        """]),
    ])
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
    numbered, numbered_vi = (", ".join(f"{name} {word} {age - oldest}" for name, age in ages) for word in ("is", "là"))
    say(f"""
        ## Why the youngest comes first

        There is one more trap. Take $a = x^2$, $b = 3a$ and $y = a \\cdot b$. Here $a$ is used twice, by $b$ and by
        $y$. If $a$ handed on its gradient before $b$ had sent its share, it would hand on too little.

        But $b$ was made after $a$. Everything that is ever made *from* $a$ is **younger** than $a$. So if we walk from
        the youngest number to the oldest, we come to each number only when its sum is complete. minicnn numbers its
        tensors, which are arrays that remember how they were made ({numbered}), and a heap (chapter 2) hands out the
        youngest of those that are waiting. That is the whole order: no recursion, and no pass that sorts the graph
        beforehand. At $x = 2$ it finds {found:g}, and the formula $12x^3$ gives {expected:g}.
    """, vi=[f"""
        ## Vì sao số trẻ nhất đi trước

        Còn một cái bẫy nữa. Lấy $a = x^2$, $b = 3a$ và $y = a \\cdot b$. Ở đây $a$ được dùng hai lần, bởi $b$ và bởi
        $y$. Nếu $a$ trao gradient của mình đi trước khi $b$ gửi phần của nó tới, thì $a$ trao đi quá ít.

        Nhưng $b$ được tạo ra sau $a$. Mọi thứ được tạo ra *từ* $a$ đều **trẻ hơn** $a$. Vậy nếu ta đi từ số trẻ nhất
        đến số già nhất, thì khi gặp một số, tổng của nó đã đủ. minicnn đánh số các tensor, tức là những mảng nhớ mình
        được tạo ra như thế nào ({numbered_vi}), và một heap (chương 2) luôn đưa ra số trẻ nhất trong những số đang chờ.
        Thứ tự chỉ có thế: không đệ quy, cũng không cần sắp xếp đồ thị từ trước. Tại $x = 2$ nó tìm được {found:g}, và
        công thức $12x^3$ cho {expected:g}.
    """])
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
        both("keep only the first road", "chỉ giữ con đường thứ nhất"): start.replace("    gx = gy * 2\n", ""),
        both("multiply, not add", "nhân chứ không cộng"): start.replace("gx = gy * 2", "gx *= 2"),
        both("forget gy on the second road", "quên gy ở con đường thứ hai"): start.replace("gx = gy * 2", "gx += 2"),
        both("forget the exponent", "quên số mũ"): answer.replace("3 * x**2", "x**2"),
    }

    def check(backward):
        gradcheck(lambda x: x**3 + 2 * x, np.array([0.5, -1.0, 2.0]), backward=backward)

    asked = "backward"
    say("""
        ## Exercise

        This backward of $y = x^3 + 2x$ is wrong. Mend it. Below it stands what `gradcheck` says: it runs the function
        and compares it with small steps.
    """, vi=["""
        ## Bài tập

        Hàm backward này của $y = x^3 + 2x$ bị sai. Hãy sửa nó. Bên dưới là điều `gradcheck` nói: nó chạy hàm ấy và
        so sánh với các bước nhỏ.
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
