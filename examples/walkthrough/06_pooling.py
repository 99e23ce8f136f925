"""Chapter 6: pooling that overlaps. Pick a pixel: which windows it wins, and so what gradient it gets."""

import marimo

app = marimo.App(app_title="6 · Pooling that overlaps")

with app.setup:
    import inspect
    from textwrap import dedent

    import numpy as np
    from matplotlib.cbook import get_sample_data
    from page import answer_box, attempt, both, figure, one_answer, picture, say, table
    from scene import scene
    from scene_numbers import pooling as numbers_of_the_scene

    from minicnn import Tensor, gradcheck, ops
    from minicnn.data import read_picture
    from minicnn.kernels import max_pool2d as kernels


@app.cell
def _():
    say("""
        # 6 · Pooling that overlaps

        Max-pooling keeps the largest number of every window and drops the others. It has no weights, so one might think
        that it has nothing to do on the way back. But it has: in every window one pixel made the output, the
        **winner**. The gradient goes to it alone. The losers get 0, since a little more of them would have changed
        nothing.

        AlexNet's windows are 3 wide and 2 apart (Krizhevsky et al. 2012, §3.4). So neighbouring windows overlap, and
        one pixel may win several of them.

        Below are 9 × 9 pixels around an eye, with grey levels from 0 to 99. The loss is Σ gy · y, where gy simply
        numbers the windows: 1, 2, 3 and so on. So you can tell by the numbers in gx which windows they came from. Click
        on any square, or move there with the arrow keys:

        - a pixel of **x** or **gx**: solid frames are the windows that it wins, dashed ones those that it loses;
        - a number of **y** or **gy**: its window, and the winner in it.
    """, vi=["""
        # 6 · Gộp với cửa sổ chồng lên nhau

        Phép gộp cực đại (max-pooling) giữ số lớn nhất của mỗi cửa sổ và bỏ các số khác. Nó không có trọng số, nên có
        thể ta nghĩ rằng trên đường về nó chẳng có việc gì làm. Nhưng có đấy: trong mỗi cửa sổ, một điểm ảnh đã tạo ra
        đầu ra, đó là điểm **thắng**. Gradient chỉ đến một mình nó. Các điểm thua nhận 0, vì chúng có tăng lên một chút
        thì cũng không thay đổi gì.

        Cửa sổ của AlexNet rộng 3 và cách nhau 2 (Krizhevsky và cộng sự 2012, §3.4). Vì thế các cửa sổ cạnh nhau chồng
        lên nhau, và một điểm ảnh có thể thắng ở nhiều cửa sổ.

        Dưới đây là 9 × 9 điểm ảnh quanh một con mắt, với mức xám từ 0 đến 99. Hàm mất mát là Σ gy · y, trong đó gy chỉ
        đơn giản là đánh số các cửa sổ: 1, 2, 3, v.v. Nhờ vậy, nhìn số trong gx là biết nó đến từ những cửa sổ nào. Hãy
        bấm vào một ô bất kỳ, hoặc di chuyển bằng các phím mũi tên:

        - một điểm ảnh của **x** hoặc **gx**: khung liền nét là những cửa sổ nó thắng, khung đứt nét là những cửa sổ nó
          thua;
        - một số của **y** hoặc **gy**: cửa sổ của nó, và điểm thắng trong đó.
    """])
    return


@app.cell
def _():
    scene("pooling", numbers_of_the_scene(), "9 × 9 grey levels around an eye, x, and the largest of each window of 3 "
          "× 3, y, 4 × 4 numbers; below them the gradients gx, which is 0 but for the winners, and gy. A pixel is "
          "picked that wins two windows: frames show them, and its gradient is the sum of both numbers in gy.", 830)
    return


