"""Trains the network on a CPU and exports it: see README.md.

    python train.py --data cifar10.zip

A run that was stopped goes on from its last whole epoch when the same command is given again.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

import data
from export import to_onnx
from network import Cnn, normalize

BATCH = 128
PEAK_LEARNING_RATE = 0.1
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
CROP_PADDING = 4


def main() -> None:
    options = parse_options()
    work = options.work / "smoke" if options.smoke else options.work
    work.mkdir(parents=True, exist_ok=True)
    images, labels = load(options, "train", work)
    test_images, test_labels = load(options, "test", work)

    # PyTorch's own choice counts physical cores, which on a virtual machine can be half of those it has.
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(options.seed)
    training = Training(images, labels, {"epochs": options.epochs, "seed": options.seed, "images": len(labels)})
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        training.resume(checkpoint)

    while training.epoch < training.recipe["epochs"]:
        started = time.monotonic()
        loss, accuracy = training.run_epoch()
        training.seconds += time.monotonic() - started
        test_accuracy = accuracies(training.network, test_images, test_labels)["all"]
        print(
            f"epoch {training.epoch}/{training.recipe['epochs']}  loss {loss:.3f}  train {accuracy:.2%}  "
            f"test {test_accuracy:.2%}  {training.seconds / 60:.1f} min",
            flush=True,
        )
        training.save(checkpoint)

    onnx.save(to_onnx(training.network.eval()), work / "model.onnx")
    report = {
        "testImages": len(test_labels),
        "accuracy": accuracies(training.network, test_images, test_labels),
        "trainingMinutes": round(training.seconds / 60, 1),
        **training.recipe,
    }
    (work / "accuracy.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"{work / 'model.onnx'}: {report['accuracy']['all']:.2%} of {len(test_labels)} test images")


def parse_options() -> argparse.Namespace:
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description="Trains the CIFAR-10 example network and exports it to ONNX.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="zip or folder: {train,test}/<class>/*.jpg")
    parser.add_argument("--work", type=pathlib.Path, default=here / "work", help="folder of the results (%(default)s)")
    parser.add_argument("--epochs", type=int, help="default: 15")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="one epoch over 2,000 images, into WORK/smoke")
    options = parser.parse_args()
    if options.epochs is None:
        options.epochs = 1 if options.smoke else 15
    return options


def load(options: argparse.Namespace, split: str, work: pathlib.Path) -> tuple[Tensor, Tensor]:
    per_class = {"train": 200, "test": 100}[split] if options.smoke else None
    images, labels = data.load(options.data, split, work / f"{split}.bin", per_class)
    return torch.from_numpy(images), torch.from_numpy(labels)


class Training:
    """SGD with Nesterov momentum under a one-cycle learning rate, on flipped and shifted images."""

    def __init__(self, images: Tensor, labels: Tensor, recipe: dict[str, int]):
        # Channels last: oneDNN's convolutions are faster so, and a crop is a copy of whole pixels.
        padded = F.pad(images, [CROP_PADDING] * 4, mode="reflect")
        self.images = padded.permute(0, 2, 3, 1).contiguous()
        self.labels = labels
        self.recipe = recipe
        self.network = Cnn().to(memory_format=torch.channels_last)
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0}],
            lr=PEAK_LEARNING_RATE,
            momentum=0.9,
            nesterov=True,
        )
        self.steps = len(labels) // BATCH
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=PEAK_LEARNING_RATE,
            total_steps=recipe["epochs"] * self.steps,
            pct_start=0.25,
            div_factor=10,
            final_div_factor=1000,
        )
        self.bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.epoch = 0
        self.seconds = 0.0

    def run_epoch(self) -> tuple[float, float]:
        """Returns the mean loss and the accuracy over the epoch, as they were while it learned."""
        self.network.train()
        order = torch.randperm(len(self.labels))
        loss_sum = right = 0.0
        for step in range(self.steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                logits = self.network(normalize(self.augmented(chosen))).float()
            loss = F.cross_entropy(logits, self.labels[chosen], label_smoothing=LABEL_SMOOTHING)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            loss_sum += loss.item()
            right += (logits.argmax(1) == self.labels[chosen]).sum().item()
            if sys.stdout.isatty():
                print(f"epoch {self.epoch + 1}  step {step + 1}/{self.steps}  loss {loss.item():.3f}", end="\r")
        self.epoch += 1
        return loss_sum / self.steps, right / (self.steps * BATCH)

    def augmented(self, chosen: Tensor) -> Tensor:
        """Images [n,3,32,32], each shifted by up to four pixels and half of them mirrored."""
        n = len(chosen)
        rows = torch.randint(0, 2 * CROP_PADDING + 1, (n, 1)) + torch.arange(32)
        columns = torch.randint(0, 2 * CROP_PADDING + 1, (n, 1)) + torch.arange(32)
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
        crops = self.images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return crops.permute(0, 3, 1, 2)

    def save(self, path: pathlib.Path) -> None:
        state = {
            "recipe": self.recipe,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: pathlib.Path) -> None:
        state = torch.load(path)
        if state["recipe"] != self.recipe:
            raise SystemExit(f"{path} was made with {state['recipe']}, not {self.recipe}: remove it to start anew")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        print(f"{path}: {self.epoch} of {self.recipe['epochs']} epochs are done")


def accuracies(network: Cnn, images: Tensor, labels: Tensor) -> dict[str, float]:
    """The share of right answers, by class and in `all`."""
    network.eval()
    with torch.no_grad():
        answers = torch.cat([
            network(normalize(some).contiguous(memory_format=torch.channels_last)).argmax(1)
            for some in images.split(500)
        ])
    right = (answers == labels).double()
    by_class = {name: right[labels == label].mean().item() for label, name in enumerate(data.LABELS)}
    return {"all": right.mean().item()} | by_class


if __name__ == "__main__":
    main()
