"""Chapter 7: local response normalisation. Neighbouring channels compete, both ways; what is used today."""

import marimo

app = marimo.App(app_title="7 · Local response normalisation")

with app.setup:
    import marimo as mo
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from page import answer_box, attempt, both, figure, fold, one_answer, picture, say
    from scene import scene
    from scene_numbers import response_norm as numbers_of_the_scene

    from minicnn import GradientError, Tensor, gradcheck, ops
    from minicnn.data import read_picture


@app.cell
def _():
    say(r"""
        # 7 · Local response normalisation

        After a convolution every pixel holds a column of numbers, one for each channel, that is, for each kernel. In
        this layer neighbours in the column compete: where the channels next door answer loudly, a channel's own answer
        is divided by more (Krizhevsky et al. 2012, §3.3). For channel i of one pixel:

        $$y(i) = \frac{x(i)}{d(i)^\beta}$$

        $$d(i) = k + \alpha \sum_{j=i-\lfloor n/2\rfloor}^{i+\lfloor n/2\rfloor} x(j)^2$$

        The sum runs over n channels around i (⌊ ⌋ rounds down), fewer at the ends of the column. The paper chose n = 5,
        k = 2, β = 0.75 and α = 0.0001. Nothing is learned, no mean is taken away, and neither other pixels nor other
        pictures matter.

        On the way back there are several roads. x(i) appears in its own numerator. And it appears, squared, in d(j) of
        **every** channel j whose window holds i, itself among them. The gradient is the sum over all of them:

        $$g_x(i) = \frac{g_y(i)}{d(i)^\beta} \;-\; 2\alpha\beta\, x(i) \sum_j \frac{g_y(j)\, y(j)}{d(j)}$$

        The first is the channel's **own term**: what it gets for itself. The others are its **cross terms**: when
        x(i) grows, all of these channels, and channel i itself, are divided by more.

        Below is one pixel with twelve channels; x and gy are made up. Click on a channel of **gx** to see its own term
        and its cross terms, and on a channel of **y** to see what it was divided by. Arrow keys move from channel to
        channel.
    """, vi=[r"""
        # 7 · Chuẩn hoá phản ứng cục bộ

        Sau một tầng tích chập, mỗi điểm ảnh mang một cột số, mỗi kênh (channel), tức mỗi kernel, một số. Trong tầng này
        các kênh lân cận trong cột cạnh tranh với nhau: nơi nào các kênh bên cạnh phản ứng mạnh, phản ứng của chính kênh
        ấy bị chia cho một số lớn hơn (Krizhevsky và cộng sự 2012, §3.3). Với kênh i của một điểm ảnh:

        $$y(i) = \frac{x(i)}{d(i)^\beta}$$

        $$d(i) = k + \alpha \sum_{j=i-\lfloor n/2\rfloor}^{i+\lfloor n/2\rfloor} x(j)^2$$

        Tổng chạy trên n kênh quanh i (⌊ ⌋ làm tròn xuống), ở hai đầu cột thì ít hơn. Bài báo chọn n = 5, k = 2, β =
        0.75 và α = 0.0001. Không có gì được học, không trừ đi trung bình, và các điểm ảnh khác hay các bức ảnh khác
        không có ảnh hưởng gì.

        Trên đường về có nhiều con đường. x(i) xuất hiện ở tử số của chính nó. Và nó xuất hiện, dưới dạng bình phương,
        trong d(j) của **mọi** kênh j có cửa sổ chứa i, kể cả chính kênh i. Gradient là tổng trên tất cả các con đường
        đó:

        $$g_x(i) = \frac{g_y(i)}{d(i)^\beta} \;-\; 2\alpha\beta\, x(i) \sum_j \frac{g_y(j)\, y(j)}{d(j)}$$

        Số hạng thứ nhất là **số hạng riêng** (own term) của kênh: phần nó được cho chính nó. Các số hạng còn lại là
        **số hạng chéo** (cross terms): khi x(i) tăng, mọi kênh ấy, và cả chính kênh i, bị chia cho số lớn hơn.

        Dưới đây là một điểm ảnh với mười hai kênh; x và gy là những số tự nghĩ ra. Hãy bấm vào một kênh của **gx** để
        xem số hạng riêng và các số hạng chéo, bấm vào một kênh của **y** để xem nó đã bị chia cho gì. Các phím mũi tên
        đi từ kênh này sang kênh khác.
    """])
    return


