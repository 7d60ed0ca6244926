"""Trains the network on a CPU and exports it: see README.md.

    python train.py --data cifar10.zip

A run that was stopped goes on from its last whole epoch when the same command is given again.
"""

import torch

from network import Cnn
from setting import finish, parse_options, prepare
from training import Training

EPOCHS = 15
PEAK_LEARNING_RATE = 0.1


def main() -> None:
    options = parse_options("Trains the CIFAR-10 example network and exports it to ONNX.", epochs=str(EPOCHS))
    options.epochs = options.epochs or EPOCHS
    setting = prepare(options)
    torch.manual_seed(options.seed)
    recipe = setting.recipe | {"peakLearningRate": PEAK_LEARNING_RATE}
    training = Training(Cnn(), setting.images, setting.labels, recipe)
    training.run(setting.work / "checkpoint.pt", setting.test_images, setting.test_labels)
    finish(setting, training, "model", "accuracy")


if __name__ == "__main__":
    main()
