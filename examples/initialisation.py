# %% [markdown]
# # Initial weights
#
# Weights start as random numbers from a truncated normal distribution:
# a number farther than two standard deviations from 0 is drawn again.
# Their size decides whether the gradients reach the first layers of a deep network.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor, data, nn, optim
from gpucnn import functions as F
from gpucnn.nn.initializers import Normal

digits = data.load("digits").train.subset(slice(500))
x = Tensor(digits.images.reshape(500, 784) / np.float32(255))

layer = nn.Dense(100, kernel_initializer=Normal(std=0.4, truncated=True)).build((784,))
largest = np.abs(layer.weight.numpy()).max()
print(f"standard deviation 0.4: the largest of 78,400 weights is {largest:.4f}")

# %% [markdown]
# We measure a deep network of sigmoid layers. `retain_grad` keeps the gradient of a
# sum z, which a backward pass would drop otherwise.


# %%
def measure(std):
    """For each of 6 sigmoid layers: the share of saturated units, and the median gradient.

    A unit is saturated for an image if the slope of its sigmoid is below 0.01.
    """
    layers = [nn.Dense(100, kernel_initializer=Normal(std, truncated=True)) for _ in range(6)]
    model = nn.Sequential([*layers, nn.Dense(10)]).build((784,))
    sums, outputs = [], [x]
    for layer in layers:
        sums.append(layer(outputs[-1]))
        sums[-1].retain_grad()
        outputs.append(F.sigmoid(sums[-1]))
    F.softmax_cross_entropy(model[-1](outputs[-1]), digits.labels, reduction="sum").backward()
    saturated = np.array([(y * (1 - y) < 0.01).numpy().mean() for y in outputs[1:]])
    gradients = np.array([np.median(np.abs(z.grad)) for z in sums])
    return saturated, gradients


# %% [markdown]
# For 100 inputs a standard deviation of 4 / sqrt(100) = 0.4 suits the sigmoid.

# %%
sizes = {"too small": 0.01, "good": 0.4, "too large": 3.0}
saturated, gradients = {}, {}
print("weights    std    layer:", *(f"{layer:7}" for layer in range(1, 7)))
for size, std in sizes.items():
    saturated[size], gradients[size] = measure(std)
    print(f"{size:9} {std:5}  saturated", *(f"{v:7.0%}" for v in saturated[size]))
    print(f"{'':9} {'':5}  gradient ", *(f"{v:7.0e}" for v in gradients[size]))

# %%
Path("pictures").mkdir(exist_ok=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for size, marker in zip(sizes, "osD", strict=True):
    label = f"{size}: std {sizes[size]}"
    left.plot(range(1, 7), 100 * saturated[size], marker=marker, label=label)
    right.semilogy(range(1, 7), gradients[size], marker=marker, label=label)
left.set(xlabel="layer, from the input", ylabel="saturated units in %", ylim=(-4, 104))
right.set(xlabel="layer, from the input", ylabel="median |gradient| of a unit's sum z")
left.legend(title="weights")
plt.savefig("pictures/initialisation.png")

# %% [markdown]
# Weights that are too small make the gradient smaller at each layer on its way back.
# Weights that are too large saturate most units. Their gradients vanish in each layer,
# and only the few units that are not saturated learn.
#
# Zeros are fine for biases. If all weights are zero, the units of a layer get
# the same gradients in each step. They stay alike, as if the layer had one unit.

# %%
zeros = {"kernel_initializer": "zeros"}
model = nn.Sequential([nn.Dense(20, "sigmoid", **zeros), nn.Dense(10, **zeros)])
optimizer = optim.SGD(model.build((784,)), learning_rate=0.5)
for _ in range(20):
    optimizer.zero_grad()
    F.softmax_cross_entropy(model(x), digits.labels).backward()
    optimizer.step()
w = model[0].weight.numpy()  # one column a unit
print("weights of a pixel after 20 steps:", *w[300, :3].round(5), "... for all units")

# %%
assert 0.79 < largest <= 0.8, "weights reach to two standard deviations, and not beyond"
assert (saturated["too large"] > 0.6).all(), "most units should be saturated"
assert (saturated["good"] < 0.3).all(), "few units should be saturated"
assert (gradients["too large"] < 0.03 * gradients["good"]).all(), "they should vanish"
assert gradients["too small"][0] < 1e-6 * gradients["too small"][-1], "they should vanish"
assert gradients["good"][0] > 0.01 * gradients["good"][-1], "they should reach layer 1"
assert np.abs(w).max() > 0.001, "the weights should have moved from zero"
assert np.ptp(w, axis=1).max() < 1e-6, "the units should be alike"
