# %% [markdown]
# # Backpropagation through a small CNN, by hand
#
# The network: convolution, sigmoid, fully connected layer, sigmoid. With the output y'
# and the target O, the error is
#
# E = (y' - O)² / 2
#
# We compute each factor of dE/dW and dE/df by the chain rule in NumPy, and compare with
# the gradients of the library.

# %%
import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F

random = np.random.default_rng(0)
X = random.uniform(0, 1, (6, 6))  # the image
f = random.normal(0, 0.5, (3, 3))  # the filter
W = random.normal(0, 0.5, (16, 1))  # the weights of the fully connected layer
O = 1.0  # the target


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def convolve(image, filter):
    """Move the filter over the image; at each place sum the products."""
    windows = np.lib.stride_tricks.sliding_window_view(image, filter.shape)
    return np.einsum("ijkl,kl->ij", windows, filter)


# %% [markdown]
# ## Forward

# %%
C = convolve(X, f)  # (4, 4)
S = sigmoid(C)  # (4, 4)
z = S.reshape(1, 16) @ W  # (1, 1): the fully connected layer takes a row of 16 numbers
y = sigmoid(z)  # (1, 1), the output y'
E = (y - O) ** 2 / 2
print(f"y' = {y.item():.6f}, E = {E.item():.6f}")

# %% [markdown]
# ## Backward: the fully connected layer
#
# dE/dW = dE/dy' · dy'/dz · dz/dW

# %%
dE_dy = y - O
dy_dz = y * (1 - y)  # the derivative of the sigmoid
dE_dz = dE_dy * dy_dz
dz_dW = S.reshape(16, 1)
dE_dW = dz_dW * dE_dz
print(f"dE/dy' = {dE_dy.item():.6f}, dy'/dz = {dy_dz.item():.6f}")

# %% [markdown]
# ## Backward: the convolution
#
# dE/df = dE/dz · dz/dS · dS/dC · dC/df
#
# The product of the first three factors is called delta. With the last factor, dE/df is
# a convolution: delta moves over the image as a filter.

# %%
dz_dS = W.reshape(4, 4)
dS_dC = S * (1 - S)
delta = dE_dz * dz_dS * dS_dC  # (4, 4), dE/dC
dE_df = convolve(X, delta)  # (3, 3)

# %% [markdown]
# The gradient of the image is a convolution, too: the flipped filter moves over delta.
# It is a full convolution: delta first gets a border of 2 zeros.

# %%
dE_dX = convolve(np.pad(delta, 2), f[::-1, ::-1])  # (6, 6)

# %% [markdown]
# ## The same by the library
#
# `retain_grad` lets a computed tensor keep its gradient, as the inputs X, f and W do.

# %%
t = {
    "X": Tensor(X[None, None], requires_grad=True),  # (N, C, H, W)
    "f": Tensor(f[None, None], requires_grad=True),
    "W": Tensor(W, requires_grad=True),
}
t["C"] = F.conv2d(t["X"], t["f"])
t["S"] = F.sigmoid(t["C"])
t["z"] = F.flatten(t["S"]) @ t["W"]
t["y'"] = F.sigmoid(t["z"])
for name in ("C", "S", "z", "y'"):
    t[name].retain_grad()
error = F.mean_squared_error(t["y'"], [[O]], half=True)
error.backward()

# %%
by_hand = {"y'": dE_dy, "z": dE_dz, "W": dE_dW, "S": dE_dz * dz_dS, "C": delta}
by_hand |= {"f": dE_df, "X": dE_dX}
assert abs(error.item() - E.item()) < 1e-10, "E is wrong"
for name, expected in by_hand.items():
    assert t[name].grad.dtype == np.float64, "it is computed in float64"
    difference = np.abs(t[name].grad.reshape(expected.shape) - expected).max()
    print(f"dE/d{name:2} {expected.shape!s:7}: largest difference {difference:.1e}")
    assert difference < 1e-10, f"dE/d{name} is wrong"