@app.cell
def _():
    scene("response_norm", numbers_of_the_scene(), "Four rows of twelve numbers: x, y, gy and gx of twelve channels "
          "at one pixel. Channel 5 of gx is picked, and bars show its own term, −0.1574, the cross terms from channels "
          "3 to 7, the largest 0.0308, and their sum, −0.0915.", 520)
    return


@app.cell
def _():
    def of(n=5, alpha=1.0, beta=0.75, k=2.0):
        (found,) = (each for each in numbers_of_the_scene()["settings"] if (n, alpha, beta, k) == (
            each["n"], each["alpha"], each["beta"], each["k"]))  # fmt: skip
        return found

    at_1, at_paper, alone = of(), of(alpha=1e-4), of(n=1)
    largest, largest_of_paper = (np.abs(found["cross"].sum(axis=1)).max() for found in (at_1, at_paper))
    assert largest > 100 * largest_of_paper
    assert np.count_nonzero(alone["cross"] - np.diag(np.diag(alone["cross"]))) == 0
    assert not at_1["cross"][1].any()  # x(1) = 0
    say(f"""
        ## What to look for

        - A channel that is silent, x(i) = 0, has cross terms of 0: where x is 0, x² hardly
          changes. It still has its own term.
        - With **n = 1** a channel competes with itself alone. One cross term is left, its own.
        - With the paper's **α = 0.0001** the cross terms seem to vanish: the largest sum of them is
          {largest_of_paper:.1g}, where it was {largest:.2g} at α = 1. That does not mean that the paper's layer does
          nothing: α multiplies a square, so for x a hundred times as large it does exactly what α = 1 does here. But a
          test with small numbers will not see a mistake in these terms. **Test with α near 1.**
    """, vi=[f"""
        ## Cần chú ý điều gì

        - Một kênh im lặng, x(i) = 0, có các số hạng chéo bằng 0: ở x bằng 0, x² hầu như không đổi. Nó
          vẫn có số hạng riêng.
        - Với **n = 1**, một kênh chỉ cạnh tranh với chính nó. Còn lại một số hạng chéo, của chính nó.
        - Với **α = 0.0001** của bài báo, các số hạng chéo dường như biến mất: tổng lớn nhất của chúng là
          {largest_of_paper:.1g}, trong khi nó là {largest:.2g} khi α = 1. Điều đó không có nghĩa là tầng này trong bài
          báo không làm gì: α nhân với một bình phương, nên với x lớn gấp một trăm lần, nó làm đúng những gì α = 1 làm ở
          đây. Nhưng một phép thử với những số nhỏ sẽ không thấy lỗi trong các số hạng này. **Hãy thử với α gần 1.**
    """])
    return


