# %% [markdown]
# # LeNet on MNIST
#
# LeNet-5 (LeCun and others, 1998) reads handwritten digits. Convolution, ReLU and
# pooling come twice; then three dense layers give a score for each of the 10 digits.

# %%
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt

from gpucnn import data, nn
from gpucnn.training import Callback, TensorBoard, TrainConfig, evaluate, fit

name = os.environ.get("GPUCNN_DATA", "digits")
assert name in ("digits", "mnist"), f"GPUCNN_DATA is {name!r}: write digits or mnist"
validation, epochs = {"digits": (137, 20), "mnist": (5000, 5)}[name]
digits = data.load(name, validation=validation)  # these are kept back to measure each epoch

model = nn.Sequential(
    [
        nn.Conv2d(6, 5, padding=2),  # 6 filters of 5x5 pixels
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dense(120, activation="relu"),
        nn.Dense(84, activation="relu"),
        nn.Dense(10),
    ]
).build((1, 28, 28), seed=0)
print(model.summary())
before = evaluate(model, digits.validation)["accuracy"]
print(f"step     0: accuracy {before:.2%} on the validation images")

# %% [markdown]
# We note the accuracy every few steps. The callback `TensorBoard` writes the same
# curves. To see them, type `python -m pip install tensorboard`, start
# `tensorboard --logdir logs` and open the address that it prints.


# %%
class Watch(Callback):
    """Keeps and prints the accuracy on the training images of the epoch so far."""

    def __init__(self):
        self.points = []

    def on_log(self, trainer, loss, accuracy):
        self.points.append((trainer.step, accuracy))
        print(f"step {trainer.step:5}: loss {loss:.4f}, accuracy {accuracy:.2%}")


log_interval = {"digits": 20, "mnist": 100}[name]
config = TrainConfig(
    epochs=epochs, batch_size=64, optimizer="adam", learning_rate=3e-3, log_interval=log_interval
)
watch = Watch()
start = time.perf_counter()
history = fit(model, digits, config, [watch, TensorBoard("logs/lenet")])
accuracy = history.test["accuracy"]
print(f"test accuracy {accuracy:.2%} after {time.perf_counter() - start:.1f} s")

# %%
Path("pictures").mkdir(exist_ok=True)
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
steps = -(-len(digits.train) // 64)  # in an epoch
axis.plot(*zip(*watch.points, strict=True), ".-", label="training images, epoch so far")
validated = [before] + [record["val_accuracy"] for record in history.records]
axis.plot([steps * k for k in range(epochs + 1)], validated, "s--", label="validation images")
axis.set(title="LeNet learns", xlabel="step", ylabel="accuracy", ylim=(0, 1.02))
axis.legend(loc="lower right")
axis.grid(alpha=0.3)
plt.savefig("pictures/lenet_mnist.png")

least = {"digits": 0.97, "mnist": 0.988}[name]
assert accuracy >= least, f"the accuracy is {accuracy:.2%}"
assert before < 0.3, "before the training it guesses"
assert history.records[0]["accuracy"] < history.records[-1]["accuracy"], "it learns"
assert list(Path("logs/lenet/train").glob("events*")), "the curves for TensorBoard"
