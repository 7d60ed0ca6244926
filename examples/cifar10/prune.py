"""Structured pruning: whole channels and neurons go, so that what is left is a smaller network, and not one full of zeros."""

import torch
from torch import Tensor, nn

from network import Cnn


def pruned(network: Cnn, channels: tuple[int, int], hidden: int) -> Cnn:
    """A network of the strongest channels and neurons of `network`.

    The strength of a channel is how strongly it is made, times how strongly it is read.
    """
    first, second = network.conv1.weight, network.conv2.weight
    # The neurons of fc1 read each channel at 64 places.
    dense = network.fc1.weight.unflatten(1, (second.shape[0], 64))
    with torch.no_grad():
        keep1 = _strongest(_made(network.conv1, network.norm1) * second.pow(2).sum((0, 2, 3)).sqrt(), channels[0])
        keep2 = _strongest(_made(network.conv2, network.norm2) * dense.pow(2).sum((0, 2)).sqrt(), channels[1])
        keep3 = _strongest(_made(network.fc1, network.norm3) * network.fc2.weight.norm(dim=0), hidden)
    smaller = Cnn(channels, hidden, dropout=0.2)
    weights = {
        "conv1.weight": first[keep1],
        "conv1.bias": network.conv1.bias[keep1],
        "conv2.weight": second[keep2][:, keep1],
        "conv2.bias": network.conv2.bias[keep2],
        "fc1.weight": dense[keep3][:, keep2].flatten(1),
        "fc1.bias": network.fc1.bias[keep3],
        "fc2.weight": network.fc2.weight[:, keep3],
        "fc2.bias": network.fc2.bias,
    }
    for name, norm, keep in (
        ("norm1", network.norm1, keep1),
        ("norm2", network.norm2, keep2),
        ("norm3", network.norm3, keep3),
    ):
        weights |= {
            f"{name}.{key}": value[keep] if value.ndim else value for key, value in norm.state_dict().items()
        }
    smaller.load_state_dict(weights)
    return smaller


def _made(layer: nn.Module, norm: nn.Module) -> Tensor:
    """How strongly each channel is made: the norm of its weights, and what the batch norm makes of that."""
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return layer.weight.flatten(1).norm(dim=1) * gain.abs()


def _strongest(strength: Tensor, count: int) -> Tensor:
    return strength.argsort(descending=True)[:count].sort().values