@app.cell
def _():
    def window(v, n):
        """For every channel the sum over the n channels around it; v: (C, ...)."""
        return np.stack([v[max(0, i - n // 2) : i + n // 2 + 1].sum(axis=0) for i in range(len(v))])

    def norm(x, n=5, alpha=1e-4, beta=0.75, k=2.0):
        d = k + alpha * window(x * x, n)
        return x * d**-beta, d

    def engine(x, n=5, gy=None, **settings):
        """y, or where gy is given gx, of the op; x: (C, ...), one picture."""
        t = Tensor(x[None], requires_grad=True)  # (1, C, ...)
        y = ops.local_response_norm(t, size=n, **settings)
        if gy is None:
            return y.numpy()[0]
        y.backward(gy[None])
        return t.grad.numpy()[0]

    numbers = numbers_of_the_scene()
    x, gy = numbers["x"], numbers["gy"]
    return engine, gy, norm, window, x


@app.cell
def _(gy, norm, window, x):
    positive = x + 0.1  # away from 0, where nothing competes

    def half_a_backward(alpha):
        def layer(x):
            return norm(x, alpha=alpha)[0]

        def backward(gy, x):
            return gy * norm(x, alpha=alpha)[1] ** -0.75  # and no cross term

        try:
            gradcheck(layer, positive, backward=backward)
        except GradientError as error:
            return error
        raise AssertionError("gradcheck let it pass")

    def share_missing(alpha):
        y, d = norm(positive, alpha=alpha)
        cross = 1.5 * alpha * positive * window(gy * y / d, 5)
        return np.linalg.norm(cross) / np.linalg.norm(gy * d**-0.75 - cross)

    error_near_1 = half_a_backward(1.0)
    half_a_backward(1e-4)
    assert any(v.name == "term missing" for v in error_near_1.verdicts)
    assert share_missing(1.0) > 0.1
    assert share_missing(1e-4) < 1e-3
    say("""
        ## The mistake: no cross terms

        It is easy to divide gy by $d^β$, just as x was divided, and to think that this is all. With α = 1
        `gradcheck` says that a term is missing:
    """, fold("What gradcheck says", str(error_near_1)), f"""
        What is missing is {100 * share_missing(1.0):.0f} % as long as the right gradient, both taken as vectors. With α
        = 10⁻⁴ it is only {100 * share_missing(1e-4):.3f} %. `gradcheck` still sees it, as it computes in double
        precision and allows no more than rounding explains (chapter 4). A comparison in single precision that allows a
        thousandth would let it pass.
    """, vi=["""
        ## Lỗi hay gặp: thiếu số hạng chéo

        Ta dễ chia gy cho $d^β$, y như x đã bị chia, rồi tưởng thế là xong. Với α = 1, `gradcheck` nói rằng thiếu một số
        hạng:
    """, ..., f"""
        Phần còn thiếu dài bằng {100 * share_missing(1.0):.0f} % gradient đúng, nếu coi cả hai là vectơ. Với α = 10⁻⁴
        thì chỉ {100 * share_missing(1e-4):.3f} %. `gradcheck` vẫn thấy, vì nó tính với độ chính xác kép và không cho
        phép sai quá mức mà việc làm tròn giải thích được (chương 4). Một phép so sánh ở độ chính xác đơn, cho phép sai
        một phần nghìn, sẽ để lọt nó.
    """])
    return


@app.cell
def _():
    photograph = read_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = photograph[35:132, 85:182].mean(axis=2)
    grey = (grey - grey.mean()) / grey.std()
    angles = np.arange(8) * np.pi / 4
    across = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4  # brighter to the right
    w = np.cos(angles)[:, None, None] * across + np.sin(angles)[:, None, None] * -across.T  # (8, 3, 3)
    maps = ops.relu(ops.conv2d(grey[None, None], w[:, None])).numpy()[0]  # (8, 95, 95)
    return angles, maps


@app.cell
def _(angles, engine, maps, norm):
    normed = engine(maps, alpha=1.0)
    assert np.allclose(normed, norm(maps, alpha=1.0)[0], rtol=1e-10, atol=1e-14)

    def draw_maps():
        drawing = figure(5.6, 3.4)
        for row, (images, name) in zip(drawing.subplots(2, 4), ((maps, "x"), (normed, "y")), strict=True):
            for c, axes in enumerate(row):
                axes.imshow(images[c], cmap="gray", vmin=0, vmax=images.max())
                axes.set_title(f"{name}({c}), {np.degrees(angles[c]):g}°", fontsize=11)
                axes.set(xticks=[], yticks=[])
        return drawing

    def lead(images):
        return images.max() / images[images > 0].mean()

    leads = [lead(engine(maps, alpha=10.0**e)) for e in (-4, -3, -2, -1, 0)]
    assert leads == sorted(leads, reverse=True)
    mo.vstack([
        say(f"""
            ## On a photograph

            Eight filters find edges, each turned by 45° from the one before, and a ReLU keeps what is positive. These
            are eight channels, of which four are shown: above before the normalisation and below after it, with α = 1,
            each row on its own scale of grey. The strongest response is {lead(maps):.1f} times the mean one before, and
            {lead(normed):.1f} times after. Where one direction is loud it quietens its neighbours, and faint edges come
            to light.
        """, vi=[f"""
            ## Trên một bức ảnh

            Tám bộ lọc tìm cạnh, mỗi bộ lọc xoay 45° so với bộ lọc trước, và ReLU giữ lại phần dương. Đó là tám kênh, ở
            đây hiện bốn kênh: bên trên là trước khi chuẩn hoá, bên dưới là sau đó, với α = 1, mỗi hàng theo thang xám
            riêng. Phản ứng mạnh nhất gấp {lead(maps):.1f} lần trung bình trước khi chuẩn hoá, và {lead(normed):.1f} lần
            sau đó. Nơi một hướng phản ứng mạnh, nó làm các hướng bên cạnh lặng đi, và những cạnh mờ lộ ra.
        """]),
        picture(draw_maps(), f"Edges of Grace Hopper's face in four directions, above before and below after "
                             f"normalisation. The largest value falls from {maps.max():.2f} to {normed.max():.2f}.",
            vi=f"Các cạnh trên khuôn mặt Grace Hopper theo bốn hướng, bên trên là trước và bên dưới là sau khi chuẩn "
               f"hoá. Giá trị lớn nhất giảm từ {maps.max():.2f} xuống {normed.max():.2f}."),
    ])
    return


@app.cell
def _():
    def normalise(x, axes, mean=True):
        centre = x.mean(axis=axes, keepdims=True) if mean else 0
        return (x - centre) / np.sqrt(((x - centre) ** 2).mean(axis=axes, keepdims=True) + 1e-5)

    def holds():
        """What is said below."""
        random = np.random.default_rng(4)
        pictures = random.normal(3, 2, size=(6, 8, 5, 5))  # (N, C, H, W)
        for axes, with_others in (((0, 2, 3), True), ((1, 2, 3), False)):  # batch norm, layer norm
            together, alone = normalise(pictures, axes)[:1], normalise(pictures[:1], axes)
            assert (np.abs(together - alone).max() > 0.1) == with_others
        column = random.normal(size=8)
        ours = ops.local_response_norm(column[None, :, None, None], size=17, alpha=1 / 8, beta=0.5, k=1e-5)
        assert np.allclose(ours.numpy()[0, :, 0, 0], normalise(column, 0, mean=False), rtol=1e-12)

    holds()
    say(r"""
        ## What has replaced it

        Two years later a deeper network was trained with this layer and without it, and it did not help (Simonyan and
        Zisserman 2014, §4.1, arXiv:1409.1556). What is used today has a different aim: it gives the numbers of a layer
        a common size, so that deep networks train fast and steadily. It subtracts a mean μ, divides by a standard
        deviation σ, and lets the network learn a scale γ and a shift β (another β than above):

        $$y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$

        What differs is over which numbers μ and σ are taken:

        - **Batch norm** (Ioffe and Szegedy 2015, arXiv:1502.03167): for each channel, over all pictures of the batch
          and all their pixels. The usual choice in convolutional networks since. A picture's output depends on the
          pictures beside it, so a running mean takes their place when the network is used.
        - **Layer norm** (Ba, Kiros and Hinton 2016, arXiv:1607.06450): for each example, over all its channels. It
          needs no batch, and came into wide use with transformers.
        - **Group norm** (Wu and He 2018, arXiv:1803.08494): for each picture, over its pixels and a group of its
          channels. For small batches, where the mean of a batch is mostly noise.
        - **RMS norm** (Zhang and Sennrich 2019, arXiv:1910.07467): as layer norm, but without subtracting a mean and
          without a shift, y = γ x / √(mean of x² + ε). Cheaper, and found in many large language models.

        Look at the last formula again. With k = ε, β = ½, a window over all channels, and α = 1 divided by their
        number, it *is* the formula of this chapter, but for the learned scale. So its gradient has an own term and
        cross terms, too, and whoever leaves out the cross terms makes the same mistake.
    """, vi=[r"""
        ## Cái gì đã thay thế nó

        Hai năm sau, một mạng sâu hơn được huấn luyện có và không có tầng này, và nó không giúp ích gì (Simonyan và
        Zisserman 2014, §4.1, arXiv:1409.1556). Những gì được dùng ngày nay có mục đích khác: làm cho các số của một
        tầng có cùng độ lớn, để những mạng sâu học nhanh và ổn định. Chúng trừ đi trung bình μ, chia cho độ lệch chuẩn
        σ, rồi để mạng học một hệ số γ và một độ dịch β (β này khác với β ở trên):

        $$y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$

        Chúng khác nhau ở chỗ μ và σ được lấy trên những số nào:

        - **Batch norm** (Ioffe và Szegedy 2015, arXiv:1502.03167): cho từng kênh, trên mọi bức ảnh của lô và mọi điểm
          ảnh của chúng. Từ đó đến nay là lựa chọn thông thường trong các mạng tích chập. Đầu ra của một bức ảnh phụ
          thuộc vào các bức ảnh bên cạnh, nên khi sử dụng mạng, một trung bình trượt thế chỗ chúng.
        - **Layer norm** (Ba, Kiros và Hinton 2016, arXiv:1607.06450): cho từng mẫu, trên mọi kênh của nó. Nó không cần
          lô, và được dùng rộng rãi cùng với transformer.
        - **Group norm** (Wu và He 2018, arXiv:1803.08494): cho từng bức ảnh, trên các điểm ảnh và một nhóm kênh của nó.
          Dành cho lô nhỏ, khi trung bình của lô hầu như chỉ là nhiễu.
        - **RMS norm** (Zhang và Sennrich 2019, arXiv:1910.07467): như layer norm, nhưng không trừ trung bình và không
          có độ dịch, y = γ x / √(trung bình của x² + ε). Rẻ hơn, và có trong nhiều mô hình ngôn ngữ lớn.

        Hãy nhìn lại công thức cuối cùng. Với k = ε, β = ½, cửa sổ phủ mọi kênh, và α = 1 chia cho số kênh, nó *chính
        là* công thức của chương này, chỉ thiếu hệ số được học. Vì vậy gradient của nó cũng có số hạng riêng và số hạng
        chéo, và ai bỏ quên số hạng chéo thì mắc đúng lỗi trên.
    """])
    return


@app.cell
def _(engine, norm, window, x):
    def dividing(x, alpha, n=5):
        return x * (2 + alpha / n * window(x * x, n)) ** -0.75

    def of_x_i(x, alpha=1.0, n=5):
        return x * (2 + alpha * window(np.ones_like(x), n) * x**2) ** -0.75  # the same square, again and again

    assert np.allclose(dividing(x, 5.0), engine(x, alpha=1.0), rtol=1e-12)
    assert np.abs(of_x_i(x) - norm(x, alpha=1.0)[0]).max() > 0.1
    alike = np.full(12, 1.5)
    assert np.allclose(of_x_i(alike)[2:-2], norm(alike, alpha=1.0)[0][2:-2], rtol=1e-12)
    channels = np.random.default_rng(1).normal(size=(96, 4))  # 96 channels of conv1, 4 pixels
    towers = np.concatenate([engine(half, alpha=1.0) for half in np.split(channels, 2)])
    assert abs(1e-4 / 5 - 2e-5) < 1e-12
    touched = np.flatnonzero((np.abs(engine(channels, alpha=1.0) - towers) > 1e-12).any(axis=1))
    assert touched.tolist() == [46, 47, 48, 49]
    say(f"""
        ## If you compare with other programs

        - **α, or α / n?** The paper's text multiplies the sum by α, and so does minicnn. PyTorch, Caffe and the
          authors' own program multiply it by α / n. So what minicnn gives at α, PyTorch gives at α · n: the 10⁻⁴ in the
          files of the program was really 2 · 10⁻⁵. The paper has k = 2, PyTorch and Caffe take 1 unless told.
        - **j, or i?** Some notes print the sum with x(i)² in place of x(j)². Then nobody competes. On twelve channels
          that are all alike both give the same, so test with channels that are not.
        - **Where a tower ends.** The 96 channels of AlexNet's first layer live in two towers of 48, and its
          normalisation stays inside of a tower. Over all 96 at once, channels {", ".join(map(str, touched))} would come
          out differently.
    """, vi=[f"""
        ## Nếu bạn so sánh với các chương trình khác

        - **α, hay α / n?** Bài báo viết rằng tổng được nhân với α, và minicnn cũng làm thế. PyTorch, Caffe và chương
          trình của chính các tác giả nhân nó với α / n. Vậy cái mà minicnn cho với α thì PyTorch cho với α · n: số 10⁻⁴
          trong các tệp của chương trình ấy thật ra là 2 · 10⁻⁵. Bài báo có k = 2, PyTorch và Caffe lấy 1 nếu
          không nói gì thêm.
        - **j, hay i?** Vài ghi chép in tổng với x(i)² thay cho x(j)². Khi đó không ai cạnh tranh cả. Trên mười hai kênh
          giống hệt nhau, hai công thức cho cùng kết quả, nên hãy thử với những kênh không giống nhau.
        - **Tháp kết thúc ở đâu.** 96 kênh của tầng đầu tiên trong AlexNet nằm ở hai tháp (tower), mỗi tháp 48 kênh, và
          việc chuẩn hoá dừng ở ranh giới tháp. Nếu chuẩn hoá cả 96 kênh cùng lúc, các kênh
          {", ".join(map(str, touched))} sẽ ra kết quả khác.
    """])
    return


@app.cell
def _():
    start = '''def backward(gy, x):
    # y = x d^-beta, d = k + alpha window(x²)
    # with alpha = 1, beta = 0.75, k = 2, n = 5
    def window(v):
        near = [v[max(0, i - 2) : i + 3] for i in range(len(v))]
        return np.array([some.sum() for some in near])

    d = 2 + window(x * x)
    y = x * d**-0.75
    gx = gy * d**-0.75
    return gx
'''
    answer = start.replace("    return gx\n", "    gx -= 2 * 0.75 * x * window(gy * y / d)\n    return gx\n")

    def check(backward):
        def normalised(x):
            d = [2 + np.sum(x[max(0, i - 2) : i + 3] ** 2) for i in range(len(x))]
            return x * np.array(d) ** -0.75

        gradcheck(normalised, np.random.default_rng(3).normal(size=12), backward=backward)

    with_cross = "    gx -= 2 * 0.75 * x * window(gy * y / d)\n    return gx\n"
    tries = {
        both("the wrong sign", "sai dấu"): start.replace("    return gx\n", with_cross.replace("-=", "+=")),
        both("only what it costs itself", "chỉ phần của chính nó"): start.replace(
            "    return gx\n", with_cross.replace("window(gy * y / d)", "gy * y / d")),
        both("without the 2", "không có số 2"):
            start.replace("    return gx\n", with_cross.replace("2 * 0.75", "0.75")),
    }
    asked = "backward"
    say("""
        ## Exercise

        This backward has the own term only. Add the cross terms, for all channels at once. Below it stands what
        `gradcheck` says.
    """, vi=["""
        ## Bài tập

        Hàm backward này chỉ có số hạng riêng. Hãy thêm các số hạng chéo, cho mọi kênh cùng lúc. Bên dưới là điều
        `gradcheck` nói.
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
