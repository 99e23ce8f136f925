"""What mypy must see before a program runs: each line below that ends in `# wrong`, and no other."""

import numpy as np

import minicnn
from minicnn import Tensor, cpu, models, nn, ops, optim
from minicnn.kernels.relu import relu

x = Tensor(np.ones((2, 3, 8, 8), np.float32), requires_grad=True)
w = Tensor(np.ones((4, 3, 3, 3), np.float32))
net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
y = ops.conv2d(x, w, padding=((0, 1), (0, 1)), stride=(1, 2)).relu()
loss = ops.cross_entropy(net(x), [1, 2])
(loss * 2 + 1).sum().backward()
optimiser = optim.SGD(net.named_parameters(), lr=0.1)
optimiser.step()
np.exp(x)
minicnn.gradcheck(ops.relu, x.numpy(), elements=10).error.hex()
minicnn.gradcheck.layers(net, x, loss=lambda y: y.sum()).kinks.items()
minicnn.gradcheck.torch(abs, x.numpy(), seed=1).error.hex()
minicnn.gradcheck.assert_gradients(np.square, x.numpy(), backward=lambda gy, x: 2 * x * gy)
with minicnn.no_grad(), cpu(1):
    kept: list[str] = [name for name, _ in net.named_parameters()]

x.reshpe(3)  # wrong
x.reshape(3).relu().sums()  # wrong
x.T.shape.append(1)  # wrong
ops.conv2d(x, w, strides=2)  # wrong
ops.conv2d(x, w, padding="same")  # wrong
ops.conv2d(x)  # wrong
ops.max_pool2d(x, 3)  # wrong
ops.softmax(x, axis="last")  # wrong
ops.dropout(x, [1, 2], p="half")  # wrong
ops.leaky_relu(x)  # wrong
x.to(x.numpy())  # wrong
Tensor([1.0], device="cpu")  # wrong
nn.Conv2d(3, 4)  # wrong
nn.Conv2d(3, 4, 3, bias=False)  # wrong
nn.Linear("256", 10)  # wrong
nn.Conv2d(3, 4, 3, generator=7)  # wrong
net.forward_hook(print)  # wrong
models.alexnet(devices=cpu(0))  # wrong
models.alexnet(klasses=10)  # wrong
optim.SGD(net.named_parameters(), rate=0.1)  # wrong
optimiser.step(loss)  # wrong
loss.backward().sum()  # wrong
size: int = x.shape  # wrong
minicnn.manual_seed("seven")  # wrong
minicnn.gradcheck(ops.relu, x, elements="all")  # wrong
minicnn.gradcheck.layers(net, x, tolerance="small")  # wrong
minicnn.gradcheck.layer(net, x)  # wrong
relu.plane(0, 1, x.numpy(), x.numpy())  # wrong
with minicnn.no_grad:  # wrong
    pass
