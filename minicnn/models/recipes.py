"""How AlexNet is started and taught: what differs from one set of pictures to another, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn import Conv2d, Linear, Module, eval_mode, forward_hook, initialise
from ..nn.layers import he
from ..optim import SGD
from ..schedule import SCHEDULES, Schedule, StepSchedule, WarmUp
from .variants import VARIANTS

__all__ = ["FINETUNE", "RECIPES", "Recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """deviation: σ of the weights, N(0, σ²); None for He's σ² = 2 / fan-in. deviations: of layers that have another.
    biased: the layers whose biases start at ``bias``; all others start at 0.
    from_data: then, on a first batch, the outputs of every layer are given mean 0 and deviation 1, see ``standardise``.
    unit_input: pixels are divided by their deviation over the training set, or else stay 0–255 less the mean.
    schedule: of the learning rate, its name in ``SCHEDULES``. drops: where steps were published, the epochs at whose
        start the rate was divided by 10.
    epochs, steps: how long it takes by itself, see ``epochs_for``.
    lr_for: the batch size for which lr is meant; with others it is in proportion. None: lr is for whatever batch size.
    warm_up: so many epochs, or a fraction of one, in which the rate rises, see ``WarmUp``.
    noise: the deviation of the colour noise, in units of the pictures' own along each axis.
    rates, decays: factors on the rate, and on the weight decay, of some layers. Rates and batch size as in ``SGD``;
        inverted_dropout as in ``Dropout``.
    """

    deviation: float | None
    biased: tuple[str, ...]
    from_data: bool
    unit_input: bool
    inverted_dropout: bool
    batch_size: int
    epochs: int
    lr: float
    schedule: str
    steps: int = 0
    drops: tuple[int, ...] = ()
    lr_for: int | None = None
    warm_up: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0005
    bias_lr: float = 1.0
    decay_biases: bool = True
    bias: float = 1.0
    deviations: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.1
    rates: Mapping[str, float] = field(default_factory=dict)
    decays: Mapping[str, float] = field(default_factory=dict)

    def start(self, model: Module, images: np.ndarray, generator: np.random.Generator | None = None) -> None:
        """Draw the model's weights and set its biases. images: a batch of what it is going to learn from. generator: as
        for layers."""

        def deviation(name: str, weight: Tensor) -> float:
            own = [σ for layer, σ in self.deviations.items() if layer in name]
            return own[0] if own else he(weight.shape) if self.deviation is None else self.deviation

        def bias(name: str) -> float:
            return self.bias if any(layer in name for layer in self.biased) else 0.0

        initialise(model, deviation, bias, generator)
        if self.from_data:
            standardise(model, images)

    def optimiser(self, model: Module) -> SGD:
        """SGD with the recipe's numbers, for all parameters of the model. Raises ValueError where that lacks a layer of
        which the recipe has a factor."""
        parameters = dict(model.named_parameters())

        def of_parameters(factors: Mapping[str, float]) -> dict[str, float]:
            """Of layers by their names alone: conv1 is that of both towers."""
            if unknown := [layer for layer in factors if not any(layer in name.split(".") for name in parameters)]:
                raise ValueError(f"Recipe: it has a factor for {unknown[0]!r}, of which the model has no parameter")
            return {name: factor for name in parameters for layer, factor in factors.items()
                    if layer in name.split(".")}

        return SGD(parameters, self.lr, self.momentum, self.weight_decay, self.bias_lr, self.decay_biases,
                   of_parameters(self.rates), decays=of_parameters(self.decays))

    def rate(self, batch_size: int) -> float:
        """The learning rate for batches of this size, the highest of a run: by the linear rule where ``lr_for`` is
        given (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", p. 5; Goyal et al.
        2017, "Accurate, large minibatch SGD", §2.1)."""
        return self.lr * batch_size / self.lr_for if self.lr_for else self.lr

    def epochs_for(self, pictures: int, batch_size: int) -> int:
        """As many epochs as it takes to come to ``steps`` steps, ``epochs`` at least. A network learns in steps: of a
        small set an epoch has few."""
        return max(self.epochs, math.ceil(self.steps / max(1, math.ceil(pictures / batch_size))))

    def rising(self, lr: float, epochs: float) -> WarmUp:
        """How the rate comes to ``lr`` in so many epochs: from the recipe's, that for a batch of ``lr_for``, or from
        almost 0."""
        return WarmUp(epochs, min(1.0, self.lr / lr) if self.lr_for and lr else 0.0)

    def learning_rate(self, schedule: str, lr: float, epochs: int) -> Schedule:
        """The schedule of this name for so many epochs. Published steps are stretched with the epochs, of which the
        first begins with ``lr``, however few they are."""
        if schedule == "step" and self.drops:
            return StepSchedule(lr, tuple(max(1, round(drop * epochs / self.epochs)) for drop in self.drops))
        return SCHEDULES[schedule](lr, epochs)

    def scale(self, deviation: float) -> float:
        """The factor of the pixels, less their mean; deviation: theirs over the training set."""
        return 1 / deviation if self.unit_input else 1.0


def standardise(model: Module, images: np.ndarray) -> None:
    """Scale the weights and set the biases of every convolution and linear layer so that, over the batch ``images``,
    each of its outputs has mean 0 and deviation 1, and of the last layer deviation 0.1, so that training starts from
    a loss of ln(classes) (after Krähenbühl et al. 2016, "Data-dependent initializations of convolutional neural
    networks").

    With random weights alone, what all images have in common grows from ReLU to ReLU until it drowns what tells them
    apart, and the loss sits at ln(classes) until it is unlearned.
    """
    layers = [module for module in model.modules() if isinstance(module, (Conv2d, Linear))]

    def scaled(layer: Module, y: Tensor) -> Tensor | None:
        """What the layer is going to give, for the next one to see."""
        if layer not in layers:
            return None
        with y.device:
            axes = (0, *range(2, y.ndim))
            mean, deviation = y.data.mean(axes, keepdims=True), y.data.std(axes, keepdims=True) + 1e-3
            deviation *= 10 if layer is layers[-1] else 1
            weight, bias = (parameter.writable() for parameter in (layer.weight, layer.bias))
            weight /= deviation.reshape(-1, *[1] * (weight.ndim - 1))
            bias -= mean.reshape(-1)
            bias /= deviation.reshape(-1)
            return Tensor((y.data - mean) / deviation, device=y.device)

    with no_grad(), eval_mode(model), forward_hook(scaled):
        model(images)


FINETUNE = "finetune"
BIASED = ("conv2", "conv4", "conv5", "fc6", "fc7")
RECIPES = {
    # Krizhevsky et al. 2012, §4.2 and §5, to the letter. On a small set this sits at ln(classes) for a long time.
    "paper": Recipe(deviation=0.01, biased=BIASED, from_data=False, unit_input=False,
                    inverted_dropout=False, batch_size=128, epochs=90, lr=0.01, schedule="plateau"),
    # Learns from the first steps: a signal of the same size in every layer, for lack of a million pictures. The rate
    # falls by plan and not by the validation set, whose few pictures tie, or go up and down by chance; and the fewer
    # pictures there are, the more often each is seen. What that is worth: benchmarks/small_sets.py.
    "small": Recipe(deviation=None, biased=(), from_data=True, unit_input=True, inverted_dropout=True, batch_size=32,
                    epochs=5, lr=0.002, schedule="cosine", steps=300),
    # Net 145 of the authors' program (computerhistory/AlexNet-Source-Code layers/layers-145.cfg, layer-params-145.cfg).
    # What was changed by hand is left out: biases kept their rate when that of weights fell, conv1 stood still at the
    # end, and colour noise stopped at epoch 67.
    "source2012": Recipe(deviation=0.01, deviations=dict.fromkeys(("conv3", "conv4", "conv5"), 0.03), biased=BIASED,
                         from_data=False, unit_input=False, inverted_dropout=False, batch_size=128, epochs=91, lr=0.01,
                         schedule="step", drops=(25, 51, 79), bias_lr=2.0, decay_biases=False),
    # BVLC/caffe models/bvlc_alexnet/train_val.prototxt and solver.prototxt: the rate falls every 100,000 of 450,000
    # steps of 256 of 1,281,167 pictures. A bias of 1 had left the loss where it was: BVLC/caffe#327.
    "caffe": Recipe(deviation=0.01, deviations={"fc6": 0.005, "fc7": 0.005}, biased=BIASED, bias=0.1, from_data=False,
                    unit_input=False, inverted_dropout=True, batch_size=256, epochs=90, lr=0.01, schedule="step",
                    drops=(20, 40, 60, 80), bias_lr=2.0, decay_biases=False, noise=0.0),
    # From a trained network, of which the last layer alone is drawn, see finetune.py; its scale of the pixels and its
    # form of dropout are kept, whatever stands here. BVLC/caffe models/finetune_flickr_style/solver.prototxt and
    # train_val.prototxt, but for the schedule: there the rate falls every 20,000 of 100,000 steps, and a small set is
    # done before the first of them.
    FINETUNE: Recipe(deviation=0.01, biased=(), from_data=False, unit_input=False, inverted_dropout=True, batch_size=50,
                     epochs=10, lr=0.001, schedule="cosine", bias_lr=2.0, decay_biases=False, noise=0.0,
                     rates={"fc8": 10.0}),
}  # fmt: skip
# For batches of many machines: the paper's rate for 128, by the linear rule, which took Krizhevsky to 1,024 (2014,
# arXiv 1404.5997), and a warm-up of 5 epochs (Goyal et al. 2017, §2.2). Schedule and epochs are those of You, Gitman &
# Ginsburg 2017 (arXiv 1708.03888), where AlexNet fails beyond that by such rates, and not up to 8,192 by LARS. LARS
# has rates of its own: the script takes --lars together with --lr.
RECIPES["large"] = replace(RECIPES["paper"], batch_size=1024, lr_for=128, warm_up=5, epochs=100, schedule="poly")
# For tens of thousands of photographs, and a night: the paper's rate, from weights as He drew them. With every layer's
# output at deviation 1, as in "small", its loss rises beyond 0.002, at which rate it learns slowly: after 240 batches
# of CIFAR-10 at a quarter of the width the loss is 1.85 from this start, and 2.0 from that. Batches of 64, of which two
# cores make almost twice as many an hour as of 128. conv1 has twice the rate of the others and sixty times their weight
# decay: with pixels of deviation 1 its kernels would stay the noise that they were drawn as; photographs have next to
# nothing of it, so no gradient takes it away. It decays to 1 / e in (1 − momentum) / (rate · decay) =
# 0.1 / (0.02 · 0.03) steps, some 170.
RECIPES["photographs"] = replace(RECIPES["small"], from_data=False, deviations={"fc8": 0.005}, batch_size=64, lr=0.01,
                                 epochs=12, steps=0, rates={"conv1": 2.0}, decays={"conv1": 60.0})
# BVLC/caffe models/bvlc_reference_caffenet/train_val.prototxt: but for this the same
RECIPES["caffenet"] = replace(RECIPES["caffe"], bias=1.0)


def recipe_for(pictures: int, variant: str = "blueprint") -> str:
    """The name of the recipe for a training set of so many pictures: from 100,000 on what was published with the
    variant, or else "paper"."""
    return VARIANTS[variant].recipe or "paper" if pictures >= 100_000 else "small"
