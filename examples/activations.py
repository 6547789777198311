# %% [markdown]
# # Activation functions and their derivatives
#
# Without an activation function, layers one after the other are a single linear layer.
# The derivative of the activation is a factor of every gradient that passes through it.
# Where the derivative is near 0, a network learns slowly.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F

z = np.linspace(-6, 6, 240)  # in float64; 0, the corner of ReLU, is not among them
functions = {"sigmoid": F.sigmoid, "tanh": F.tanh, "ReLU": F.relu}

values, derivatives = {}, {}
for name, function in functions.items():
    x = Tensor(z.astype(np.float32), requires_grad=True)
    y = function(x)
    y.sum().backward()  # each x has an effect on its own y only, so x.grad is dy/dx
    values[name], derivatives[name] = y.numpy(), x.grad
    print(f"{name:8} largest derivative {x.grad.max():.4f}, at 6: {x.grad[-1]:.6f}")

# %%
Path("pictures").mkdir(exist_ok=True)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for axis, name in zip(axes, functions, strict=True):
    axis.plot(z, values[name], label="output y")
    axis.plot(z, derivatives[name], "--", label="derivative dy/dz")
    axis.set(title=name, xlabel="input z", ylim=(-1.1, 2.1))
    axis.grid(alpha=0.3)
axes[0].set_ylabel("y, dy/dz")
axes[0].legend(loc="upper left")
plt.savefig("pictures/activations.png")

# %% [markdown]
# The derivative of the sigmoid follows from its output y alone: y (1 - y).
# So a backward pass need not keep the input. The same holds for tanh: 1 - y².

# %%
y = values["sigmoid"]
from_output = y * (1 - y)

# %% [markdown]
# We check the values and derivatives against the formulas in float64.

# %%
s = 1 / (1 + np.exp(-z))
formulas = {
    "sigmoid": (s, np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh(z), 1 / np.cosh(z) ** 2),
    "ReLU": (np.maximum(z, 0), (z > 0) * 1.0),
}
for name, (value, derivative) in formulas.items():
    assert np.abs(values[name] - value).max() < 1e-6, f"{name} is wrong"
    error = np.abs(derivatives[name] - derivative).max()
    assert error < 1e-6, f"the derivative of {name} is wrong"
error = np.abs(from_output - derivatives["sigmoid"]).max()
assert error < 1e-6, "y (1 - y) is not the derivative of the sigmoid"
