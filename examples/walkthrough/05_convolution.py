"""Chapter 5: convolution. Pick a pixel: what made its gradient; why the way back adds; five spellings of the same
numbers:
loops, columns, Numba, CUDA and Fourier; groups."""

import marimo

app = marimo.App(app_title="5 · Convolution")

with app.setup:
    import inspect
    from pathlib import Path
    from statistics import median
    from textwrap import dedent
    from time import perf_counter

    import marimo as mo
    import numpy as np
    from matplotlib import colormaps
    from numpy.lib.stride_tricks import sliding_window_view
    from page import answer_box, attempt, both, figure, fold, one_answer, picture, say, table
    from scene import scene
    from scene_numbers import convolution as numbers_of_the_scene
    from scene_numbers import fourier as numbers_of_waves
    from scene_numbers import hopper, spectrum

    from minicnn import GradientError, Tensor, gradcheck, kernels, ops
    from minicnn.kernels import convolution, fourier
    from minicnn.kernels.im2col import col2im, im2col

    def seconds(spelling, times, *arguments):
        """The median of so many runs."""
        def once():
            start = perf_counter()
            spelling(*arguments)
            return perf_counter() - start
        return median(once() for _ in range(times))


@app.cell
def _():
    say("""
        # 5 · Convolution

        A convolution lays a small **kernel** on a picture, multiplies each of its weights by the pixel below it, and
        writes down the sum. Then the kernel moves on by `stride` pixels. Depending on its weights it finds edges or
        blurs: here are three kernels at work on the same face.
    """, vi=["""
        # 5 · Tích chập

        Tích chập (convolution) đặt một **kernel** nhỏ lên bức ảnh, nhân mỗi trọng số của nó với điểm ảnh nằm dưới, rồi
        ghi lại tổng. Sau đó kernel dịch đi `stride` điểm ảnh (bước nhảy). Tuỳ theo trọng số, nó tìm cạnh hoặc làm mờ:
        đây là ba kernel cùng xử lý một khuôn mặt.
    """])
    return


