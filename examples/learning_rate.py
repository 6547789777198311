# %% [markdown]
# # The learning rate
#
# A step of gradient descent is the gradient times the learning rate.
# If the rate is too small, the loss needs many steps to fall.
# If it is too large, each step jumps over the minimum, farther than the one before.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor, optim


def loss(w):
    """A bowl that is steeper along w1, with its minimum, 0, at (0, 0)."""
    return (w[0] ** 2 + 4 * w[1] ** 2) / 2


def descend(learning_rate):
    """The points that 10 steps of gradient descent visit, from (-4, 1.5) on."""
    w = Tensor([-4.0, 1.5], requires_grad=True)
    optimizer = optim.SGD([w], learning_rate)
    path = [w.numpy().copy()]
    for _ in range(10):
        optimizer.zero_grad()
        loss(w).backward()
        optimizer.step()
        path.append(w.numpy().copy())
    return np.array(path)


rates = {"too small": 0.03, "good": 0.4, "too large": 0.54}
paths = {name: descend(rate) for name, rate in rates.items()}
for name, path in paths.items():
    print(f"{name:9}  rate {rates[name]:4}  loss {loss(path[0]):6.3f} -> {loss(path[-1]):6.3f}")

# %% [markdown]
# The lines join points of equal loss. Each dot is a step.

# %%
Path("pictures").mkdir(exist_ok=True)
figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
w0, w1 = np.meshgrid(np.linspace(-5, 5, 200), np.linspace(-6, 6, 200))
for axis, (name, path) in zip(axes, paths.items(), strict=True):
    contours = axis.contour(w0, w1, loss([w0, w1]), [1, 5, 12, 25, 45, 70], colors="gray")
    axis.clabel(contours, fontsize=8)
    axis.plot(*path.T, "o-", color="tab:blue", markersize=4, label="steps")
    axis.plot(*path[0], "s", color="tab:orange", markersize=9, label="start")
    axis.plot(0, 0, "k*", markersize=12, label="minimum")
    axis.set(title=f"{name}: learning rate {rates[name]}", xlabel="weight w0")
axes[0].set_ylabel("weight w1")
axes[0].legend(loc="upper left")
plt.savefig("pictures/learning_rate.png")

# %%
start = loss(paths["good"][0])
end = {name: loss(path[-1]) for name, path in paths.items()}
assert end["good"] < 0.01 * start, "the good rate should reach the minimum"
assert 0.1 * start < end["too small"] < start, "the small rate should still be on its way"
assert end["too large"] > start, "the large rate should diverge"
