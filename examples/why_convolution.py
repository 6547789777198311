# %% [markdown]
# # Why convolution?
#
# A convolution has few parameters, because each output sees a small window, and all
# windows share one filter. It finds the same edge wherever it lies in the image.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor, data, nn
from gpucnn import functions as F

name = os.environ.get("GPUCNN_DATA", "digits")
digits = data.load(name).train

# %% [markdown]
# ## Parameters
#
# Both networks turn an image of 28x28 pixels into 8 maps of 26x26 numbers.

# %%
conv = nn.Sequential([nn.Conv2d(8, 3)]).build((1, 28, 28), seed=0)
dense = nn.Sequential([nn.Flatten(), nn.Dense(8 * 26 * 26)]).build((1, 28, 28), seed=0)
print(f"dense: {dense.num_parameters:9,} parameters")
print(f"conv:  {conv.num_parameters:9,} parameters")
assert conv.num_parameters == 8 * 3 * 3 + 8, "8 filters of 3x3, and 8 biases"
assert dense.num_parameters == 784 * 5408 + 5408, "each output has a weight for each pixel"

# %% [markdown]
# ## The receptive field
#
# The receptive field of an output is the part of the image that it sees. It grows with
# each layer. A kernel k pixels wide adds (k - 1) times the jump, which is the distance
# in the image between two neighbors of the layer's input. A stride multiplies the jump.

# %%
stack = [nn.Conv2d(4, 3), nn.Conv2d(4, 3), nn.AvgPool2d(2), nn.Conv2d(4, 3)]
field, jump = 1, 1
for layer in stack:
    field += (layer.kernel_size[0] - 1) * jump
    jump *= layer.stride[0]
    print(f"after {layer.kind} {layer.kernel_size}: {field}x{field} pixels, jump {jump}")

# %% [markdown]
# We measure it, too. The gradient of one output by the image is not zero at the pixels
# that the output sees, and zero at all others.

# %%
model = nn.Sequential(stack).build((1, 28, 28), seed=0)
x = Tensor(digits.images[:1] / np.float32(255), requires_grad=True)
model(x)[0, 0, 4, 4].backward()
seen = x.grad[0, 0] != 0
rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
print(f"measured: rows {rows[0]} to {rows[-1]}, columns {columns[0]} to {columns[-1]}")
assert field == len(rows) == len(columns) == 10, "the formula and the measurement differ"
assert seen.sum() == field**2, "the output sees each pixel of the square"

# %% [markdown]
# ## An edge filter
#
# A Sobel filter has weights of both signs. Its output is large where the image changes
# from left to right, and 0 where it does not change.

# %%
sobel = np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], np.float32)
digit = digits.images[:1] / np.float32(255)
edges = F.conv2d(digit, sobel, padding=1).numpy()
flat = F.conv2d(np.ones_like(digit), sobel).numpy()
assert not flat.any(), "no edge in an even area"

Path("pictures").mkdir(exist_ok=True)
figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.4), layout="constrained")
pictures = [
    axes[0].imshow(digit[0, 0], cmap="gray_r"),
    axes[1].imshow(edges[0, 0], cmap="PuOr_r", vmin=-4, vmax=4),
    axes[2].imshow(x.grad[0, 0], cmap="PuOr_r", norm=plt.matplotlib.colors.CenteredNorm()),
]
titles = [
    f"the digit {digits.labels[0]}",
    "its vertical edges",
    "10x10 pixels that one output sees",
]
labels = ["pixel, 0 to 1", "output of the Sobel filter", "gradient of the output"]
for axis, picture, title, label in zip(axes, pictures, titles, labels, strict=True):
    axis.set(title=title, xlabel="column in pixels", ylabel="row in pixels")
    figure.colorbar(picture, ax=axis, label=label, shrink=0.75)
plt.savefig("pictures/why_convolution.png")

# %% [markdown]
# ## Shift equivariance
#
# If the image is shifted, the output of a convolution is shifted in the same way. A
# dense layer has other weights for each pixel, so its output becomes another one.


# %%
def shift(images):
    return np.roll(images, (2, 3), axis=(2, 3))  # 2 pixels down, 3 to the right


def inner(maps):
    return maps[:, :, 4:-4, 4:-4]  # without the borders, where the shift brings other pixels in


for kind, function in {"conv": conv, "dense": dense}.items():
    first = function(shift(digit)).numpy().reshape(1, 8, 26, 26)  # shifted, then computed
    last = shift(function(digit).numpy().reshape(1, 8, 26, 26))  # computed, then shifted
    difference = np.abs(inner(first) - inner(last)).max()
    print(f"{kind}: largest difference {difference:.1e}")
    assert (difference < 1e-6) == (kind == "conv"), "only the convolution is equivariant"
