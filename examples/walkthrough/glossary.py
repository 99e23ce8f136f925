"""The terms of the field that the walkthrough uses, in English and Vietnamese; page 15 shows them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GROUPS", "Term"]


class Term(NamedTuple):
    """english, vietnamese: its names. means, nghia: what it is, in either language; {names} in braces are numbers that
    the page computes. chapter: the one that explains it. seen: a word of it that stands there, if not the name."""

    english: str
    vietnamese: str
    chapter: int
    means: str
    nghia: str
    seen: str = ""


GROUPS = {
    ("A network", "Mạng"): [
        Term("unit", "nơ-ron, đơn vị", 0,
             "One number that a layer computes: a weighted sum of its inputs, plus a bias. Mostly an activation "
             "function follows. Many people say neuron.",
             "Một số mà một tầng tính ra: tổng các đầu vào nhân với trọng số, cộng bias. Thường sau đó là một hàm kích "
             "hoạt. Cũng gọi là đơn vị (unit)."),
        Term("layer", "tầng", 0,
             "One stage of a network: it takes the numbers of the stage before and gives its own to the next.",
             "Một chặng của mạng: nhận các số từ chặng trước và trao các số của mình cho chặng sau."),
        Term("weight", "trọng số", 8,
             "A number by which an input is multiplied. Training changes the weights.",
             "Số mà đầu vào được nhân với nó. Huấn luyện là thay đổi các trọng số."),
        Term("bias", "bias, hệ số điều chỉnh", 0,
             "A number that a unit adds to its weighted sum. It is learned, as the weights are.",
             "Số mà một nơ-ron cộng thêm vào tổng có trọng số của nó. Nó cũng được học như trọng số."),
        Term("parameter", "tham số", 0,
             "A weight or a bias: any number of a network that training changes.",
             "Trọng số hoặc bias: mọi số trong mạng mà quá trình huấn luyện thay đổi."),
        Term("activation function", "hàm kích hoạt", 8,
             "A function of one number that stands between two layers, such as ReLU or tanh. Without it, all layers "
             "together could do no more than a single one.",
             "Hàm của một số, đứng giữa hai tầng, như ReLU hay tanh. Không có nó thì mọi tầng gộp lại cũng chỉ làm "
             "được như một tầng duy nhất.", "activation"),
        Term("ReLU", "ReLU, hàm chỉnh lưu", 8,
             "The activation function max(x, 0): what is positive passes, the rest becomes 0.",
             "Hàm kích hoạt max(x, 0): số dương được đi qua, còn lại thành 0."),
        Term("fully connected layer", "tầng kết nối đầy đủ", 10,
             "A layer in which every unit reads every number of the layer before. It is also called linear or dense.",
             "Tầng mà mỗi nơ-ron đọc mọi số của tầng trước. Còn gọi là tầng tuyến tính (linear) hay tầng dày đặc "
             "(dense).", "fully connected"),
        Term("logits", "logit", 0,
             "The outputs of the last layer, one for each class, before softmax. They can be any numbers.",
             "Các đầu ra của tầng cuối, mỗi lớp phân loại một số, trước khi qua softmax. Chúng có thể là số bất kỳ."),
        Term("softmax", "softmax", 0,
             "It turns logits into probabilities: each becomes eˣ, divided by the sum of all. The logits 1, 2 and 3 "
             "become {softmax}.",
             "Biến logit thành xác suất: mỗi số thành eˣ chia cho tổng của tất cả. Các logit 1, 2 và 3 trở thành "
             "{softmax}."),
        Term("label", "nhãn", 12,
             "The right answer for a picture: the number of its class.",
             "Câu trả lời đúng cho một bức ảnh: số thứ tự của lớp mà nó thuộc về."),
        Term("top-1, top-5", "top-1, top-5", 10,
             "The share of pictures whose label is the network's first guess, or is among its first five. An error "
             "rate is the share where it is not.",
             "Tỉ lệ ảnh mà nhãn là dự đoán đầu tiên của mạng, hoặc nằm trong năm dự đoán đầu. Tỉ lệ lỗi là phần còn "
             "lại.", "top-5"),
    ],
    ("Gradients", "Gradient"): [
        Term("loss", "hàm mất mát", 0,
             "One number that says how wrong a network is. Training makes it smaller.",
             "Một con số cho biết mạng sai đến mức nào. Huấn luyện là làm cho nó nhỏ đi."),
        Term("cross-entropy", "entropy chéo", 3,
             "The usual loss for classes: −ln of the probability that the network gives to the label. Whoever guesses "
             "among ten classes pays ln 10 = {ln10:.3f}.",
             "Hàm mất mát thường dùng khi phân loại: −ln của xác suất mà mạng gán cho nhãn. Ai đoán mò giữa mười lớp "
             "thì phải trả ln 10 = {ln10:.3f}.", "cross_entropy"),
        Term("gradient", "gradient, độ dốc", 2,
             "Of every number of a network, how fast the loss grows when that number grows. It has the shape of what "
             "it is the gradient of.",
             "Với mỗi số trong mạng: mất mát tăng nhanh đến mức nào khi số ấy tăng. Gradient có cùng kích thước với "
             "thứ mà nó là gradient."),
        Term("`gy`, `gx`, `gw`, `gb`", "`gy`, `gx`, `gw`, `gb`", 0,
             "The gradients of the output y of a layer, of its input x, of its weights w and of its bias b. A "
             "backward is handed the first and computes the others.",
             "Gradient của đầu ra y của một tầng, của đầu vào x, của trọng số w và của bias b. Hàm backward nhận cái "
             "đầu tiên và tính những cái còn lại.", "gy"),
        Term("chain rule", "quy tắc dây chuyền, đạo hàm của hàm hợp", 0,
             "Slopes along a road are multiplied: if y grows 3 times as fast as x, and z twice as fast as y, then z "
             "grows 6 times as fast as x. Where several roads lead from x to z, their products are added.",
             "Độ dốc dọc một con đường thì nhân với nhau: nếu y tăng nhanh gấp 3 lần x, và z nhanh gấp đôi y, thì z "
             "tăng nhanh gấp 6 lần x. Nếu có nhiều con đường từ x đến z thì cộng các tích lại."),
        Term("forward, backward", "lan truyền xuôi, lan truyền ngược", 0,
             "Forward computes the outputs from the inputs. Backward goes the same way in reverse and computes the "
             "gradients; this is backpropagation.",
             "Lan truyền xuôi tính đầu ra từ đầu vào. Lan truyền ngược (backpropagation) đi đúng con đường đó theo "
             "chiều ngược lại và tính các gradient.", "backward"),
        Term("pullback", "ánh xạ kéo ngược, tích vector-Jacobian", 2,
             "The function that turns the gradient of an op's output into that of one of its inputs. In mathematics "
             "it is a vector-Jacobian product, VJP.",
             "Hàm biến gradient của đầu ra một phép toán thành gradient của một đầu vào. Trong toán học đó là tích "
             "vector-Jacobian (VJP).", "carries"),
        Term("tape", "băng ghi", 2,
             "The record of what was computed from what, which backward reads from its end to its beginning. As a "
             "drawing it is the graph of the computation.",
             "Bản ghi cái gì được tính từ cái gì; lan truyền ngược đọc nó từ cuối về đầu. Vẽ ra thì đó là đồ thị tính "
             "toán."),
        Term("broadcasting", "broadcasting, tự giãn kích thước", 3,
             "Where the shapes of two arrays differ, NumPy copies each along the axes that it lacks or in which it has "
             "size 1. The gradient of a number that was copied is the sum over its copies.",
             "Khi hai mảng khác kích thước, NumPy sao chép từng mảng dọc theo những trục mà nó thiếu hoặc có kích "
             "thước 1. Gradient của một số đã được sao chép là tổng trên các bản sao của nó.", "broadcast"),
        Term("central difference", "sai phân trung tâm", 4,
             "A slope by measuring: (f(x + h) − f(x − h)) / 2h for a small h. It needs no formula, but two "
             "evaluations for each number.",
             "Đo độ dốc bằng (f(x + h) − f(x − h)) / 2h với h nhỏ. Không cần công thức, nhưng mỗi số cần hai lần "
             "tính.", "difference"),
        Term("gradcheck", "kiểm tra gradient", 4,
             "The test of a backward: its gradients are held against central differences.",
             "Phép thử cho một hàm backward: so gradient của nó với sai phân trung tâm."),
        Term("kink", "điểm gãy", 4,
             "A place where a function has no slope, as ReLU has at 0. Differences measured across it mislead.",
             "Điểm mà hàm số không có độ dốc, như ReLU tại 0. Sai phân đo ngang qua đó sẽ đánh lừa ta."),
        Term("saturation", "bão hoà", 8,
             "A unit is saturated where its activation function is nearly flat: hardly any gradient gets through.",
             "Một nơ-ron bão hoà ở nơi hàm kích hoạt của nó gần như phẳng: hầu như không gradient nào đi qua được.",
             "saturat"),
        Term("vanishing gradient", "gradient biến mất", 8,
             "A gradient that becomes smaller from layer to layer on its way back, until the first layers learn "
             "nothing.",
             "Gradient nhỏ dần qua từng tầng trên đường về, đến khi các tầng đầu không học được gì.", "vanishing"),
        Term("Hessian", "ma trận Hesse", 12,
             "The table of all second derivatives of the loss. Along a direction it says how much the slope changes, "
             "the curvature, and so how long a step may be.",
             "Bảng tất cả đạo hàm bậc hai của hàm mất mát. Dọc theo một hướng, nó cho biết độ dốc thay đổi bao nhiêu "
             "(độ cong), và do đó bước đi được phép dài đến đâu."),
    ],
    ("Convolution and its neighbours", "Tích chập và các tầng đi cùng"): [
        Term("convolution", "tích chập", 5,
             "A small set of weights slides over a picture, and at each place gives the weighted sum of the pixels "
             "under it.",
             "Một bộ trọng số nhỏ trượt trên bức ảnh, và tại mỗi vị trí cho ra tổng có trọng số của các điểm ảnh nằm "
             "dưới nó."),
        Term("kernel", "kernel, bộ lọc, nhân tích chập", 5,
             "The weights of a convolution that belong to one output map; also called filter. In programming for GPUs "
             "a kernel is a function that runs on the GPU.",
             "Các trọng số của tích chập ứng với một bản đồ đầu ra; còn gọi là bộ lọc (filter). Trong lập trình GPU, "
             "kernel là một hàm chạy trên GPU."),
        Term("channel", "kênh", 5,
             "One of the layers of numbers that a picture is made of: red, green and blue at the input, later one for "
             "each kernel.",
             "Một trong các lớp số tạo nên ảnh: đỏ, lục, lam ở đầu vào; về sau mỗi kernel cho một kênh."),
        Term("feature map", "bản đồ đặc trưng", 5,
             "One channel of a layer's output: where in the picture its kernel has found what it looks for.",
             "Một kênh trong đầu ra của một tầng: kernel của nó đã tìm thấy thứ nó cần ở chỗ nào trong ảnh.", " map"),
        Term("stride", "bước nhảy", 5,
             "By how many pixels the window moves on between two places.",
             "Số điểm ảnh mà cửa sổ dịch đi giữa hai vị trí liên tiếp."),
        Term("padding", "padding, đệm viền", 5,
             "Zeros that are laid around a picture, so that windows reach its edge.",
             "Các số không được thêm quanh bức ảnh để cửa sổ với tới được mép ảnh."),
        Term("im2col, col2im", "im2col, col2im", 5,
             "im2col copies every window into a column, so that a convolution becomes one matrix product. col2im is "
             "its backward: it adds the columns back into the picture.",
             "im2col chép mỗi cửa sổ thành một cột, nhờ đó tích chập trở thành một phép nhân ma trận. col2im là chiều "
             "ngược của nó: cộng các cột trở lại vào ảnh.", "im2col"),
        Term("max-pooling", "gộp cực đại", 6,
             "Of each window only the largest number is kept. Backwards, that number alone gets the gradient.",
             "Mỗi cửa sổ chỉ giữ số lớn nhất. Khi lan truyền ngược, chỉ số đó nhận gradient.", "pooling"),
        Term("local response normalisation, LRN", "chuẩn hoá phản ứng cục bộ, LRN", 7,
             "Every number is divided by a measure of how loud its neighbours are, the same place in nearby channels.",
             "Mỗi số được chia cho độ lớn của các số lân cận, tức cùng vị trí ở những kênh gần đó.", "normalis"),
        Term("dropout", "dropout, tắt ngẫu nhiên", 9,
             "In each training step a random part of the units is switched off, so that none can rely on another.",
             "Ở mỗi bước huấn luyện, một phần nơ-ron bị tắt ngẫu nhiên, để không nơ-ron nào ỷ lại vào nơ-ron khác."),
        Term("tower", "tháp", 10,
             "One of the two halves of AlexNet, each on a device of its own. They exchange numbers in few places "
             "only.",
             "Một trong hai nửa của AlexNet, mỗi nửa nằm trên một thiết bị. Chúng chỉ trao đổi số liệu ở vài chỗ."),
        Term("groups", "nhóm", 10,
             "A convolution with two groups is two convolutions side by side: half of the kernels read half of the "
             "channels.",
             "Tích chập với hai nhóm là hai tích chập cạnh nhau: một nửa số kernel đọc một nửa số kênh."),
    ],
    ("Training", "Huấn luyện"): [
        Term("batch", "batch, lô", 0,
             "The pictures that go through the network together in one step.",
             "Những bức ảnh cùng đi qua mạng trong một bước."),
        Term("step", "bước", 0,
             "One round of training: forward, loss, backward, update.",
             "Một vòng huấn luyện: lan truyền xuôi, tính mất mát, lan truyền ngược, cập nhật."),
        Term("epoch", "epoch, lượt qua dữ liệu", 8,
             "One pass over all pictures of the training set.",
             "Một lượt đi qua toàn bộ ảnh của tập huấn luyện."),
        Term("gradient descent", "hạ gradient", 12,
             "Moving every weight a little against its gradient, again and again. With batches drawn at random it is "
             "called stochastic, SGD.",
             "Lặp đi lặp lại việc dịch mỗi trọng số một chút ngược chiều gradient của nó. Khi các lô được chọn ngẫu "
             "nhiên thì gọi là hạ gradient ngẫu nhiên (SGD)."),
        Term("learning rate", "tốc độ học", 0,
             "By how much a gradient is multiplied before it is taken off the weight: how long a step is.",
             "Gradient được nhân với số này trước khi trừ vào trọng số: độ dài của một bước."),
        Term("momentum", "động lượng", 12,
             "A step keeps a part of the step before it, as a ball keeps rolling; usually {momentum:g} of it.",
             "Mỗi bước giữ lại một phần của bước trước, như quả bóng đang lăn; thường là {momentum:g}."),
        Term("weight decay", "suy giảm trọng số", 4,
             "In every step each weight also loses a small share of itself, so that none grows without need.",
             "Ở mỗi bước, trọng số còn mất đi một phần nhỏ của chính nó, để không trọng số nào lớn lên vô cớ.",
             "Weight decay"),
        Term("standard deviation, variance", "độ lệch chuẩn, phương sai", 8,
             "The standard deviation says how far numbers typically lie from their mean; its square is the variance. "
             "N(0, σ²) are random numbers with mean 0 and variance σ².",
             "Độ lệch chuẩn cho biết các số thường cách trung bình bao xa; bình phương của nó là phương sai. N(0, σ²) "
             "là các số ngẫu nhiên có trung bình 0 và phương sai σ².", "standard deviation"),
        Term("He's initialisation", "khởi tạo He", 12,
             "Weights are drawn at random with a spread of √(2 / n) for units of n inputs. With ReLU the signal then "
             "keeps its size from layer to layer.",
             "Trọng số được lấy ngẫu nhiên với độ lệch chuẩn √(2 / n) cho nơ-ron có n đầu vào. Khi dùng ReLU, tín "
             "hiệu nhờ vậy giữ nguyên độ lớn qua các tầng.", "He's"),
        Term("regularisation", "điều chuẩn", 8,
             "Whatever keeps a network from learning its training set by heart: dropout, weight decay, altered "
             "pictures.",
             "Mọi cách ngăn mạng học thuộc lòng tập huấn luyện: dropout, suy giảm trọng số, biến đổi ảnh."),
        Term("recipe", "công thức huấn luyện", 12,
             "How a network is started and taught: the weights it starts from, the learning rate, the batch size and "
             "the like.",
             "Cách khởi tạo và huấn luyện một mạng: trọng số ban đầu, tốc độ học, kích thước lô và những thứ tương "
             "tự."),
        Term("ImageNet, ILSVRC", "ImageNet, ILSVRC", 14,
             "Millions of photographs with their classes, and the yearly contest that was held on 1000 of these.",
             "Hàng triệu bức ảnh kèm lớp của chúng, và cuộc thi hằng năm trên 1000 lớp trong số đó.", "ImageNet"),
        Term("seed", "hạt giống ngẫu nhiên", 8,
             "The number from which all random numbers of a run follow. The same seed gives the same run.",
             "Số sinh ra mọi số ngẫu nhiên của một lần chạy. Cùng hạt giống thì cùng kết quả."),
        Term("rank", "rank, một trong nhiều tiến trình", 10,
             "One of several processes that train a network together.",
             "Một trong nhiều tiến trình cùng huấn luyện một mạng."),
    ],
    ("Numbers in a computer", "Số trong máy tính"): [
        Term("float32, float64", "số thực độ chính xác đơn, kép", 4,
             "Numbers of 4 and 8 bytes, single and double precision. Next to 1 they lie {eps32:.1g} and {eps64:.1g} "
             "apart.",
             "Số thực 4 và 8 byte, độ chính xác đơn và kép. Quanh số 1, chúng cách nhau {eps32:.1g} và {eps64:.1g}.",
             "float32"),
        Term("rounding", "làm tròn", 4,
             "Every result is rounded to the next number that there is. In double precision 0.1 + 0.2 is {sum!r}.",
             "Mỗi kết quả được làm tròn đến số gần nhất có thể biểu diễn. Với độ chính xác kép, 0.1 + 0.2 là {sum!r}.",
             "round"),
        Term("overflow", "tràn số", 4,
             "A result that is too large for its type: it becomes ∞.",
             "Kết quả quá lớn so với kiểu số: nó trở thành ∞."),
        Term("batch-last order", "thứ tự lô sau cùng", 5,
             "In memory the same pixel of all pictures of a batch stands side by side: the batch runs fastest.",
             "Trong bộ nhớ, cùng một điểm ảnh của mọi bức ảnh trong lô nằm cạnh nhau: chỉ số lô chạy nhanh nhất.",
             "batch"),
        Term("device", "thiết bị", 10,
             "Where an array lives: the processor's memory or that of one GPU.",
             "Nơi một mảng cư trú: bộ nhớ của bộ xử lý hoặc của một GPU."),
        Term("counted random numbers", "số ngẫu nhiên theo bộ đếm", 9,
             "Random numbers that are a function of a counter, here Philox: any of them can be computed again.",
             "Số ngẫu nhiên là hàm của một bộ đếm, ở đây là Philox: số nào cũng có thể tính lại được.", "counted"),
    ],
}