@app.cell
def _():
    KERNELS = {
        "vertical edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8,
        "horizontal edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 8,
        "blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    }

    def draw_kernels():
        grey = hopper(90, 90, 190, 2)
        drawn = figure(5.5, 5.2)
        axes = drawn.subplots(2, 2).ravel()
        axes[0].imshow(grey, cmap="gray")
        for each, (name, w) in zip(axes[1:], KERNELS.items(), strict=True):
            after = ops.conv2d(grey[None, None], w[None, None], padding=1).numpy()[0, 0]
            edges = {"cmap": "PuOr_r", "vmin": -np.abs(after).max(), "vmax": np.abs(after).max()}
            each.imshow(after[1:-1, 1:-1], **edges if name != "blur" else {"cmap": "gray"})
            each.set_title(name, fontsize=11)
        axes[0].set_title("x", fontsize=11)
        red, _, blue, _ = colormaps["PuOr_r"](1.0)
        assert red > blue, "orange is what is positive, as in the scenes"
        for each in axes:
            each.set(xticks=[], yticks=[])
        return drawn

    picture(draw_kernels(), "A woman's face in 90 × 90 grey pixels, and what three kernels of 3 × 3 make of it: the "
                            "first two light up along the brim of her cap and along her glasses, in orange where it "
                            "gets brighter and in purple where it gets darker; the third blurs.",
        vi="Khuôn mặt một phụ nữ gồm 90 × 90 điểm ảnh xám, và ba kernel 3 × 3 làm gì với nó: hai kernel đầu sáng lên "
           "dọc theo vành mũ và dọc theo cặp kính, màu cam ở chỗ sáng dần lên và màu tím ở chỗ tối dần đi; kernel "
           "thứ ba làm mờ.",
        texts={"vertical edges": "cạnh dọc", "horizontal edges": "cạnh ngang", "blur": "làm mờ"})
    return (KERNELS,)


@app.cell
def _(KERNELS):
    def rows(name, times):
        """The weights of a kernel, row by row, as whole numbers."""
        w = KERNELS[name] * times
        assert np.array_equal(w, w.round())
        return "; ".join(" ".join(f"{weight:g}".replace("-", "−") for weight in row) for row in w)

    say(f"""
        The first kernel has the rows {rows("vertical edges", 8)}, all divided by 8. So it compares what is right of a
        pixel with what is left of it: orange is where the picture gets brighter to the right, purple where it gets
        darker, and white where both sides are alike. The second has {rows("horizontal edges", 8)}, divided by 8, and
        compares below with above. The third has {rows("blur", 16)}, divided by 16: a mean in which nearer pixels count
        more.

        In a formula, for image n, kernel k and place (p, q) of the output:
    """, r"""
        $$y[n, k, p, q] = b[k] + \sum_{c,r,s} w[k, c, r, s] \cdot x[n, c, i, j]$$

        $$i = p \cdot \mathrm{stride} + r - \mathrm{padding}, \quad j = q \cdot \mathrm{stride} + s - \mathrm{padding}$$
    """, """
        The sum runs over the channels c and over the rows r and columns s of the kernel. A channel is one number of
        every pixel: a colour picture has three, red, green and blue, and this grey one has one. Each kernel has a bias
        b[k] and makes one channel of the output. What lies beyond the border counts as 0; `padding` says how far the
        kernel may reach beyond it. (Mathematicians turn the kernel round before they lay it down. Networks do not: they
        would learn it either way.)

        ## Click on a pixel

        Below is the middle of the face, 24 × 24 pixels, and a kernel w that has yet to learn its task: to find vertical
        edges. The loss is ½ Σ (y − wanted)², where `wanted` is what the kernel for vertical edges gives. Its derivative
        with respect to y is what comes back to the layer, gy = y − wanted. The layer has to answer with gx and gw.

        Click on any square, or move there with the arrow keys:

        - a number of **y**: the window of x that it was made of, and the sum;
        - a pixel of **gx**: all windows that saw this pixel. Each sends back its gy times the weight that lay on the
          pixel, and all of it is added. Look at the order of the weights: it is the kernel upside down and back to
          front. So at stride 1 the way back is again a convolution, of gy with the **turned kernel**;
        - a weight of **gw**: it was used at every place, so every place has a say in its gradient.

        The orange frame is what you picked. Solid blue frames are the numbers that it is computed from; dashed ones
        show the same places in the array above or below, which takes no part in it. A number above 0 is orange, one
        below 0 is purple, and the paler the nearer to 0.

        Then nudge the pixel or the weight, and see whether the loss changes as the gradient said it would.
    """, vi=[f"""
        Kernel thứ nhất có các hàng {rows("vertical edges", 8)}, tất cả chia cho 8. Vậy nó so phần bên phải một điểm ảnh
        với phần bên trái: màu cam là chỗ bức ảnh sáng dần về bên phải, màu tím là chỗ tối dần, màu trắng là chỗ hai bên
        như nhau. Kernel thứ hai có {rows("horizontal edges", 8)}, chia cho 8, và so bên dưới với bên trên. Kernel thứ
        ba có {rows("blur", 16)}, chia cho 16: một trung bình trong đó điểm ảnh càng gần càng có trọng lượng.

        Viết thành công thức, cho ảnh n, kernel k và vị trí (p, q) của đầu ra:
    """, ..., """
        Tổng chạy trên các kênh c và trên các hàng r, các cột s của kernel. Một kênh (channel) là một con số của mỗi
        điểm ảnh: ảnh màu có ba kênh, đỏ, lục và lam, còn ảnh xám này có một. Mỗi kernel có một bias b[k] và tạo ra một
        kênh của đầu ra. Những gì nằm ngoài mép ảnh được coi là 0; `padding` (đệm viền) cho biết kernel được vươn ra
        ngoài mép bao xa. (Trong toán học người ta xoay kernel trước khi đặt xuống. Mạng nơ-ron không làm thế: đằng nào
        nó cũng học được kernel.)

        ## Hãy bấm vào một điểm ảnh

        Dưới đây là phần giữa của khuôn mặt, 24 × 24 điểm ảnh, và một kernel w còn phải học việc của nó: tìm các cạnh
        dọc. Hàm mất mát là ½ Σ (y − wanted)², trong đó `wanted` là cái mà kernel tìm cạnh dọc cho ra. Đạo hàm của nó
        theo y là cái quay về tầng này, gy = y − wanted. Tầng phải trả lời bằng gx và gw.

        Hãy bấm vào một ô bất kỳ, hoặc di chuyển đến đó bằng các phím mũi tên:

        - một số của **y**: cửa sổ của x đã tạo ra nó, và tổng;
        - một điểm ảnh của **gx**: mọi cửa sổ đã nhìn thấy điểm ảnh này. Mỗi cửa sổ gửi về gy của nó nhân với trọng số
          đã nằm trên điểm ảnh, và tất cả được cộng lại. Hãy nhìn thứ tự các trọng số: đó là kernel lộn ngược trên dưới
          và trái phải. Vậy với bước nhảy 1, đường về lại là một tích chập, của gy với **kernel đã xoay**;
        - một trọng số của **gw**: nó đã được dùng ở mọi vị trí, nên vị trí nào cũng góp phần vào gradient của nó.

        Khung màu cam là ô bạn đã chọn. Khung lam liền nét là những số dùng để tính ra nó; khung đứt nét chỉ đúng những
        chỗ ấy trong mảng bên trên hoặc bên dưới, là mảng không tham gia. Số lớn hơn 0 màu cam, số nhỏ hơn 0 màu tím, và
        càng nhạt thì càng gần 0.

        Sau đó hãy đẩy nhẹ điểm ảnh hoặc trọng số ấy, và xem hàm mất mát có thay đổi như gradient đã nói không.
    """])
    return


@app.cell
def _():
    scene("convolution", numbers_of_the_scene(), "A face of 24 × 24 pixels, x, a kernel of 3 × 3 weights, w, and the "
          "output y; below them the gradients gx, gw and gy. A pixel of gx is picked: frames show the 3 × 3 numbers of "
          "gy and the weights that reach it, and below stand their nine products, which add up to gx there.", 830)
    return


@app.cell
def _():
    say("""
        After a nudge, the change of the loss divided by the step is not quite the gradient, since the loss is curved:
        over a step of 0.1 it bends away from its slope. The mean of a step up and a step down is exact here, because a
        squared error is a parabola in each pixel and in each weight. That is why `gradcheck` always takes a step to
        both sides (chapter 4).

        At stride 2 fewer windows see a pixel: four, two, or only one, in turn. The gradient gets a checked pattern
        which a network with strides learns to live with. At the border, too, fewer windows see a pixel; padding is one
        way to give the border more weight.
    """, vi=["""
        Sau khi dịch, mức thay đổi của mất mát chia cho bước không bằng hẳn gradient, vì hàm mất mát cong: trên một bước
        dài 0.1, nó uốn lệch khỏi độ dốc. Trung
        bình của một bước lên và một bước xuống thì ở đây chính xác, vì bình phương sai số là một parabol theo từng điểm
        ảnh và từng trọng số. Đó là lý do `gradcheck` luôn bước về cả hai phía (chương 4).

        Với bước nhảy 2, ít cửa sổ nhìn thấy một điểm ảnh hơn: bốn, hai, hoặc chỉ một, lần lượt như thế. Gradient có hoa
        văn kẻ ô mà một mạng có bước nhảy phải học cách sống chung. Ở mép ảnh cũng vậy, ít cửa sổ nhìn thấy một điểm ảnh
        hơn; đệm viền (padding) là một cách để mép ảnh có thêm trọng lượng.
    """])
    return


@app.cell
def _():
    def by_counting(size, stride, padding):
        count = np.zeros((size, size), int)
        places = (size + 2 * padding - 3) // stride + 1
        for p, q in np.ndindex(places, places):
            for r, s in np.ndindex(3, 3):
                h, w = p * stride + r - padding, q * stride + s - padding
                if 0 <= h < size and 0 <= w < size:
                    count[h, w] += 1
        return count

    def by_gradient(size, stride, padding):
        image = Tensor(np.zeros((1, 1, size, size)), requires_grad=True)
        ops.conv2d(image, np.ones((1, 1, 3, 3)), stride=stride, padding=padding).sum().backward()
        return image.grad.numpy()[0, 0]

    counts = {stride: by_counting(6, stride, 0) for stride in (1, 2, 3)}
    for settings in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 2)):  # stride, padding
        assert np.array_equal(by_counting(6, *settings), by_gradient(6, *settings))
    assert [count.max() for count in counts.values()] == [9, 4, 1]

    def draw_counts():
        drawing = figure(5.5, 2.4)
        for axes, (stride, count) in zip(drawing.subplots(1, 3), counts.items(), strict=True):
            axes.imshow(count, cmap="cividis", vmin=0, vmax=9)
            for h, w in np.ndindex(count.shape):
                axes.text(w, h, str(count[h, w]), ha="center", va="center", fontsize=10,
                          color="white" if count[h, w] < 5 else "black")  # fmt: skip
            axes.set_title(f"stride {stride}", fontsize=11)
            axes.set(xticks=[], yticks=[])
        return drawing

    mo.vstack([
        say("""
            ## Why the way back adds

            How many windows of 3 × 3 is each pixel in? One can count them. Or one can ask `backward()`: with a kernel
            of ones, the sum of y holds each pixel once for each window that sees it, so the gradient of that sum *is*
            the count. Both ways give the maps below, for a picture of 6 × 6.

            Where windows overlap, a little more of one pixel changes several numbers of y. All these changes reach the
            loss, so what comes back from them is added. At stride 3 nothing overlaps, and adding is not needed. At
            stride 2 the last row and column are in no window at all: whatever they are, y stays as it is, and their
            gradient is 0.
        """, vi=["""
            ## Vì sao đường về phải cộng

            Mỗi điểm ảnh nằm trong bao nhiêu cửa sổ 3 × 3? Ta có thể đếm. Hoặc có thể hỏi `backward()`: với một kernel
            toàn số một, tổng của y chứa mỗi điểm ảnh một lần cho mỗi cửa sổ nhìn thấy nó, nên gradient của tổng ấy
            *chính là* số đếm. Cả hai cách đều cho các bản đồ dưới đây, với một bức ảnh 6 × 6.

            Ở chỗ các cửa sổ chồng lên nhau, một điểm ảnh tăng một chút sẽ thay đổi nhiều số của y. Mọi thay đổi ấy đều
            đến hàm mất mát, nên những gì từ đó quay về được cộng lại. Với bước nhảy 3 không có gì chồng lên nhau, nên
            không cần cộng. Với bước nhảy 2, hàng cuối và cột cuối không nằm trong cửa sổ nào cả: dù chúng là gì, y vẫn
            như cũ, và gradient của chúng bằng 0.
        """]),
        picture(draw_counts(), "Three maps of 6 × 6 counts. At stride 1 a corner is in 1 window and the middle in 9; "
                               "at stride 2 it is up to 4, and 0 in the last row and column; at stride 3 every pixel "
                               "is in 1.",
            vi="Ba bản đồ số đếm 6 × 6. Với bước nhảy 1, góc ảnh nằm trong 1 cửa sổ và giữa ảnh trong 9; với bước "
               "nhảy 2 nhiều nhất là 4, và 0 ở hàng cuối và cột cuối; với bước nhảy 3 mọi điểm ảnh đều nằm trong 1 "
               "cửa sổ.", texts={"stride": "bước nhảy"}),
    ])
    return


@app.cell
def _():
    x_slip = hopper(6, 90, 190, 30)
    weights = np.random.default_rng(2).normal(size=(3, 3))  # no zero that could hide a mistake
    stride = 1

    def backward_with_a_slip(gy, x):
        P, Q = gy.shape
        gx = np.zeros(x.shape)
        for r in range(3):
            for s in range(3):
                rows = slice(r, r + P * stride, stride)
                columns = slice(s, s + Q * stride, stride)
                gx[rows, columns] = gy * weights[r, s]
        return gx

    def asked_of_gradcheck(source, stride):
        names = {"np": np, "stride": stride, "weights": weights}
        exec(source, names)

        def forward(x):
            return ops.conv2d(x[None, None], weights[None, None], stride=stride).numpy()[0, 0]

        try:
            gradcheck(forward, x_slip, backward=names["backward_with_a_slip"])
            return ""
        except GradientError as error:
            return str(error)

    slip = "] = gy"
    source = dedent(inspect.getsource(backward_with_a_slip))
    assert source.count(slip) == 1
    wrong = {stride: asked_of_gradcheck(source, stride) for stride in (1, 2, 3)}
    mended = [asked_of_gradcheck(source.replace(slip, "] += gy"), stride) for stride in (1, 2, 3)]
    assert not any(mended), mended
    assert "= for +=" in wrong[1] and "= for +=" in wrong[2] and not wrong[3]
    say("""
        ## The mistake: = for +=

        Here the way back is written with NumPy, one slice for each of the nine weights, and with `=` where `+=`
        belongs. Each slice overwrites what earlier ones left, so a pixel keeps only what came last:
    """, f"```python\n{source}```", "At stride 1 `gradcheck` recognises it:", fold("What gradcheck says", wrong[1]), """
        With `+=` in that line, and no other change, it finds no fault. Nor does it find one in the wrong line at stride
        3, where no two windows share a pixel: this mistake sleeps until somebody chooses a smaller stride. So test a
        backward where windows overlap.
    """, vi=["""
        ## Lỗi hay gặp: = thay cho +=

        Ở đây đường về được viết bằng NumPy, mỗi lát cắt cho một trong chín trọng số, và viết `=` ở chỗ phải là `+=`.
        Mỗi lát cắt ghi đè lên những gì các lát trước để lại, nên một điểm ảnh chỉ giữ cái đến sau cùng:
    """, ..., """
        Với bước nhảy 1, `gradcheck` nhận ra nó:
    """, ..., """
        Với `+=` ở dòng ấy, không sửa gì khác, nó không tìm thấy lỗi. Nó cũng không tìm thấy lỗi trong dòng sai khi bước
        nhảy là 3, vì khi đó không có hai cửa sổ nào chung một điểm ảnh: lỗi này ngủ yên cho đến khi có người chọn bước
        nhảy nhỏ hơn. Vì vậy hãy kiểm tra một hàm backward khi các cửa sổ chồng lên nhau.
    """])
    return


