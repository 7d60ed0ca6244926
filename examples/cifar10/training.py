"""Training on a CPU, with a teacher or without, that goes on where it was stopped."""

import os
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import data
from network import normalize

BATCH = 128
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
CROP_PADDING = 4
# How much softer the answers of a teacher are made, so that what it thinks of the other classes counts too, and what they
# count beside the right answers (Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015).
TEMPERATURE = 3.0
TEACHING = 0.9


class Training:
    """SGD with Nesterov momentum under a one-cycle learning rate, on flipped and shifted images.

    `recipe` says what a run is, and is compared when one goes on: `epochs`, `peakLearningRate`, and whatever else.
    """

    def __init__(
        self, network: nn.Module, images: Tensor, labels: Tensor, recipe: dict, teacher: nn.Module | None = None
    ):
        # Channels last: oneDNN's convolutions are faster so, and a crop is a copy of whole pixels.
        padded = F.pad(images, [CROP_PADDING] * 4, mode="reflect")
        self.images = padded.permute(0, 2, 3, 1).contiguous()
        self.labels = labels
        self.recipe = recipe
        self.network = network.to(memory_format=torch.channels_last)
        self.teacher = None if teacher is None else teacher.eval().to(memory_format=torch.channels_last)
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0}],
            lr=recipe["peakLearningRate"],
            momentum=0.9,
            nesterov=True,
        )
        self.steps = len(labels) // BATCH
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=recipe["peakLearningRate"],
            total_steps=recipe["epochs"] * self.steps,
            pct_start=0.25,
            div_factor=10,
            final_div_factor=1000,
        )
        self.bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.epoch = 0
        self.seconds = 0.0

    def run(self, checkpoint: pathlib.Path, test_images: Tensor, test_labels: Tensor) -> None:
        """Runs what is left of the epochs, and keeps each in `checkpoint`."""
        if checkpoint.exists():
            self.resume(checkpoint)
        while self.epoch < self.recipe["epochs"]:
            started = time.monotonic()
            loss, accuracy = self.run_epoch()
            self.seconds += time.monotonic() - started
            test_accuracy = accuracies(self.network, test_images, test_labels)["all"]
            print(
                f"epoch {self.epoch}/{self.recipe['epochs']}  loss {loss:.3f}  train {accuracy:.2%}  "
                f"test {test_accuracy:.2%}  {self.seconds / 60:.1f} min",
                flush=True,
            )
            self.save(checkpoint)

    def run_epoch(self) -> tuple[float, float]:
        """Returns the mean loss and the accuracy over the epoch, as they were while it learned."""
        self.network.train()
        order = torch.randperm(len(self.labels))
        loss_sum = right = 0.0
        for step in range(self.steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            images = normalize(self.augmented(chosen))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                logits = self.network(images).float()
            loss = self.loss(images, logits, self.labels[chosen])
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

    def loss(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        if self.teacher is None:
            return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            taught = F.log_softmax(self.teacher(images).float() / TEMPERATURE, 1)
        learned = F.log_softmax(logits / TEMPERATURE, 1)
        # Gradients of softened answers are weaker by the square of the temperature.
        distance = TEMPERATURE**2 * F.kl_div(learned, taught, reduction="batchmean", log_target=True)
        return TEACHING * distance + (1 - TEACHING) * F.cross_entropy(logits, labels)

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


def accuracies(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
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
