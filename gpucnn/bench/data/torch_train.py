"""The training of `gpucnn train`, written in PyTorch, to be timed beside it.

    python torch_train.py --data-dir MNIST --model cnn --batch-size 128 --limit-batches 100

It does not use gpucnn. The images are on the device as uint8, a batch is gathered there, Adam is
fused, and the learning rate follows a cosine to zero: the same job with the same numbers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def network(model: str) -> nn.Module:
    """A model of `gpucnn.models` by its name, with PyTorch's own initial weights."""
    layers = {
        "softmax": lambda: [nn.Flatten(), nn.Linear(784, 10)],
        "mlp": lambda: [
            nn.Flatten(),
            *(nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2)),
            *(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2)),
            nn.Linear(512, 10),
        ],
        "lenet": lambda: [
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        ],
        "cnn": lambda: [
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
            *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
        ],
    }
    return nn.Sequential(*layers[model]())


class Training:
    """A network, its optimizer and its batches.

    Args:
        network: on the device of the images.
        images: uint8 (N, C, H, W), on the device.
        labels: int64 (N,), on the device.
        batch_size: at most N; the last, short batch of an epoch is kept.
        optimizer: "adam", or "sgd" with momentum 0.9.
        learning_rate: at its peak, which is at the start.
        steps: after which the learning rate has come down to zero along a cosine; None to keep it.
        order: `torch.channels_last` for that layout.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        batch_size: int,
        optimizer: str = "adam",
        learning_rate: float,
        steps: int | None = None,
        order: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network = network.train()
        self.images, self.labels, self.batch_size, self.order = images, labels, batch_size, order
        self.steps_per_epoch = -(-len(labels) // batch_size)
        self.step_count = 0
        self.loss = torch.zeros((), device=images.device)  # summed up over the steps of the epoch
        weights = network.parameters()
        if optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(weights, lr=learning_rate, fused=True)
        else:
            self.optimizer = torch.optim.SGD(weights, lr=learning_rate, momentum=0.9, fused=True)
        self.schedule = None
        if steps is not None:
            self.schedule = torch.optim.lr_scheduler.LambdaLR(
                self.optimizer, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2
            )

    def step(self) -> None:
        """Train on the next batch; nothing is read back from the device."""
        index = self.step_count % self.steps_per_epoch
        if index == 0:
            self.loss.zero_()
            self.permutation = torch.randperm(len(self.labels), device=self.labels.device)
        at = self.permutation[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.prepare(self.images[at])
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.network(x), self.labels[at])
        loss.backward()
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.loss += loss.detach()
        self.step_count += 1

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images as input of the network: float32 in [0, 1]."""
        return (images.float() / 255).contiguous(memory_format=self.order)

    def accuracy(self, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 256) -> float:
        """The fraction of images that are classified correctly, in evaluation mode."""
        self.network.eval()
        with torch.inference_mode():
            batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
            right = sum((self.network(self.prepare(x)).argmax(1) == y).sum() for x, y in batches)
        self.network.train()
        return float(right) / len(labels)


def read_mnist(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (N, 1, 28, 28) and labels int64 (N,) of "train" or "t10k"."""

    def read(name: str, header: int) -> np.ndarray:
        plain, packed = folder / name, folder / f"{name}.gz"
        raw = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        return np.frombuffer(raw, np.uint8, offset=header).copy()

    images = read(f"{part}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read(f"{part}-labels-idx1-ubyte", 8).astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--limit-batches", type=int, help="train and test on so many batches")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layout", default="contiguous", help="or channels_last")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    order = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    torch.manual_seed(0)
    images, labels = (array.to(args.device) for array in read_mnist(args.data_dir, "train"))
    test_images, test_labels = (
        array.to(args.device) for array in read_mnist(args.data_dir, "t10k")
    )
    if args.limit_batches:
        most = args.limit_batches * args.batch_size
        images, labels = images[:most], labels[:most]
        test_images, test_labels = test_images[:most], test_labels[:most]
    training = Training(
        network(args.model).to(args.device, memory_format=order),
        images,
        labels,
        batch_size=args.batch_size,
        learning_rate=args.lr,
        steps=args.epochs * -(-len(labels) // args.batch_size),
        order=order,
    )
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        for _ in range(training.steps_per_epoch):
            training.step()
        loss = float(training.loss) / training.steps_per_epoch
        seconds = time.perf_counter() - start
        _print(event="epoch", epoch=epoch, loss=loss, seconds=seconds)
    _print(event="end", test_accuracy=training.accuracy(test_images, test_labels))


def _print(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
