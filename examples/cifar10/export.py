"""A trained network as ONNX: uint8 pixels in, probabilities out, batch norms folded, weights stored as float16."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from data import LABELS
from network import PIXEL_SCALE, PIXEL_ZERO, Cnn, Student

# Opset 21 is the first whose QuantizeLinear and DequantizeLinear take every type that quantize.ts writes.
OPSET = 21
IR_VERSION = 10


def to_onnx(network: Cnn | Student) -> onnx.ModelProto:
    """`image` UINT8 [batch,3,32,32] -> `probabilities` FP32 [batch,10]"""
    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def layer(kind: str, x: str, name: str, weight: np.ndarray, bias: np.ndarray, **attributes) -> str:
        # ONNX Runtime folds the Cast at load: half the file, the same speed.
        half = constant(f"{name}.weight.fp16", weight.astype(np.float16))
        weight_name = node("Cast", [half], f"{name}.weight", to=TensorProto.FLOAT)
        return node(kind, [x, weight_name, constant(f"{name}.bias", bias)], name, **attributes)

    def dense(x: str, name: str, linear: torch.nn.Linear) -> str:
        weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
        return layer("Gemm", x, name, weight.T, bias)

    x = node(
        "DequantizeLinear",
        ["image", constant("pixel.scale", np.float32(PIXEL_SCALE)), constant("pixel.zero", np.uint8(PIXEL_ZERO))],
        "pixels",
    )
    is_student = isinstance(network, Student)
    convolutions = (
        list(zip(network.convs, network.norms))
        if is_student
        else [(network.conv1, network.norm1), (network.conv2, network.norm2)]
    )
    for i, (conv, norm) in enumerate(convolutions, start=1):
        x = layer("Conv", x, f"conv{i}", *folded(conv, norm), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = node("Relu", [x], f"relu{i}")
        if not is_student or i < len(convolutions):
            x = node("MaxPool", [x], f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    if is_student:
        x = node("Flatten", [node("GlobalAveragePool", [x], "means")], "flat", axis=1)
        x = dense(x, "head", network.head)
    else:
        x = node("Flatten", [x], "flat", axis=1)
        weight, bias = folded(network.fc1, network.norm3)
        x = node("Relu", [layer("Gemm", x, "fc1", weight.T, bias)], "relu3")
        x = dense(x, "fc2", network.fc2)
    node("Softmax", [x], "probabilities", axis=-1)

    graph = helper.make_graph(
        nodes,
        "cifar10_student" if is_student else "cifar10_cnn",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tensorgate-example"
    )
    helper.set_model_props(model, {"labels": ",".join(LABELS)})
    onnx.checker.check_model(model, full_check=True)
    return model


def folded(layer: torch.nn.Module, norm: torch.nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the one layer that computes what `layer` and, in evaluation, `norm` after it do."""
    with torch.no_grad():
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.ndim - 1))
        own_bias = 0 if layer.bias is None else layer.bias.double()
        bias = (own_bias - norm.running_mean.double()) * gain + norm.bias.double()
        return weight.float().numpy(), bias.float().numpy()
