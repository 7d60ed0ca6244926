"""The network: two convolutions, two fully connected layers, 4.28 million weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# One offset and one scale for all channels: so the preprocessing is a single DequantizeLinear on the uint8 pixels,
# exact in float32, and an int8 network takes the pixels as they come.
PIXEL_ZERO = 121
PIXEL_SCALE = 1 / 64


def normalize(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 of about -1.9..2.1"""
    return (pixels.float() - PIXEL_ZERO) * PIXEL_SCALE


class Cnn(nn.Module):
    """Normalized images [N,3,32,32] -> logits [N,10].

    The batch norms and dropout serve the training alone: the export folds the former into the layers before them.
    """

    def __init__(self, dropout: float = 0.3):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv2, self.norm2 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
        self.fc1, self.norm3 = nn.Linear(128 * 8 * 8, 512), nn.BatchNorm1d(512)
        self.fc2 = nn.Linear(512, 10)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        # ReLU and max pooling commute; pooling first leaves a quarter of the work to ReLU.
        x = F.relu(F.max_pool2d(self.norm1(self.conv1(x)), 2))
        x = F.relu(F.max_pool2d(self.norm2(self.conv2(x)), 2))
        x = F.dropout2d(x, self.dropout / 4, self.training)
        # `contiguous`: the convolutions run channels-last, the weights of fc1 count channels first.
        x = torch.flatten(x.contiguous(), 1)
        x = F.dropout(F.relu(self.norm3(self.fc1(x))), self.dropout, self.training)
        return self.fc2(x)
