"""The network: two convolutions, two fully connected layers, 4.28 million weights. And a small one that learns from it."""

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

    def __init__(self, channels: tuple[int, int] = (64, 128), hidden: int = 512, dropout: float = 0.3):
        super().__init__()
        first, second = channels
        self.conv1, self.norm1 = nn.Conv2d(3, first, 3, padding=1), nn.BatchNorm2d(first)
        self.conv2, self.norm2 = nn.Conv2d(first, second, 3, padding=1), nn.BatchNorm2d(second)
        self.fc1, self.norm3 = nn.Linear(second * 8 * 8, hidden), nn.BatchNorm1d(hidden)
        self.fc2 = nn.Linear(hidden, 10)
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


class Student(nn.Module):
    """The same from a sixtieth of the weights: four convolutions, and the mean over each of the last one's channels.

    Without a large layer behind them the convolutions have to do all the work, which they learn from a teacher.
    """

    def __init__(self, channels: tuple[int, int, int, int] = (24, 48, 64, 56)):
        super().__init__()
        inputs = (3, *channels[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in zip(inputs, channels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        self.head = nn.Linear(channels[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = F.relu(norm(conv(x)))
            if i < len(self.convs) - 1:
                x = F.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)))
