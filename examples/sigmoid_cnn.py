# %% [markdown]
# # Backpropagation through a small CNN, by hand
#
# The network: convolution, sigmoid, fully connected layer, sigmoid. The error is
# E = (y' - O)² / 2, with the output y' and the target O. We compute each factor of dE/dW and
# dE/df by the chain rule in NumPy, and compare with the gradients of the library.

# %%
import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F

random = np.random.default_rng(0)
X = random.uniform(0, 1, (6, 6))  # the image
f = random.normal(0, 0.5, (3, 3))  # the filter
W = random.normal(0, 0.5, (16, 1))  # the weights of the fully connected layer
O = 1.0  # the target


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def convolve(image, filter):
    """Move the filter over the image; at each place sum the products."""
    windows = np.lib.stride_tricks.sliding_window_view(image, filter.shape)
    return np.einsum("ijkl,kl->ij", windows, filter)


# %% [markdown]
# ## Forward

# %%
C = convolve(X, f)  # (4, 4)
S = sigmoid(C)
h = S.reshape(1, 16)  # flattened for the fully connected layer
a = h @ W  # (1, 1)
y = sigmoid(a)
E = (y - O) ** 2 / 2
print(f"y' = {y.item():.6f}, E = {E.item():.6f}")

# %% [markdown]
# ## Backward: the fully connected layer
#
# dE/dW = dE/dy' · dy'/da · da/dW

# %%
dE_dy = y - O
dy_da = y * (1 - y)  # the derivative of the sigmoid
dE_da = dE_dy * dy_da
dE_dW = h.T @ dE_da  # da/dW is h
print(f"dE/dy' = {dE_dy.item():.6f}, dy'/da = {dy_da.item():.6f}")

# %% [markdown]
# ## Backward: the convolution
#
# dE/df = dE/da · da/dS · dS/dC · dC/df. The product of the first three factors is called delta.
# The last factor makes a convolution of it: the image is the input, and delta is the filter.

# %%
dE_dS = (dE_da @ W.T).reshape(4, 4)  # da/dS is W
dS_dC = S * (1 - S)
delta = dE_dS * dS_dC  # dE/dC
dE_df = convolve(X, delta)  # (3, 3)

# %% [markdown]
# The gradient of the image is a convolution, too. It is a full one: delta gets a border of 2 zeros,
# and the filter is flipped in both directions.

# %%
dE_dX = convolve(np.pad(delta, 2), f[::-1, ::-1])  # (6, 6)

# %% [markdown]
# ## The same by the library

# %%
tensors = {
    "X": Tensor(X[None, None], requires_grad=True, name="X"),
    "f": Tensor(f[None, None], requires_grad=True, name="f"),
    "W": Tensor(W, requires_grad=True, name="W"),
}
maps = F.sigmoid(F.conv2d(tensors["X"], tensors["f"]))
output = F.sigmoid(F.flatten(maps) @ tensors["W"])
error = F.mean_squared_error(output, np.array([[O]]), half=True)
error.backward()

assert abs(error.item() - E.item()) < 1e-10, "E is wrong"
for name, by_hand in {"X": dE_dX, "f": dE_df, "W": dE_dW}.items():
    gradient = tensors[name].grad.reshape(by_hand.shape)
    difference = np.abs(gradient - by_hand).max()
    print(f"dE/d{name} {by_hand.shape}: largest difference {difference:.1e}")
    assert gradient.dtype == np.float64, "computed in float64"
    assert difference < 1e-10, f"dE/d{name} is wrong"
print("dE/df by hand:\n", dE_df.round(6))