@app.cell
def _():
    def sent_and_arrived(size, stride):
        (of_scene,) = (each for each in numbers_of_the_scene()["settings"]
                       if (each["size"], each["stride"]) == (size, stride))  # fmt: skip
        return of_scene["gy"].sum(), of_scene["overwritten"].sum()

    sent, arrived = sent_and_arrived(3, 2)
    assert arrived < sent  # windows overlap
    assert np.equal(*sent_and_arrived(2, 2))  # they do not, and nobody can see the mistake
    say(f"""
        ## What to look for

        **Several wins add up.** Where a pixel wins several windows, its gradient is the sum of what they send. Pooling
        hands on everything that it is given, so gx as a whole must add up to what gy adds up to: a check that you can
        make by hand.

        **The mistake: = for +=.** Press its button. With `=` the window that comes last wipes out what the others had
        sent: at size 3 and stride 2 only {arrived:g} of {sent:g} arrive. Now choose size 2 and stride 2: no windows
        overlap, and **the mistake does not show**. So test pooling where windows overlap.

        **Nudge a winner, and a loser.** The loss follows the winner in a straight line. It does not follow the loser at
        all, until the loser rises above the winner and takes its place. There the loss has a kink, and no gradient
        tells of it in advance.

        On the way forward the program writes down where it found the largest number: if that is in row r and column s
        of the window, `winner` holds the one number r · size + s. That is all that the way back needs. The picture
        itself may be forgotten.
    """, vi=[f"""
        ## Cần chú ý điều gì

        **Thắng nhiều lần thì cộng lại.** Khi một điểm ảnh thắng ở nhiều cửa sổ, gradient của nó là tổng của những gì
        các cửa sổ ấy gửi đến. Phép gộp chuyển tiếp tất cả những gì nó nhận được, nên tổng của cả gx phải bằng tổng của
        gy: một phép kiểm tra có thể làm bằng tay.

        **Lỗi hay gặp: = thay cho +=.** Hãy bấm nút của nó. Với `=`, cửa sổ đến sau cùng xoá mất những gì các cửa sổ
        khác đã gửi: với kích thước 3 và bước nhảy 2, chỉ {arrived:g} trong số {sent:g} đến nơi. Bây giờ chọn kích thước
        2 và bước nhảy 2: không cửa sổ nào chồng lên nhau, và **lỗi không lộ ra**. Vì vậy hãy kiểm tra phép gộp khi các
        cửa sổ chồng lên nhau.

        **Đẩy nhẹ một điểm thắng, rồi một điểm thua.** Hàm mất mát đi theo điểm thắng theo một đường thẳng. Nó hoàn toàn
        không đi theo điểm thua, cho đến khi điểm thua vượt lên điểm thắng và chiếm chỗ. Ở đó hàm mất mát có điểm gãy,
        và không gradient nào báo trước điều đó.

        Trên đường đi xuôi, chương trình ghi lại nơi nó tìm thấy số lớn nhất: nếu đó là hàng r và cột s của cửa sổ,
        `winner` giữ một số r · size + s. Đường về chỉ cần có thế. Bản thân bức ảnh thì có thể quên đi.
    """])
    return


