"""Makes a smaller network that learns from the trained one, and exports it: see README.md.

    python distill.py --data cifar10.zip --into student
    python distill.py --data cifar10.zip --into pruned

`student` is another, small network that begins anew; `pruned` is what is left of the trained one after half of its channels and
neurons went. Both learn from the answers of the trained network, which `train.py` left in WORK/checkpoint.pt.
"""

import torch

from network import Cnn, Student
from prune import pruned
from setting import finish, parse_options, prepare
from training import Training

# epochs, peak learning rate: what was pruned knows most already, and large steps would make it forget.
RECIPES = {"student": (10, 0.1), "pruned": (3, 0.03)}


def main() -> None:
    into = {"choices": list(RECIPES), "required": True, "help": "what becomes of it"}
    defaults = ", ".join(f"{epochs} for {name}" for name, (epochs, _) in RECIPES.items())
    options = parse_options("Makes a smaller network that learns from the trained one.", epochs=defaults, into=into)
    epochs, peak_learning_rate = RECIPES[options.into]
    options.epochs = options.epochs or epochs
    setting = prepare(options)
    checkpoint = setting.work / "checkpoint.pt"
    if not checkpoint.exists():
        raise SystemExit(f"{checkpoint} does not exist: run train.py first, with the same --work and --smoke")
    teacher = Cnn()
    teacher.load_state_dict(torch.load(checkpoint)["network"])
    torch.manual_seed(options.seed)
    network = Student() if options.into == "student" else pruned(teacher, (32, 64), 256)
    weights = sum(parameter.numel() for parameter in network.parameters())
    print(f"{options.into}: {weights:,} of {sum(parameter.numel() for parameter in teacher.parameters()):,} weights")
    recipe = setting.recipe | {"into": options.into, "peakLearningRate": peak_learning_rate}
    training = Training(network, setting.images, setting.labels, recipe, teacher)
    training.run(setting.work / f"{options.into}.pt", setting.test_images, setting.test_labels)
    finish(setting, training, options.into, f"{options.into}-accuracy")


if __name__ == "__main__":
    main()
