"""``python -m minicnn export``: a trained network, as other programs can use it."""

from __future__ import annotations

import argparse
from pathlib import Path

from .command_line import Parser, location, new_file

__all__ = ["add_options", "export"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=location, metavar="RUN",
                        help="a run's folder, a checkpoint, torchvision's .pth or .safetensors, Caffe's .caffemodel, "
                             "weights that were exported")
    parser.add_argument("file", type=new_file, metavar="FILE",
                        help="net.onnx: the network, for images of 0 to 255; net.safetensors: its weights, and for "
                             "which pictures they are")
    parser.add_argument("--variant", metavar="NAME", help="what weights of others are, if they do not say")
    parser.add_argument("--mean", type=location, metavar="FILE",
                        help="the mean picture of Caffe's weights, .binaryproto")


def export(parser: Parser, options: argparse.Namespace) -> int:
    """Write the file. Returns 0; what is wrong is one line and status 2."""
    from .checkpoint import CheckpointError
    from .models.classifier import load
    from .models.onnx_export import write_onnx
    from .models.onnx_net import OnnxNet
    from .models.others import IN_THE_GRAPH, facts_of
    from .models.weights import write_weights

    path = Path(options.file)
    if path.suffix not in (".onnx", ".safetensors"):
        parser.error(f"{path} ends in neither .onnx nor .safetensors: say which it is to be")
    try:
        ask = load(options.weights, variant=options.variant, mean=options.mean)
        if isinstance(ask.net, OnnxNet):
            parser.error(f"{options.weights} is ONNX already, a graph and no AlexNet of ours: it cannot be exported")
        shown = ask.shown._asdict() | {"mean": IN_THE_GRAPH, "crop": ask.net.pixels}
        if path.suffix == ".onnx":
            write_onnx(ask.net, path, {"variant": ask.net.variant, "classes": ask.classes, "preprocessing": shown},
                       ask.shown, ask.mean)
        else:
            write_weights(ask.net, path, facts_of(ask.classes, ask.shown, ask.mean))
    except (CheckpointError, ValueError, ImportError, OSError) as error:
        parser.error(str(error))
    print(f"{path}: {ask.net.variant}, {len(ask.classes)} classes")
    return 0
