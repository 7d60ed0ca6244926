"""What the scripts that train have in common: their options, their data, and what they leave."""

import argparse
import dataclasses
import json
import os
import pathlib

import onnx
import torch
from torch import Tensor

import data
from export import to_onnx
from training import Training, accuracies


@dataclasses.dataclass
class Setting:
    work: pathlib.Path
    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    recipe: dict


def parse_options(description: str, epochs: str, **more: dict) -> argparse.Namespace:
    """`epochs` says what is done without the option, which is None then. `more` are options of the script's own, by name, as `add_argument` takes them."""
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="zip or folder: {train,test}/<class>/*.jpg")
    parser.add_argument("--work", type=pathlib.Path, default=here / "work", help="folder of the results (%(default)s)")
    parser.add_argument("--epochs", type=int, help=f"default: {epochs}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="one epoch over 2,000 images, into WORK/smoke")
    for name, settings in more.items():
        parser.add_argument(f"--{name}", **settings)
    options = parser.parse_args()
    if options.smoke and options.epochs is None:
        options.epochs = 1
    return options


def prepare(options: argparse.Namespace) -> Setting:
    """Decodes the data, and lets PyTorch use every core."""
    work = options.work / "smoke" if options.smoke else options.work
    work.mkdir(parents=True, exist_ok=True)
    # PyTorch's own choice counts physical cores, which on a virtual machine can be half of those it has.
    torch.set_num_threads(os.cpu_count() or 1)
    images, labels = _load(options, "train", work)
    test_images, test_labels = _load(options, "test", work)
    recipe = {"epochs": options.epochs, "seed": options.seed, "images": len(labels)}
    return Setting(work, images, labels, test_images, test_labels, recipe)


def _load(options: argparse.Namespace, split: str, work: pathlib.Path) -> tuple[Tensor, Tensor]:
    per_class = {"train": 200, "test": 100}[split] if options.smoke else None
    images, labels = data.load(options.data, split, work / f"{split}.bin", per_class)
    return torch.from_numpy(images), torch.from_numpy(labels)


def finish(setting: Setting, training: Training, name: str, report_name: str) -> None:
    """Exports the network, and writes its accuracy beside it."""
    file = setting.work / f"{name}.onnx"
    onnx.save(to_onnx(training.network.eval()), file)
    report = {
        "testImages": len(setting.test_labels),
        "accuracy": accuracies(training.network, setting.test_images, setting.test_labels),
        "trainingMinutes": round(training.seconds / 60, 1),
        **training.recipe,
    }
    (setting.work / f"{report_name}.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"{file}: {report['accuracy']['all']:.2%} of {len(setting.test_labels)} test images")