@app.cell
def _():
    def loops(x, w, stride, padding):
        N, C, H, W = x.shape
        K, _, R, S = w.shape
        P, Q = (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        x, w = x.tolist(), w.tolist()
        y = [[[[0.0] * Q for _ in range(P)] for _ in range(K)] for _ in range(N)]
        for n in range(N):
            for k in range(K):
                for p in range(P):
                    for q in range(Q):
                        for c in range(C):
                            for r in range(R):
                                for s in range(S):
                                    i, j = p * stride + r, q * stride + s
                                    y[n][k][p][q] += w[k][c][r][s] * x[n][c][i][j]
        return np.array(y)

    say("""
        ## Five ways to write it. The first: seven loops

        How does one compute this fast? First the formula as it stands, one loop for each letter. Nothing is hidden, and
        Python takes its time for each product. The next four spellings will be compared with this one.
    """, f"```python\n{dedent(inspect.getsource(loops))}```", vi=["""
        ## Năm cách viết. Cách thứ nhất: bảy vòng lặp

        Làm sao tính cho nhanh? Trước hết là công thức y như nó được viết, mỗi chữ cái một vòng lặp. Không có gì bị giấu
        đi, và Python tốn thời gian cho từng phép nhân. Bốn cách viết sau sẽ được so với cách này.
    """, ...])
    return (loops,)


@app.cell
def _():
    x = np.round(9 * hopper(6, 90, 190, 30))  # (H, W), grey levels from 0 to 9
    w = np.array([[-0.2, 0.1, 0.1], [0.1, -0.3, 0.3], [-0.1, 0.1, -0.1]])
    p, q = 1, 2

    def columns_in_numpy(x, R, S, stride, padding):
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        windows = sliding_window_view(x, (R, S), axis=(2, 3))  # no copy
        windows = windows[:, :, ::stride, ::stride]  # (N, C, P, Q, R, S)
        return windows.transpose(1, 4, 5, 2, 3, 0)  # (C, R, S, P, Q, N)

    def product(columns, w):
        K, (C, R, S, P, Q, N) = len(w), columns.shape
        y = w.reshape(K, C * R * S) @ columns.reshape(C * R * S, P * Q * N)
        return y.reshape(K, P, Q, N).transpose(3, 0, 1, 2)

    M = columns_in_numpy(x[None, None], 3, 3, 1, 0).reshape(9, 16)
    y = ops.conv2d(x[None, None], w[None, None]).numpy()[0, 0]
    assert np.array_equal(M[:, 4 * p + q], x[p : p + 3, q : q + 3].reshape(9))
    assert np.abs(w.reshape(9) @ M - y.reshape(16)).max() < 1e-12
    column = "  ".join(f"{pixel:g}" for pixel in M[:, 4 * p + q])
    say("""
        ## Second spelling: columns and one product (im2col)

        Write the nine pixels of a window below each other: a **column**. Put the columns of all places side by side,
        and the convolution is one product of matrices. For that every machine has a fast program.
    """, f"```python\n{dedent(inspect.getsource(columns_in_numpy))}\n{dedent(inspect.getsource(product))}```", f"""
        For the face in 6 × 6 pixels, with grey levels from 0 to 9, the kernel is a row of 9, and the columns are a
        matrix of 9 × 16. The place p = {p}, q = {q} is column {p} · 4 + {q} = {4 * p + q}: {column}. The price:
        {x.size} pixels became {M.size} numbers, since a pixel is copied for each window that sees it. That is why
        minicnn makes the columns in blocks, small enough for the processor's own fast memory, its cache, uses each
        block at once, and forgets it.
    """, vi=["""
        ## Cách viết thứ hai: các cột và một phép nhân (im2col)

        Viết chín điểm ảnh của một cửa sổ xuống dưới nhau: đó là một **cột**. Xếp các cột của mọi vị trí cạnh nhau, và
        tích chập trở thành một phép nhân ma trận. Máy nào cũng có chương trình nhanh cho việc đó.
    """, ..., f"""
        Với khuôn mặt 6 × 6 điểm ảnh, độ xám từ 0 đến 9, kernel là một hàng gồm 9 số, và các cột là một ma trận 9 × 16.
        Vị trí p = {p}, q = {q} là cột {p} · 4 + {q} = {4 * p + q}: {column}. Cái giá: {x.size} điểm ảnh thành {M.size}
        số, vì mỗi điểm ảnh được chép cho từng cửa sổ nhìn thấy nó. Vì thế minicnn tạo các cột theo từng khối, đủ nhỏ
        cho bộ nhớ nhanh của chính bộ xử lý (cache), dùng ngay mỗi khối, rồi quên nó đi.
    """])
    return M, columns_in_numpy, product, w, x


@app.cell
def _(M, w, x):
    def backward_by_hand(gy):
        """What reached each pixel, and each weight."""
        g_columns = w.reshape(9, 1) * gy.reshape(1, 16)  # of the matrix of columns
        gx = np.zeros((1, *x.shape, 1))
        col2im.plain(0, 1, gx, g_columns.reshape(1, 3, 3, 16, 1), 0, 4, 1, 1, 0, 0)
        return gx[0, :, :, 0], (M @ gy.reshape(16)).reshape(3, 3)

    def backward_by_engine(gy):
        tensors = Tensor(x[None, None], requires_grad=True), Tensor(w[None, None], requires_grad=True)
        ops.conv2d(*tensors).backward(gy[None, None])
        return [tensor.grad.numpy()[0, 0] for tensor in tensors]

    gy = np.random.default_rng(1).normal(size=(4, 4))
    off = [np.abs(a - b).max() for a, b in zip(backward_by_hand(gy), backward_by_engine(gy), strict=True)]
    assert max(off) < 1e-12
    say("""
        ### Columns on the way back

        Forwards, y is the row w times the matrix of columns, M. So the rule for a product of matrices (chapter 3)
        carries the gradient back, in three steps:

        - gw = gy · Mᵀ, 9 numbers. One weight served every place, and the product adds over the places.
        - gM = wᵀ · gy, 9 × 16 numbers. Each copy of a pixel gets a gradient of its own.
        - gx: every copy hands its gradient to the pixel that it was copied from, where they are added. This is
          **col2im**, im2col the other way round.

        Done by hand with a random gy, and with `col2im.plain` for the last step, this gives the gradients of
        `backward()` to within 10⁻¹².
    """, vi=["""
        ### Các cột trên đường về

        Khi đi xuôi, y là hàng w nhân với ma trận các cột, M. Vậy quy tắc cho phép nhân ma trận (chương 3) mang gradient
        trở về, theo ba bước:

        - gw = gy · Mᵀ, 9 số. Một trọng số phục vụ mọi vị trí, và phép nhân cộng trên các vị trí.
        - gM = wᵀ · gy, 9 × 16 số. Mỗi bản sao của một điểm ảnh có gradient riêng.
        - gx: mỗi bản sao trao gradient của nó cho điểm ảnh mà nó được chép từ đó, và ở đó chúng được cộng lại. Đây là
          **col2im**, tức im2col theo chiều ngược lại.

        Làm bằng tay với một gy ngẫu nhiên, và dùng `col2im.plain` cho bước cuối, ta được các gradient của `backward()`,
        sai khác không quá 10⁻¹².
    """])
    return


@app.cell
def _(columns_in_numpy, x):
    def filled(fill, x, R, S, stride, padding):
        """Columns (C, R, S, P, Q, N) by fill(columns, x, start, Q, down, right, top, left), x as (C, H, W, N)."""
        N, C, H, W = x.shape
        P, Q = ((pixels + 2 * padding - size) // stride + 1 for pixels, size in ((H, R), (W, S)))
        columns = np.full((C, R, S, P * Q, N), np.nan)
        fill(columns, np.ascontiguousarray(x.transpose(1, 2, 3, 0)), 0, Q, stride, stride, padding, padding)
        return columns.reshape(C, R, S, P, Q, N)

    def by_python(columns, *rest):
        im2col.plain(0, columns.shape[0] * columns.shape[1], columns, *rest)

    batch = np.stack([x, x[:, ::-1], x[::-1], x.T])[:, None]  # (N, C, H, W)
    expected = filled(im2col, batch, 3, 3, 1, 0)
    assert np.array_equal(expected, filled(by_python, batch, 3, 3, 1, 0))
    assert np.array_equal(expected, columns_in_numpy(batch, 3, 3, 1, 0))
    say(f"""
        ## Third spelling: Numba

        `kernels/im2col.py` fills the same columns by loops in Python, which Numba compiles. The compiled loop and the
        same lines run by Python (`im2col.plain`) gave the same {expected.size} numbers here, as did NumPy. The input is
        a batch of N = {len(batch)}: the face, mirrored, upside down, and transposed.

        Numbers that lie side by side in memory are copied together, not one by one. minicnn lays out a batch as (C, H,
        W, N), the images last: so the same pixel of all images lies in one piece, and at stride 1 so does all that a
        row of the output sees. `ops.conv2d` is this kernel, the product, and the way back.
    """, vi=[f"""
        ## Cách viết thứ ba: Numba

        `kernels/im2col.py` điền đúng các cột ấy bằng những vòng lặp Python mà Numba biên dịch. Vòng lặp đã biên dịch và
        chính những dòng ấy do Python chạy (`im2col.plain`) đã cho cùng {expected.size} con số, và NumPy cũng thế. Đầu
        vào là một lô gồm N = {len(batch)} ảnh: khuôn mặt, bản soi gương, bản lộn ngược, và bản chuyển vị.

        Những số nằm cạnh nhau trong bộ nhớ được chép cùng một lúc chứ không từng số một. minicnn xếp một lô theo thứ tự
        (C, H, W, N), chỉ số ảnh ở cuối: nhờ vậy cùng một điểm ảnh của mọi bức ảnh nằm liền một mạch, và với bước nhảy
        1, tất cả những gì một hàng đầu ra nhìn thấy cũng vậy. `ops.conv2d` là kernel này, phép nhân, và đường về.
    """])
    return batch, by_python, expected, filled


@app.cell
def _():
    FOLDER = Path(kernels.__file__).parent
    CUDA = (FOLDER / "im2col.cu").read_text(encoding="utf-8")
    assert "const int WARP = 32;" in (FOLDER / "prelude.cuh").read_text(encoding="utf-8")
    WARP = 32

    def launched(columns):
        """How many threads minicnn launches to fill them."""
        (blocks,), (threads,), _ = kernels.launch_of("im2col", (columns,))
        return blocks * threads

    say("""
        ## Fourth spelling: CUDA C

        A graphics card (GPU) runs thousands of threads at once. All of them run the same program, and each asks for its
        own number to find out which part of the work it has to do. This is `kernels/im2col.cu`:
    """, f"```cpp\n{CUDA}```", f"""
        Threads go in **warps** of {WARP}. `warp()` is the thread's number // {WARP}, its `lane()` is what remains. A
        warp takes a row: one pixel of the kernel at one place, of all images. Its lanes share the images: neighbours
        read neighbours, which a GPU does in one go. Row and place are taken apart by division, as hours and minutes
        are. Where there are more rows than warps, each warp goes on to the row that lies `warps()` further. The words
        `KERNEL`, `Element` and `Real` come from `kernels/prelude.cuh`: a function that the GPU runs, the kind of number
        that lies in the arrays, and the kind that is computed with.
    """, vi=["""
        ## Cách viết thứ tư: CUDA C

        Một bộ xử lý đồ hoạ (GPU) chạy hàng nghìn luồng (thread) cùng lúc. Tất cả đều chạy cùng một chương trình, và mỗi
        luồng hỏi số thứ tự của mình để biết phần việc nào là của nó. Đây là `kernels/im2col.cu`:
    """, ..., f"""
        Các luồng đi thành **warp**, mỗi warp {WARP} luồng. `warp()` là số thứ tự của luồng // {WARP}, `lane()` của nó
        là phần dư. Một warp nhận một hàng: một ô của kernel tại một vị trí, của mọi bức ảnh. Các làn (lane) của nó chia
        nhau các ảnh: những luồng cạnh nhau đọc những ô cạnh nhau, việc mà GPU làm trong một lần. Hàng và vị trí được
        tách ra bằng phép chia, như giờ và phút. Nếu có nhiều hàng hơn warp, mỗi warp đi tiếp đến hàng cách đó
        `warps()`. Các từ `KERNEL`, `Element` và `Real` đến từ `kernels/prelude.cuh`: một hàm mà GPU chạy, loại số nằm
        trong các mảng, và loại số dùng để tính.
    """])
    return WARP, launched


@app.cell
def _(WARP, batch, expected, filled, launched):
    def one_thread(thread, threads, columns, x, start, Q, down, right, top, left):
        """What it writes: where, (c, r, s), position, pixel, value. A line here is a line there."""
        C, R, S, positions, N = columns.shape
        _, H, W, _ = x.shape
        to, image, done = columns.reshape(-1), x.reshape(-1), []
        for row in range(thread // WARP, C * R * S * positions, threads // WARP):
            t = start + row % positions
            s = row // positions % S
            r = row // positions // S % R
            c = row // positions // S // R
            h = t // Q * down + r - top
            w = t % Q * right + s - left
            inside = 0 <= h < H and 0 <= w < W
            for n in range(thread % WARP, N, WARP):
                to[row * N + n] = image[((c * H + h) * W + w) * N + n] if inside else 0
                done.append((row * N + n, (c, r, s), t, (h, w) if inside else "beyond", f"{to[row * N + n]:g}"))
        return done

    written, turns = [], []
    thread, threads = 33, launched(expected)

    def by_threads(columns, *rest):
        for number in np.random.default_rng(0).permutation(launched(columns)).tolist():
            written.extend(place for place, *_ in one_thread(number, launched(columns), columns, *rest))

    def by_this_one(columns, *rest):
        turns.extend(one_thread(thread, threads, columns, *rest))

    by_all = filled(by_threads, batch, 3, 3, 1, 0)
    assert np.array_equal(by_all, expected)
    assert sorted(written) == list(range(expected.size))
    by_one = filled(by_this_one, batch, 3, 3, 1, 0)
    assert np.array_equal(by_one[~np.isnan(by_one)], expected[~np.isnan(by_one)])
    assert (~np.isnan(by_one)).sum() == len(turns)
    N, lane = len(batch), thread % WARP
    assert turns
    say(f"""
        ### One thread of it

        This page needs no GPU: Python follows the CUDA text line by line. For these {expected.size} numbers minicnn
        launches {threads} threads, {threads // WARP} warps. With {N} images only the first {N} of the {WARP} lanes of
        each warp have something to do. With 128 images, the batch of AlexNet, all of them have.

        Thread {thread} is lane {lane} of warp {thread // WARP}, so its image is n = {lane}. It writes {len(turns)}
        numbers, the first of them at index {turns[0][0]} of the columns: the pixel {turns[0][3]}, which lies under the
        weight (c, r, s) = {turns[0][1]} at position {turns[0][2]}, and whose grey level is {turns[0][4]}.

        All {threads} threads, in an order drawn by chance, wrote each of the {expected.size} numbers exactly once, and
        what they wrote equals what the Numba kernel wrote. So no order is needed, and all may run at once.

        On the way back this would go wrong. Two threads that add to the same pixel at the same time would lose a share.
        So the CUDA twin of col2im turns the loop round: each **pixel** of each image has one thread, which looks for
        the columns that the pixel was copied into, and adds up what came back to them.
    """, vi=[f"""
        ### Một luồng trong số đó

        Trang này không cần GPU: Python lần theo từng dòng của mã CUDA. Cho {expected.size} con số này minicnn khởi chạy
        {threads} luồng, tức {threads // WARP} warp. Với {N} ảnh, chỉ {N} làn đầu trong {WARP} làn của mỗi warp có việc
        làm. Với 128 ảnh, lô của AlexNet, mọi làn đều có việc.

        Luồng {thread} là làn {lane} của warp {thread // WARP}, nên ảnh của nó là n = {lane}. Nó ghi {len(turns)} con
        số, số đầu tiên ở chỉ số {turns[0][0]} của các cột: điểm ảnh {turns[0][3]}, nằm dưới trọng số (c, r, s) =
        {turns[0][1]} tại vị trí {turns[0][2]}, và có độ xám {turns[0][4]}.

        Cả {threads} luồng, theo thứ tự ngẫu nhiên, đã ghi mỗi con số trong {expected.size} số đúng một lần, và những gì
        chúng ghi bằng những gì kernel Numba đã ghi. Vậy không cần thứ tự nào cả, và tất cả có thể chạy cùng lúc.

        Trên đường về thì không ổn. Hai luồng cùng lúc cộng vào một điểm ảnh sẽ làm mất một phần. Vì thế bản CUDA của
        col2im đảo vòng lặp lại: mỗi **điểm ảnh** của mỗi bức ảnh có một luồng, luồng này tìm những cột mà điểm ảnh đã
        được chép vào, và cộng những gì quay về các cột đó.
    """])
    return (by_threads,)


@app.cell
def _():
    say(r"""
        ## Fifth spelling: by Fourier

        (This section needs complex numbers. Only a measure of kernels in chapter 13 uses it again, so you may go on to
        the times below.)

        A picture of T × U pixels is a sum of **waves**: stripes that repeat f times from top to bottom and g times
        from left to right. With the angles θ = 2πf / T and φ = 2πg / U, the wave (f, g) at pixel (p, q) is

        $$e^{i(\theta p + \varphi q)} = \cos(\theta p + \varphi q) + i \sin(\theta p + \varphi q)$$

        Lay a kernel on it at place (p, q):

        $$\sum_{r,s} w[r, s]\; e^{i(\theta (p + r) + \varphi (q + s))}$$

        $$= e^{i(\theta p + \varphi q)} \sum_{r,s} w[r, s]\; e^{i(\theta r + \varphi s)}$$

        The last sum knows nothing of the place. So out comes the wave that went in, times one complex number: **a
        kernel changes the size and the phase of a wave, and nothing else**. This number is conj(W), where conj turns
        a + ib into a − ib, and W is the **spectrum** of the kernel:

        $$W[f, g] = \sum_{r,s} w[r, s]\; e^{-i(\theta r + \varphi s)}$$

        The spectrum of the picture, X, is made in the same way, and says how much of each wave is in it: x is the sum
        of all waves, each times X[f, g] / (T · U). So the spectrum of the output is

        $$Y[f, g] = \mathrm{conj}(W[f, g]) \cdot X[f, g]$$

        summed over the channels, as ever. That is one complex multiplication for each wave, however large the kernel
        is. (Where the kernel is turned round first, as mathematicians do, it is W · X.)

        Below is a kernel, and how much of each wave it lets through. Click on a wave in the spectrum. A blur lets
        low frequencies through, in the middle, and stops high ones. A kernel for edges stops f = g = 0, which is plain
        grey, and changes phases by 90°: like a derivative, it makes sines of cosines. A Gabor kernel, like many that
        AlexNet learns in its first layer, lets through stripes of about one direction and one width. (−f, −g) always
        comes out as strong as (f, g), because they are the same stripes.
    """, vi=[r"""
        ## Cách viết thứ năm: theo Fourier

        (Mục này cần số phức. Chỉ một phép đo kernel ở chương 13 dùng lại nó, nên bạn có thể đi tiếp đến phần thời gian
        bên dưới.)

        Một bức ảnh T × U điểm ảnh là tổng của các **sóng**: những vân sọc lặp lại f lần từ trên xuống và g lần từ trái
        sang. Với các góc θ = 2πf / T và φ = 2πg / U, sóng (f, g) tại điểm ảnh (p, q) là

        $$e^{i(\theta p + \varphi q)} = \cos(\theta p + \varphi q) + i \sin(\theta p + \varphi q)$$

        Đặt một kernel lên nó tại vị trí (p, q):

        $$\sum_{r,s} w[r, s]\; e^{i(\theta (p + r) + \varphi (q + s))}$$

        $$= e^{i(\theta p + \varphi q)} \sum_{r,s} w[r, s]\; e^{i(\theta r + \varphi s)}$$

        Tổng cuối cùng không phụ thuộc vị trí. Vậy cái đi ra chính là sóng đã đi vào, nhân với một số phức: **kernel
        thay đổi biên độ và pha của một sóng, ngoài ra không gì khác**. Số phức ấy là conj(W), trong đó conj biến a + ib
        thành a − ib, và W là **phổ** của kernel:

        $$W[f, g] = \sum_{r,s} w[r, s]\; e^{-i(\theta r + \varphi s)}$$

        Phổ của bức ảnh, X, được tạo theo cùng cách, và cho biết trong ảnh có bao nhiêu của mỗi sóng: x là tổng của mọi
        sóng, mỗi sóng nhân với X[f, g] / (T · U). Vậy phổ của đầu ra là

        $$Y[f, g] = \mathrm{conj}(W[f, g]) \cdot X[f, g]$$

        cộng trên các kênh, như mọi khi. Đó là một phép nhân số phức cho mỗi sóng, dù kernel lớn đến đâu. (Nếu kernel
        được xoay trước, như trong toán học, thì đó là W · X.)

        Dưới đây là một kernel, và nó cho mỗi sóng đi qua bao nhiêu. Hãy bấm vào một sóng trong phổ. Kernel làm mờ cho
        các tần số thấp, ở giữa, đi qua, và chặn các tần số cao. Kernel tìm cạnh chặn f = g = 0, tức màu xám đều, và đổi
        pha đi 90°: như đạo hàm, nó biến cos thành sin. Kernel Gabor, giống nhiều kernel mà AlexNet học được ở tầng đầu
        tiên, cho đi qua những vân sọc có gần một hướng và một độ rộng nhất định. (−f, −g) luôn ra mạnh bằng (f, g), vì
        chúng là cùng những vân sọc.
    """])
    return


@app.cell
def _():
    scene("fourier", numbers_of_waves(), "A Gabor kernel of 11 × 11 weights, its spectrum, with two bright spots, at "
          "f = 2, g = 3 and opposite, and this wave before and after the kernel: it comes out almost as strong, its "
          "stripes shifted.", 300)
    return


@app.cell
def _(KERNELS, x):
    def waves(T, pixels):
        """cos θt − i sin θt: a row for each angle θ, a column for each pixel t."""
        return np.exp(-2j * np.pi / T * np.outer(np.arange(T), np.arange(pixels)))

    def by_fourier(x, w, stride, padding):
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        (T, U), (R, S) = x.shape[2:], w.shape[2:]
        P, Q = T - R + 1, U - S + 1
        X = waves(T, T) @ x @ waves(U, U).T  # (N, C, T, U)
        W = waves(T, R) @ w @ waves(U, S).T  # (K, C, T, U)
        Y = np.einsum("kcfg,ncfg->nkfg", W.conj(), X)
        y = waves(T, P).conj().T @ Y @ waves(U, Q).conj() / (T * U)
        return y.real[:, :, ::stride, ::stride]

    def by_one_line(x, w):
        return np.fft.ifft2(np.fft.fft2(w, x.shape).conj() * np.fft.fft2(x)).real

    def off_by_fourier():
        for kernel in KERNELS.values():
            for stride, padding in ((1, 0), (1, 1), (2, 1), (3, 2)):
                arguments = x[None, None], kernel[None, None]
                expected = ops.conv2d(*arguments, stride=stride, padding=padding, algorithm="columns").numpy()
                yield np.abs(by_fourier(*arguments, stride, padding) - expected).max()
                if stride == 1:
                    engine = ops.conv2d(*arguments, padding=padding, algorithm="fourier").numpy()
                    yield np.abs(engine - expected).max()

    off_most = max(off_by_fourier())
    assert off_most < 1e-12
    wrapped = np.pad(x, (0, 2), mode="wrap")[None, None]  # below and beside the last pixel comes the first again
    in_circles = ops.conv2d(wrapped, KERNELS["blur"][None, None]).numpy()[0, 0]
    assert np.abs(by_one_line(x, KERNELS["blur"]) - in_circles).max() < 1e-12
    one_line = inspect.getsource(by_one_line).split("return ")[1].strip()
    say("""
        ### A tile in which nothing wraps around

        A **tile** is the T × U pixels that are transformed together. All these waves begin again after T pixels. So to
        a kernel that sticks out at the bottom of the tile, its top comes next.
        P places, with kernels of R rows, see P + R − 1 rows: with **T ≥ P + R − 1** nothing wraps around, and likewise
        across. At stride 1 that is just the picture with its padding. Its transform is a product with matrices, and so
        is the way back:
    """, f"```python\n{dedent(inspect.getsource(waves))}\n{dedent(inspect.getsource(by_fourier))}```", f"""
        On the face, with three kernels and four pairs of stride and padding, this and minicnn's own differed from the
        columns by {off_most:.0e} at most. NumPy's fast transform does it in one line, for one channel:
    """, f"```python\n{one_line}\n```", """
        It gives 6 × 6 numbers. The first 4 × 4 of them are the convolution without padding; the others wrapped around.

        The engine (`kernels/fourier.py`) has constant matrices, too, but real ones, cosines above sines: so the library
        that multiplies matrices (BLAS) does all of it, transforms as well as products. And as x is real, X[−f, −g] =
        conj(X[f, g]), so half of the angles θ are enough.
    """, vi=["""
        ### Một ô mà trong đó không gì vòng lại

        Một **ô** (tile) là T × U điểm ảnh được biến đổi cùng nhau. Mọi sóng ấy lặp lại sau T điểm ảnh. Vì thế một
        kernel nhô ra khỏi cạnh dưới của ô sẽ nhìn thấy cạnh trên của nó. P vị trí, với kernel gồm R hàng, nhìn thấy P +
        R − 1 hàng: khi **T ≥ P + R − 1** thì không gì vòng lại, theo chiều ngang cũng vậy. Với bước nhảy 1, đó đúng là
        bức ảnh cùng với viền đệm. Phép biến đổi của nó là phép nhân với ma trận, và đường về cũng thế:
    """, ..., f"""
        Trên khuôn mặt, với ba kernel và bốn cặp bước nhảy và viền đệm, hàm này và hàm của minicnn khác với cách dùng
        cột nhiều nhất {off_most:.0e}. Biến đổi nhanh của NumPy làm việc đó trong một dòng, cho một kênh:
    """, ..., """
        Trong 6 × 6 số của nó, 4 × 4 số đầu là tích chập không đệm viền. Các số khác đã vòng lại.

        minicnn (`kernels/fourier.py`) cũng có các ma trận hằng, nhưng là ma trận thực, cos xếp trên sin: nhờ vậy thư
        viện nhân ma trận (BLAS) làm tất cả, cả các phép biến đổi lẫn các phép nhân. Và vì x là thực, X[−f, −g] =
        conj(X[f, g]), nên một nửa số góc θ là đủ.
    """])
    return (by_fourier,)


@app.cell
def _():
    T, f, g = 18, 2, 3

    def with_i(number):
        return f"{number.real:.4f} {'−' if number.imag < 0 else '+'} {abs(number.imag):.4f} i"

    w_random = np.random.default_rng(6).normal(size=(5, 5)) / 5
    W_here = complex(spectrum(w_random, T)[f + T // 2, g + T // 2])
    X_here = complex(np.fft.fft2(hopper(T, 90, 190, 10))[f, g])
    a, b, u, v = W_here.real, W_here.imag, X_here.real, X_here.imag
    three = a * (u + v), (a + b) * u, (a - b) * v
    Y_here = complex(three[0] - three[2], three[0] - three[1])
    assert abs(Y_here - W_here.conjugate() * X_here) < 1e-12 * max(1, abs(X_here))

    say(f"""
        ### Three products in place of four

        A product of complex numbers takes four real ones. Gauss found that three do. With W = a + ib and X = u + iv:

        m₁ = a (u + v),  m₂ = (a + b) u,  m₃ = (a − b) v

        conj(W) · X = m₁ − m₃ + i (m₁ − m₂)

        At f = {f}, g = {g} the random kernel above has W = {with_i(W_here)}, and the face in {T} × {T} pixels
        X = {with_i(X_here)}. So m₁ = {three[0]:.4f}, m₂ = {three[1]:.4f}, m₃ = {three[2]:.4f}, and
        Y = {with_i(Y_here)}, which is conj(W) · X. The sums a + b, a − b and u + v cost nothing, as the constant
        matrices contain them. What remains, at every wave, is three real products of a matrix (kernels, channels) by
        one (channels, images).
    """, vi=[f"""
        ### Ba phép nhân thay vì bốn

        Một phép nhân số phức cần bốn phép nhân số thực. Gauss nhận ra rằng ba là đủ. Với W = a + ib và X = u + iv:

        m₁ = a (u + v), m₂ = (a + b) u, m₃ = (a − b) v

        conj(W) · X = m₁ − m₃ + i (m₁ − m₂)

        Tại f = {f}, g = {g}, kernel ngẫu nhiên ở trên có W = {with_i(W_here)}, và khuôn mặt {T} × {T} điểm ảnh có X =
        {with_i(X_here)}. Vậy m₁ = {three[0]:.4f}, m₂ = {three[1]:.4f}, m₃ = {three[2]:.4f}, và Y = {with_i(Y_here)},
        chính là conj(W) · X. Các tổng a + b, a − b và u + v không tốn gì, vì các ma trận hằng đã chứa chúng. Còn lại, ở
        mỗi sóng, là ba phép nhân thực giữa một ma trận (kernel, kênh) và một ma trận (kênh, ảnh).
    """])
    return


@app.cell
def _(by_fourier):
    def backward_by_fourier(gy, x, w, padding):
        turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)  # (C, K, R, S)
        gx = by_fourier(gy, turned, 1, w.shape[2] - 1 - padding)
        gw = by_fourier(x.swapaxes(0, 1), gy.swapaxes(0, 1), 1, padding)
        return gx, gw.swapaxes(0, 1)

    def off_backward():
        random = np.random.default_rng(7)
        x, w, gy = (random.normal(size=shape) for shape in ((4, 2, 6, 6), (3, 2, 3, 3), (4, 3, 6, 6)))
        tensors = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
        ops.conv2d(*tensors, padding=1).backward(gy)
        for by_hand, tensor in zip(backward_by_fourier(gy, x, w, 1), tensors, strict=True):
            yield np.abs(by_hand - tensor.grad.numpy()).max()

    off_back = max(off_backward())
    assert off_back < 1e-12
    say("""
        ### The way back, by Fourier

        Y = conj(W) · X is linear in W and in X. So each gradient is, again, one product for each wave. With G, the
        spectrum of gy:

        - gw has the spectrum conj(G) · X: it is the picture under gy, as if gy were the kernel.
        - gx has the spectrum W · G, without conj: it is gy under the turned kernel, as the scene above showed it.

        At stride 1 both are convolutions, and the function above does them. For w, images and channels change places,
        since it is the images that are summed over:
    """, f"```python\n{dedent(inspect.getsource(backward_by_fourier))}```", f"""
        For 4 images, 2 channels and 3 kernels this gave `backward()`'s gradients, to within {off_back:.0e}. The engine
        takes the gradient of x from its own forward, too, in just this way.
    """, vi=["""
        ### Đường về, theo Fourier

        Y = conj(W) · X tuyến tính theo W và theo X. Vậy mỗi gradient lại là một phép nhân cho mỗi sóng. Với G là phổ
        của gy:

        - gw có phổ conj(G) · X: nó là bức ảnh nằm dưới gy, như thể gy là kernel.
        - gx có phổ W · G, không có conj: nó là gy nằm dưới kernel đã xoay, như hình tương tác ở trên đã cho thấy.

        Với bước nhảy 1, cả hai đều là tích chập, và hàm ở trên làm được. Với w, ảnh và kênh đổi chỗ cho nhau, vì
        ở đây tổng chạy trên các ảnh:
    """, ..., f"""
        Với 4 ảnh, 2 kênh và 3 kernel, nó cho ra các gradient của `backward()`, sai khác không quá {off_back:.0e}.
        minicnn cũng lấy gradient của x từ chính phần xuôi của mình, đúng theo cách này.
    """])
    return


@app.cell
def _(by_fourier, by_python, by_threads, columns_in_numpy, filled, loops, product):
    def engine(x, w, stride, padding):
        return ops.conv2d(x, w, stride=stride, padding=padding, algorithm="columns").numpy()

    def engine_by_fourier(x, w, stride, padding):
        return ops.conv2d(x, w, padding=padding, algorithm="fourier").numpy()[:, :, ::stride, ::stride]

    def with_columns(make, *how):
        return lambda x, w, stride, padding: product(make(*how, x, *w.shape[2:], stride, padding), w)

    SPELLINGS = {  # and how often each is measured
        "1 seven loops, Python": (loops, 3),
        "2 columns, NumPy": (with_columns(columns_in_numpy), 9),
        "3 `ops.conv2d`, Numba": (engine, 9),
        "3 its loop as Python": (with_columns(filled, by_python), 3),
        "4 `im2col.cu`, followed by Python": (with_columns(filled, by_threads), 1),
        "5 cosines and sines, NumPy": (by_fourier, 9),
        "5 `ops.conv2d`, by Fourier": (engine_by_fourier, 9),
    }
    random = np.random.default_rng(4)

    def agree(x, w, stride, padding):
        found = [spelling(x, w, stride, padding) for spelling, _ in SPELLINGS.values()]
        return all(np.abs(y - found[0]).max() < 1e-12 for y in found)

    for size, by, around in ((3, 1, 0), (3, 2, 1), (2, 3, 2)):
        assert agree(random.normal(size=(2, 2, 7, 6)), random.normal(size=(3, 2, size, size)), by, around)
    small = random.normal(size=(1, 3, 36, 36)), random.normal(size=(8, 3, 3, 3)), 1, 1
    assert agree(*small)  # now Numba has compiled
    took = {name: seconds(*way, *small) for name, way in SPELLINGS.items()}
    products = small[1].size * 36 * 36
    pixel = small[0][:, :, :1, :1].copy(), *small[1:]
    alone = {name: seconds(SPELLINGS[name][0], 25, *pixel) for name in list(SPELLINGS)[1:3]}
    large = random.normal(size=(16, 48, 27, 27)), random.normal(size=(128, 48, 5, 5)), 1, 2
    way_of_numpy, way_of_engine = (SPELLINGS[name][0] for name in list(SPELLINGS)[1:3])
    assert np.allclose(way_of_numpy(*large), way_of_engine(*large), rtol=0, atol=1e-10)
    ratio = seconds(way_of_numpy, 3, *large) / seconds(way_of_engine, 3, *large)
    say(f"""
        ## The same test, and times

        All passed one test: three sizes, strides and paddings, then a small layer, x {small[0].shape} and
        w {small[1].shape}, padding 1. That is {products:,} products to add up, in double precision. Nowhere did one
        differ from the loops by as much as 10⁻¹².
    """, table([both("spelling", "cách viết"), "µs", both("million products/s", "triệu phép nhân/s"),
               both("× loops", "× vòng lặp")], [
        [name, round(1e6 * t), round(products / t / 1e6, 1), round(took["1 seven loops, Python"] / t, 1)]
        for name, t in took.items()
    ]), f"""
        These are medians of a few runs (of `im2col.cu`, one run) on the machine that made this page, with whatever else
        it was doing. The line of `im2col.cu` says nothing about a GPU: there the threads run at once, here one after
        the other, and in Python. Products are those of the formula; Fourier makes others.

        ### Why is NumPy ahead here?

        In so small a layer there is hardly anything to compute, and a call costs time before it multiplies a number.
        The engine makes tensors, checks shapes and types, brings the memory into its own order, launches a kernel, and
        keeps what the way back needs. NumPy does none of this here. To see how much it is, give both a picture of a
        single pixel: `ops.conv2d` took {1e6 * alone["3 `ops.conv2d`, Numba"]:.0f} µs, and the columns in NumPy
        {1e6 * alone["2 columns, NumPy"]:.0f} µs. These are the costs of a call, and they do not grow with the layer.

        In a real layer they hardly count. AlexNet's layers are cut into two halves, its **towers**. In one tower of the
        second layer, x {large[0].shape} and
        w {large[1].shape}, the columns are {large[1][0].size * 16 * 27 * 27 * 8 / 1e6:.0f} million bytes if they are
        made at once, far more than fits into the cache. There NumPy took {ratio:.1f} times as long as `ops.conv2d`,
        which makes them in blocks.
    """, vi=[f"""
        ## Cùng một phép thử, và thời gian

        Tất cả đều qua cùng một phép thử: ba kích thước, bước nhảy và viền đệm, rồi một tầng nhỏ, x {small[0].shape} và
        w {small[1].shape}, đệm viền 1. Đó là {products:,} phép nhân cần cộng lại, với độ chính xác kép. Không ở đâu kết
        quả khác với vòng lặp đến 10⁻¹².
    """, ..., f"""
        Đây là trung vị của vài lần chạy (với `im2col.cu` là một lần chạy) trên máy đã tạo ra trang này, cùng với bất cứ
        việc gì khác nó đang làm. Dòng của `im2col.cu` không nói gì về GPU: ở đó các luồng chạy cùng lúc, còn ở đây chạy
        lần lượt, và bằng Python. Số phép nhân là của công thức; Fourier thực hiện những phép nhân khác.

        ### Vì sao ở đây NumPy nhanh hơn?

        Trong một tầng nhỏ như thế hầu như chẳng có gì để tính, và một lần gọi đã tốn thời gian trước khi nhân con số
        đầu tiên. minicnn tạo tensor, kiểm tra kích thước và kiểu, sắp bộ nhớ theo thứ tự của mình, khởi chạy kernel, và
        giữ lại những gì đường về cần. Ở đây NumPy không làm gì trong số đó. Để biết phần ấy lớn bao nhiêu, hãy đưa cho
        cả hai một bức ảnh chỉ có một điểm ảnh: `ops.conv2d` mất {1e6 * alone["3 `ops.conv2d`, Numba"]:.0f} µs, và cách
        dùng cột trong NumPy mất {1e6 * alone["2 columns, NumPy"]:.0f} µs. Đó là cái giá của một lần gọi, và nó không
        tăng theo tầng.

        Trong một tầng thật, cái giá ấy không đáng kể. Các tầng của AlexNet được cắt làm hai nửa, gọi là hai **tháp**
        (tower). Trong một tháp của tầng thứ hai, x {large[0].shape}
        và w {large[1].shape}, các cột chiếm {large[1][0].size * 16 * 27 * 27 * 8 / 1e6:.0f} triệu byte nếu được tạo ra
        cùng một lúc, nhiều hơn hẳn sức chứa của cache. Ở đó NumPy tốn thời gian gấp {ratio:.1f} lần `ops.conv2d`,
        vốn tạo các cột theo từng khối.
    """])
    return


@app.cell
def _():
    LAYERS = {  # one tower: channels, kernels, pixels along a side, of a kernel, padding
        "conv2": (48, 128, 27, 5, 2), "conv3": (256, 192, 13, 3, 1),
        "conv4": (192, 192, 13, 3, 1), "conv5": (192, 128, 13, 3, 1),
    }  # fmt: skip

    def as_in_memory(layer, N):
        C, K, H, R, padding = LAYERS[layer]
        return (C, H, H, N), (C, R, R, K), convolution.Geometry(1, H, H, 1, 1, padding, padding)

    def multiplications(layer, N=128):
        """(places along a side of a tile, direct, the products by Fourier, its transforms) for each of N images."""
        C, K, H, R, _ = LAYERS[layer]
        along = convolution.chosen(*as_in_memory(layer, N))
        T = along + R - 1
        products = 3 * T * -(-T // 2) * (-(-H // along)) ** 2 * C * K
        return along, K * C * R * R * H * H, products, fourier.work(*as_in_memory(layer, N), along)[0] / N - products

    def choice(layer, N):
        return "Fourier" if convolution.chosen(*as_in_memory(layer, N)) else "columns"

    counted = {layer: multiplications(layer) for layer in LAYERS}
    assert all(along == LAYERS[layer][2] for layer, (along, *_) in counted.items()), "one tile covers the image"
    choices = [[layer, *(choice(layer, N) for N in (1, 32, 128))] for layer in LAYERS]
    assert {row[1] for row in choices} == {"columns"}

    random_2 = np.random.default_rng(5)
    x_2, w_2 = random_2.normal(size=(32, 48, 27, 27)), random_2.normal(size=(128, 48, 5, 5))
    took_by = {name: seconds(lambda name=name: ops.conv2d(x_2, w_2, padding=2, algorithm=name), 3)
               for name in convolution.ALGORITHMS}  # fmt: skip

    def spoilt(algorithm):
        x = np.zeros((1, 1, 27, 27))
        x[0, 0, 13, 13] = np.nan
        return int(np.isnan(ops.conv2d(x, np.ones((1, 1, 5, 5)), padding=2, algorithm=algorithm).numpy()).sum())

    assert spoilt("columns") == 25 < spoilt("fourier")
    spectrum_2 = counted["conv2"][2]  # each of its numbers is multiplied once an image, as one tile covers it
    say("""
        ## What Fourier saves

        This table counts the millions of multiplications for one image, in one tower of AlexNet. Direct, as loops and
        columns do it, they are K · C · R · S · P · Q. By Fourier there are three for each of T · ⌈T / 2⌉ waves, each k
        and each c, with T = P + R − 1 (⌈ ⌉ rounds up); and the transforms, as the engine makes them, that of the
        weights shared by a batch of 128:
    """, table([both("layer", "tầng"), "T", both("direct", "trực tiếp"), both("products", "phép nhân"),
               both("transforms", "biến đổi"), both("sum", "tổng"), both("direct / sum", "trực tiếp / tổng")], [
        [layer, along + LAYERS[layer][3] - 1, *(round(n / 1e6, 1) for n in (direct, *parts, sum(parts))),
         f"{direct / sum(parts):.1f} ×"] for layer, (along, direct, *parts) in counted.items()
    ]), """
        But Fourier moves more numbers through memory, and multiplies many small matrices in place of a large one.
        minicnn estimates from the shapes what each way would take, and chooses (`kernels/convolution.py`). For batches
        of 1, 32 and 128 images it takes: """, table([both("layer", "tầng"), both("1 image", "1 ảnh"), both("32 images",
        "32 ảnh"), both("128 images", "128 ảnh")], choices), f""" Why not for one picture? The spectrum of conv2's
        {w_2.size:,} weights, three numbers for each wave, is {spectrum_2:,} numbers: it has to be made for each batch,
        which pays only where many images share it. For 32, just now, conv2 took {1000 * took_by["columns"]:.0f} ms by
        columns and {1000 * took_by["fourier"]:.0f} ms by Fourier.

        `ops.conv2d(..., algorithm="fourier")` asks for it, for stride 1: at a larger one most of the places would be
        thrown away. On a GPU minicnn takes columns unless asked. And as each wave goes through a whole tile, one pixel
        that is NaN spoils every tile that sees it: here, with 5 × 5 on 27 × 27, {spoilt("fourier")} places, where by
        columns it spoils {spoilt("columns")}.
    """, vi=["""
        ## Fourier tiết kiệm được gì

        Bảng này đếm số triệu phép nhân cho một bức ảnh, trong một tháp của AlexNet. Tính trực tiếp, như vòng lặp và
        cột, số phép nhân là K · C · R · S · P · Q. Theo Fourier thì có ba phép nhân cho mỗi sóng trong T · ⌈T / 2⌉
        sóng, mỗi k và mỗi c, với T = P + R − 1 (⌈ ⌉ làm tròn lên); cộng thêm các phép biến đổi như minicnn thực hiện,
        trong đó phép biến đổi của trọng số chia đều cho một lô 128 ảnh:
    """, ..., """
        Nhưng Fourier chuyển nhiều số hơn qua bộ nhớ, và nhân nhiều ma trận nhỏ thay vì một ma trận lớn. minicnn ước
        lượng từ kích thước xem mỗi cách tốn bao lâu, rồi chọn (`kernels/convolution.py`). Với lô 1, 32 và 128 ảnh, nó
        dùng:
    """, ..., f"""
        Vì sao không dùng cho một ảnh? Phổ của {w_2.size:,} trọng số của conv2, ba số cho mỗi sóng, gồm {spectrum_2:,}
        số: nó phải được tạo cho mỗi lô, và chỉ đáng khi phục vụ nhiều ảnh. Vừa rồi, với 32 ảnh, conv2 mất
        {1000 * took_by["columns"]:.0f} ms bằng cột và {1000 * took_by["fourier"]:.0f} ms theo Fourier.

        `ops.conv2d(..., algorithm="fourier")` yêu cầu dùng nó, với bước nhảy 1: với bước nhảy lớn hơn thì phần lớn các
        vị trí sẽ bị bỏ đi. Trên GPU, minicnn dùng cột nếu không được yêu cầu khác. Và vì mỗi sóng chạy qua cả ô, một
        điểm ảnh NaN làm hỏng mọi ô nhìn thấy nó: ở đây, với 5 × 5 trên 27 × 27, là {spoilt("fourier")} vị trí, trong
        khi dùng cột nó chỉ làm hỏng {spoilt("columns")}.
    """])
    return


@app.cell
def _():
    def two_halves():
        random = np.random.default_rng(3)
        x, w = random.normal(size=(1, 4, 6, 6)), random.normal(size=(6, 2, 3, 3))
        together = ops.conv2d(x, w, groups=2).numpy()
        halves = [ops.conv2d(x[:, :2], w[:3]).numpy(), ops.conv2d(x[:, 2:], w[3:]).numpy()]
        return x, w, together, np.concatenate(halves, axis=1)

    x_grouped, w_grouped, together, halves = two_halves()
    assert np.abs(together - halves).max() < 1e-12

    def cost(C, K, size, places, groups):
        """A layer's weights and multiply-adds for one image."""
        w = np.empty((K, C // groups, size, size))
        return w.size, w.size * places**2

    whole, split = cost(96, 256, 5, 27, 1), cost(96, 256, 5, 27, 2)  # AlexNet's second convolution
    assert whole[0] == 2 * split[0]
    say(f"""
        ## Groups

        With `groups=2` the first half of the kernels sees only the first half of the channels, and the second half the
        second. With x {x_grouped.shape}, w has the shape {w_grouped.shape}: 6 kernels of 2 channels, not of 4. The
        result was that of two convolutions on the halves, put one after the other, to within 10⁻¹².

        Each kernel has half as many weights. AlexNet's second convolution has 256 kernels of 5 × 5 on 96 channels, at
        27 × 27 places. Without groups that is {whole[0]:,} weights, and {whole[1]:,} multiplications for each image.
        With two groups a kernel sees 48 channels, which makes {split[0]:,} weights, and half of the work. In minicnn's
        AlexNet the two halves are two towers, which may live on two devices.
    """, vi=[f"""
        ## Nhóm

        Với `groups=2`, nửa đầu số kernel chỉ nhìn thấy nửa đầu số kênh, và nửa sau chỉ nhìn thấy nửa sau. Với x
        {x_grouped.shape}, w có kích thước {w_grouped.shape}: 6 kernel với 2 kênh, chứ không phải 4. Kết quả giống như
        hai tích chập trên hai nửa rồi đặt nối tiếp nhau, sai khác không quá 10⁻¹².

        Mỗi kernel chỉ còn một nửa số trọng số. Tầng tích chập thứ hai của AlexNet có 256 kernel 5 × 5 trên 96 kênh, tại
        27 × 27 vị trí. Không chia nhóm thì đó là {whole[0]:,} trọng số, và {whole[1]:,} phép nhân cho mỗi ảnh. Với hai
        nhóm, một kernel nhìn thấy 48 kênh, thành {split[0]:,} trọng số, và một nửa khối lượng tính toán. Trong AlexNet
        của minicnn, hai nửa là hai tháp, có thể nằm trên hai thiết bị.
    """])
    return


@app.cell
def _():
    start = '''def backward(gy, x, w):
    # y[p, q] = Σ w[r, s] · x[2p + r, 2q + s]      stride 2, no padding
    R, S = w.shape
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for p in range(gy.shape[0]):
        for q in range(gy.shape[1]):
            window = slice(2 * p, 2 * p + R), slice(2 * q, 2 * q + S)
            gx[window] += gy[p, q] * w
            # and gw?
    return gx, gw
'''
    answer = start.replace("# and gw?", "gw += gy[p, q] * x[window]")

    def check(backward):
        def convolution(x, w):
            return ops.conv2d(x[None, None], w[None, None], stride=2).numpy()[0, 0]

        random = np.random.default_rng(5)
        gradcheck(convolution, random.normal(size=(7, 6)), random.normal(size=(3, 2)), backward=backward)

    tries = {
        both("= for +=", "= thay cho +="): start.replace("# and gw?", "gw = gy[p, q] * x[window]"),
        both("the weights in place of the pixels", "trọng số thay cho pixel"):
            start.replace("# and gw?", "gw += gy[p, q] * w"),
        both("the mean over the places", "trung bình trên các vị trí"):
            start.replace("# and gw?", "gw += gy[p, q] * x[window] / gy.size"),
        both("outside of the inner loop", "đặt ngoài vòng lặp trong"):
            start.replace("            # and gw?", "    gw += gy[p, q] * x[window]"),
    }
    asked = "backward"
    say("""
        ## Exercise

        Here is the way back through a convolution of one channel, at stride 2. The gradient of the picture is right.
        The gradient of the weights is missing: one line. Each weight was used at every place of the output. So ask
        first what a single place contributes to `gw`, and then what becomes of the contributions of all places.
    """, vi=["""
        ## Bài tập

        Đây là đường về qua một tích chập có một kênh, với bước nhảy 2. Gradient của bức ảnh thì đúng. Gradient của
        trọng số còn thiếu: một dòng. Mỗi trọng số đã được dùng ở mọi vị trí của đầu ra. Vậy trước hết hãy tự hỏi một vị
        trí đóng góp gì vào `gw`, rồi đóng góp của mọi vị trí thành ra gì.
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