@app.cell
def _():
    def pool(x, size, stride):
        """y and winner, both (P, Q), of one picture x (H, W).
        winner is the place r · size + s inside the window."""
        P, Q = ((pixels - size) // stride + 1 for pixels in x.shape)
        y, winner = np.empty((P, Q)), np.empty((P, Q), int)
        for p in range(P):
            for q in range(Q):
                window = x[p * stride : p * stride + size, q * stride : q * stride + size]
                winner[p, q] = window.argmax()  # row by row; of equal ones the first
                y[p, q] = window.flat[winner[p, q]]
        return y, winner

    def pixel_of(p, q, place, size, stride):
        return p * stride + place // size, q * stride + place % size

    def pool_backward(gy, winner, shape, size, stride):
        gx = np.zeros(shape)
        for p, q in np.ndindex(gy.shape):
            pixel = pixel_of(p, q, winner[p, q], size, stride)
            gx[pixel] += gy[p, q]
        return gx

    return pool, pool_backward


@app.cell
def _():
    def engine(x, gy, size, stride, padding=0):
        """y and gx of the op, for one picture x (H, W)."""
        t = Tensor(x[None, None], requires_grad=True)  # (N, C, H, W) = (1, 1, H, W)
        y = ops.max_pool2d(t, size=size, stride=stride, padding=padding)
        y.backward(np.broadcast_to(gy, y.shape).astype(x.dtype))
        return y.numpy()[0, 0], t.grad.numpy()[0, 0]

    return (engine,)


@app.cell
def _(engine, pool, pool_backward):
    def winners_of(run, x, size, stride):
        P = (len(x) - size) // stride + 1
        y, winner = np.empty((1, P, P, 1)), np.empty((1, P, P, 1), np.uint8)  # (C, P, Q, N)
        run(P, y, winner, x[None, :, :, None], size, size, stride, stride, 0, 0)
        return y[0, :, :, 0], winner[0, :, :, 0]

    def agree(size, stride):
        x = 1.0 + np.random.default_rng(108).permutation(49).reshape(7, 7)
        y, winner = pool(x, size, stride)
        for run in (lambda P, *a: kernels.max_pool2d(*a), lambda P, *a: kernels.max_pool2d.plain(0, P, *a)):
            y_found, winner_found = winners_of(run, x, size, stride)
            assert np.array_equal(y_found, y)
            assert np.array_equal(winner_found, winner)
        gy = 1.0 + np.arange(y.size).reshape(y.shape)
        y_op, gx_op = engine(x, gy, size, stride)
        assert np.array_equal(y_op, y)
        assert np.array_equal(gx_op, pool_backward(gy, winner, x.shape, size, stride))

    for size, stride in np.ndindex(3, 3):
        agree(size + 2, stride + 1)
    say("""
        ## As loops

        This is all of it, for one picture:
    """, f"```python\n{dedent(inspect.getsource(pool))}\n{dedent(inspect.getsource(pool_backward))}```", """
        Here `pixel_of` finds the row p · stride + r and the column q · stride + s of the winner in the picture. The
        engine has the same loops, compiled: `kernels/max_pool2d.py`. At sizes 2, 3 and 4 and strides 1, 2 and 3
        both give the same outputs, winners and gradients, number for number.
    """, vi=["""
        ## Viết bằng vòng lặp

        Tất cả chỉ có thế này, cho một bức ảnh:
    """, ..., """
        Ở đây `pixel_of` tìm hàng p · stride + r và cột q · stride + s của điểm thắng trong bức ảnh. minicnn có đúng
        những vòng lặp ấy, đã biên dịch: `kernels/max_pool2d.py`. Với các kích thước 2, 3, 4 và các bước
        nhảy 1, 2, 3, hai bên cho cùng đầu ra, cùng điểm thắng và cùng gradient, giống nhau từng con số.
    """])
    return


@app.cell
def _(engine):
    def ties():
        same = np.full((3, 3), 2.0)
        _, gx = engine(same, 1.0, 3, 2)
        h = 1e-3
        raised, lowered = same.copy(), same.copy()
        raised[1, 1] += h
        lowered[1, 1] -= h
        largest = [engine(v, 1.0, 3, 2)[0].item() for v in (lowered, same, raised)]
        return gx, (largest[1] - largest[0]) / h, (largest[2] - largest[1]) / h

    def nan_by_comparing(window):
        largest = -np.inf
        for value in window.flat:
            if value > largest:  # NaN > anything is False
                largest = value
        return largest

    gx_tie, slope_below, slope_above = ties()
    assert gx_tie[0, 0] == gx_tie.sum() == 1
    assert slope_below == 0
    assert abs(slope_above - 1) < 1e-9
    broken = np.arange(9.0).reshape(3, 3)
    broken[1, 1] = np.nan
    y_nan, gx_nan = engine(broken, 1.0, 3, 2)
    hidden = nan_by_comparing(broken)
    assert np.isnan(y_nan).all()
    assert gx_nan[1, 1] == gx_nan.sum() == 1
    assert hidden == 8
    checked = gradcheck(ops.max_pool2d, np.full((1, 1, 5, 5), 2.0))
    say(f"""
        ## Equal numbers, and NaN

        Who wins a window of nine equal numbers? In minicnn the first one takes all, row by row: gx[0, 0] =
        {gx_tie[0, 0]:g}, and the others get {gx_tie[1:].sum():g}. At such a place there is no derivative that
        could be right: raise the middle pixel, and y rises with slope {slope_above:g}; lower it, and y follows with
        slope {slope_below:g}. `gradcheck` recognises such ties and tests a little away from them
        ({sum(checked.moved.values())} of 25 equal pixels, all found right). What matters is that all programs follow
        the same rule: the loop above, the compiled one, and the one for GPUs.

        **NaN wins.** Put NaN (not a number) into the middle of 0, 1 … 8: minicnn gives {y_nan.item()} and sends the
        gradient there. A loop that only asks `value > largest` gives {hidden:g}, because NaN is not larger than
        anything. Then whatever went wrong earlier in the network stays hidden.
    """, vi=[f"""
        ## Các số bằng nhau, và NaN

        Trong một cửa sổ có chín số bằng nhau thì ai thắng? Trong minicnn, số đầu tiên được tất cả, tính theo từng hàng:
        gx[0, 0] = {gx_tie[0, 0]:g}, và các số khác nhận {gx_tie[1:].sum():g}. Ở chỗ như thế không có đạo hàm nào là
        đúng: nâng điểm ở giữa lên thì y tăng với độ dốc {slope_above:g}; hạ nó xuống thì độ dốc là {slope_below:g}.
        `gradcheck` nhận ra những trường hợp hoà như thế và thử ở chỗ lệch đi một chút ({sum(checked.moved.values())}
        trong 25 điểm bằng nhau, tất cả đều đúng). Điều quan trọng là mọi chương trình theo cùng một quy tắc: vòng lặp ở
        trên, vòng lặp đã biên dịch, và bản cho GPU.

        **NaN thắng.** Đặt NaN (không phải là số) vào giữa 0, 1 … 8: minicnn cho {y_nan.item()} và gửi gradient đến đó.
        Một vòng lặp chỉ hỏi `value > largest` thì cho {hidden:g}, vì NaN không lớn hơn gì cả. Khi đó lỗi xảy ra trước
        đấy trong mạng sẽ bị che khuất.
    """])
    return


@app.cell
def _(engine, pool, pool_backward):
    def padded_with_zeros(x, gy, size, stride):
        padded = np.pad(x, 1)
        y, winner = pool(padded, size, stride)
        return y, pool_backward(np.full(y.shape, gy), winner, padded.shape, size, stride)[1:-1, 1:-1]

    below = -1.0 - np.random.default_rng(0).permutation(25).reshape(5, 5)
    y_right, gx_right = engine(below, 1.0, 3, 2, padding=1)
    y_wrong, gx_wrong = padded_with_zeros(below, 1.0, 3, 2)
    y_positive, y_positive_zeros = engine(-below, 1.0, 3, 2, padding=1)[0], padded_with_zeros(-below, 1.0, 3, 2)[0]
    from_nowhere = int((y_wrong == 0).sum())
    assert y_right.max() < 0
    assert gx_right.sum() == y_right.size
    assert from_nowhere == y_right.size - 1
    assert gx_wrong.sum() == 1
    assert np.array_equal(y_positive, y_positive_zeros)
    say(f"""
        ## Padding is −∞, not 0

        AlexNet pools without padding; other networks add a border. A border of zeros is right for a convolution, where
        a 0 adds nothing. In pooling it is a number that may win. Take a 5 × 5 picture of the numbers −1 to −25, size 3,
        stride 2 and a border of 1. With a border of zeros {from_nowhere} of the {y_wrong.size} outputs are 0, a number
        that is nowhere in the picture, and their gradient falls into the border and is lost: of {gx_right.sum():g} that
        were sent, {gx_wrong.sum():g} arrives. minicnn's border is −∞, which never wins.

        After a ReLU, which replaces negative numbers by 0 (chapter 8), both borders give the same y. So this mistake
        waits until somebody pools before the ReLU, as the program of 2012 did in blocks 1 and 5.

        Here is the whole face. Compare the picture, what pooling makes of it, and where the winners are:
    """, vi=[f"""
        ## Viền đệm là −∞, không phải 0

        AlexNet gộp mà không đệm viền (padding); các mạng khác thêm một viền. Với tích chập, viền số không là đúng, vì ở
        đó 0 không thêm gì vào tổng. Với phép gộp, nó lại là một số có thể thắng. Lấy một bức ảnh 5 × 5 gồm các số từ −1
        đến −25, kích thước 3, bước nhảy 2 và viền dày 1. Với viền toàn số không, {from_nowhere} trong {y_wrong.size}
        đầu ra bằng 0, một số không có ở đâu trong ảnh, và gradient của chúng rơi ra ngoài viền rồi mất: trong
        {gx_right.sum():g} phần được gửi đi, chỉ {gx_wrong.sum():g} đến nơi. Viền của minicnn là −∞, không bao giờ
        thắng.

        Sau ReLU, vốn thay các số âm bằng 0 (chương 8), hai loại viền cho cùng một y. Vì vậy lỗi này nằm chờ cho đến khi
        có người gộp trước ReLU, như chương trình năm 2012 đã làm ở khối 1 và 5.

        Đây là cả khuôn mặt. Hãy so sánh bức ảnh, kết quả sau khi gộp, và chỗ của các điểm thắng:
    """])
    return


@app.cell
def _():
    photograph = read_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = photograph[35:132, 85:182].mean(axis=2)  # (97, 97), of 256 × 256
    return (grey,)


@app.cell
def _(engine, grey):
    def draw_photograph():
        y, gx = engine(grey, 1.0, 3, 2)
        eye = slice(22, 47), slice(10, 35)
        drawing = figure(5.5, 6)
        axes = drawing.subplots(2, 2).ravel()
        maps = ((grey, "gray", "x"), (y, "gray", "y"), (gx, "cividis", "windows won"), (grey[eye], "gray", "an eye"))
        for ax, (image, colours, title) in zip(axes, maps, strict=True):
            shown = ax.imshow(image, cmap=colours, interpolation="nearest")
            ax.set_title(f"{title}, {image.shape[0]} × {image.shape[1]}", fontsize=11)
            ax.set(xticks=[], yticks=[])
            if image is gx:
                drawing.colorbar(shown, ax=ax, location="bottom", ticks=range(int(gx.max()) + 1))
        rows, columns = np.nonzero(gx[eye])
        axes[3].scatter(columns, rows, s=9 * gx[eye][rows, columns], color="C1", edgecolor="white", lw=0.5)
        axes[3].set_xlabel("dots: winners, the larger\nthe more windows they win", fontsize=10)
        return drawing, gx

    drawn, won = draw_photograph()
    picture(drawn, f"Grace Hopper's face, {grey.shape[0]} by {grey.shape[1]} grey pixels; the same pooled with windows "
                   f"3 wide and 2 apart; how many windows each pixel wins: {won.max():g} at most, none for "
                   f"{100 * (won == 0).mean():.1f} % of the pixels; and one eye, its winners marked by dots.",
        vi=f"Khuôn mặt Grace Hopper, {grey.shape[0]} × {grey.shape[1]} điểm ảnh xám; cũng khuôn mặt ấy sau khi gộp "
           f"bằng cửa sổ rộng 3, cách nhau 2; mỗi điểm ảnh thắng ở bao nhiêu cửa sổ: nhiều nhất {won.max():g}, và "
           f"{100 * (won == 0).mean():.1f} % số điểm ảnh không thắng lần nào; và một con mắt, các điểm thắng đánh dấu "
           f"bằng chấm.",
        texts={"windows won": "số cửa sổ thắng", "an eye": "một con mắt",
               "dots: winners, the larger": "chấm: điểm thắng, càng to",
               "the more windows they win": "thì thắng càng nhiều"})
    return


@app.cell
def _(engine, grey):
    noise = np.random.default_rng(0).normal(size=grey.shape)

    def reach(image, size, stride):
        y, gx = engine(image, 1.0, size, stride)
        return y.size, int((gx > 0).sum()), gx.max()

    slope = np.add.outer(*[np.arange(pixels) * 1.0 for pixels in grey.shape])  # brighter from corner to corner
    pictures = {"photograph": grey, "noise": noise, "slope": slope}
    counted = {(name, size): reach(image, size, 2) for size in (3, 2) for name, image in pictures.items()}
    left3, got3, most3 = counted["photograph", 3]
    left2, got2, most2 = counted["photograph", 2]
    assert left3 == left2 == got2 > got3
    assert most2 == 1 < most3
    assert counted["noise", 3][1] < got3 < counted["slope", 3][1] == left3
    covered = (grey.shape[0] // 2 * 2) ** 2  # at 2/2 the last row and column of an odd picture are in no window
    assert 4 * got2 == covered
    overlapped = [(i, *(ops.max_pool2d(np.zeros((1, 1, i, i)), size=size, stride=2).shape[2] for size in (3, 2)))
                  for i in (55, 27, 13)]
    assert all(three == two for _, three, two in overlapped)
    edges = Tensor(np.diff(grey)[None, None], requires_grad=True)
    pooled = ops.max_pool2d(ops.relu(edges))
    pooled.backward(np.ones(pooled.shape))
    zeros = (pooled.numpy() == 0).mean()
    assert 0 < zeros < 1
    assert edges.grad.numpy().sum() == (pooled.numpy() > 0).sum()  # what windows of zeros send is stopped
    say("""
        ## How much of the picture learns?

        One would think that wider windows spread the gradient over more pixels. It is the other way round. Each window
        sends its gradient to one pixel. The table counts the pixels that get any; 3/2 means windows 3 wide and 2 apart,
        *noise* is random numbers, and *slope* gets brighter from one corner to the other:
    """, table([both("picture", "ảnh"), both("windows", "cửa sổ"), both("outputs", "đầu ra"),
               both("pixels that win", "điểm thắng"), both("% of all", "% tổng số")], [
        [name, f"{size}/2", left, got, round(100 * got / grey.size, 1)]
        for (name, size), (left, got, _) in counted.items()
    ]), f"""
        With windows 2 wide and 2 apart (2/2) every window has a winner of its own, so exactly a quarter of the pixels
        that they cover get something. At 3/2 there are as many outputs, {left3}, but one bright pixel may win up to
        {most3:g} of them: the gradient reaches **fewer** pixels, and each gets more. This is strongest in noise, which
        is all peaks, and does not happen on a slope, where each window has a brightest corner of its own. A photograph
        is something of both.

        Overlap costs no outputs either. AlexNet pools maps of {", ".join(str(i) for i, *_ in overlapped)} pixels along
        a side, and is left with {", ".join(str(three) for _, three, _ in overlapped)}, both ways. The authors measured
        0.4 % less error with 3/2 than with 2/2 where only the first guess counts (top-1), and 0.3 % less where any of
        the first five may be right (top-5). And the network was slightly harder to overfit, that is, to learn by heart
        (§3.4).

        Ties do happen: after an edge filter (the pixel on the right minus that on the left) and a ReLU,
        {100 * zeros:.0f} % of the 3/2 windows of this photograph hold nothing but zeros. Their first pixel gets the
        gradient, and the ReLU stops it there.
    """, vi=["""
        ## Bao nhiêu phần của ảnh được học?

        Ta tưởng rằng cửa sổ rộng hơn sẽ rải gradient ra nhiều điểm ảnh hơn. Thực ra thì ngược lại. Mỗi cửa sổ gửi
        gradient của nó đến một điểm ảnh. Bảng này đếm những điểm ảnh nhận được gradient; 3/2 nghĩa là cửa sổ rộng 3 và
        cách nhau 2, nhiễu (*noise*) là các số ngẫu nhiên, và mặt dốc (*slope*) sáng dần từ góc này sang góc kia:
    """, ..., f"""
        Với cửa sổ rộng 2 và cách nhau 2 (2/2), mỗi cửa sổ có điểm thắng riêng, nên đúng một phần tư số điểm ảnh mà
        chúng phủ lên nhận được gradient. Với 3/2, số đầu ra vẫn thế, {left3}, nhưng một điểm sáng có thể thắng tới
        {most3:g} cửa sổ: gradient đến được **ít** điểm ảnh hơn, và mỗi điểm nhận nhiều hơn. Điều này mạnh nhất ở nhiễu,
        vốn toàn là đỉnh, và không xảy ra trên một mặt dốc, nơi góc sáng nhất của mỗi cửa sổ là của riêng nó. Ảnh chụp
        có một ít của cả hai.

        Cửa sổ chồng lên nhau cũng không làm mất đầu ra nào. AlexNet gộp các bản đồ có cạnh
        {", ".join(str(i) for i, *_ in overlapped)} điểm ảnh và còn lại
        {", ".join(str(three) for _, three, _ in overlapped)}, theo cách nào cũng vậy. Các tác giả đo được rằng 3/2 có
        sai số ít hơn 2/2 là 0.4 % nếu chỉ tính câu trả lời đầu tiên (top-1), và 0.3 % nếu một trong năm câu đầu được
        phép đúng (top-5). Và mạng hơi khó quá khớp (overfit) hơn, tức là khó học thuộc lòng hơn (§3.4).

        Trường hợp hoà có xảy ra thật: sau một bộ lọc tìm cạnh (điểm bên phải trừ điểm bên trái) và ReLU,
        {100 * zeros:.0f} % số cửa sổ 3/2 của bức ảnh này toàn số không. Điểm đầu tiên của chúng nhận gradient, và ReLU
        chặn nó lại ở đó.
    """])
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # windows 3 wide, 2 apart: y[p] = max(x[2p], x[2p + 1], x[2p + 2])
    gx = np.zeros_like(x)
    for p in range(len(gy)):
        winner = 2 * p + np.argmax(x[2 * p : 2 * p + 3])
        gx[winner] = gy[p]
    return gx
'''
    answer = start.replace("gx[winner] = gy[p]", "gx[winner] += gy[p]")

    def check(backward):
        def pool_1d(x):
            return np.array([x[i : i + 3].max() for i in range(0, len(x) - 2, 2)])

        gradcheck(pool_1d, np.array([1.0, 4, 6, 0, 3, 9, 5, 2, 8, 2, 7]), backward=backward)

    tries = {
        both("the gradient to all three", "gradient cho cả ba"):
            start.replace("gx[winner] = gy[p]", "gx[2 * p : 2 * p + 3] += gy[p]"),
        both("added at the place in the window", "cộng vào vị trí trong cửa sổ"):
            start.replace("winner = 2 * p + ", "winner = ").replace("gx[winner] = gy[p]", "gx[winner] += gy[p]"),
        both("shared by the three", "chia đều cho cả ba"):
            start.replace("gx[winner] = gy[p]", "gx[2 * p : 2 * p + 3] += gy[p] / 3"),
    }
    asked = "backward"
    say("""
        ## Exercise

        This is the backward of pooling in one dimension, windows 3 wide and 2 apart, with a mistake in it. Mend it.
        Below it stands what `gradcheck` says.
    """, vi=["""
        ## Bài tập

        Đây là hàm backward của phép gộp trong một chiều, cửa sổ rộng 3 và cách nhau 2, có một lỗi trong đó. Hãy sửa nó.
        Bên dưới là điều `gradcheck` nói.
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
