# %% [markdown]
# # A linear layer by hand
#
# A linear layer computes Z = Wᵀ X + b.
# Here each column of X is an example with 4 features, and the layer has 2 outputs.
# We write its gradients by hand, and compare them with those of the library.

# %%
import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F

rng = np.random.default_rng(0)
X = Tensor(rng.normal(size=(4, 3)), name="X")  # 4 features, 3 examples, float64
W = Tensor(rng.normal(size=(4, 2)), requires_grad=True, name="W")
b = Tensor(rng.normal(size=(2, 1)), requires_grad=True, name="b")
Y = Tensor(rng.normal(size=(2, 3)), name="Y")  # the targets, one column an example

Z = W.T @ X + b
E = F.sum((Z - Y) ** 2) / 2
E.backward()

print("Z has shape", Z.shape, "and the error is", round(E.item(), 4))

# %% [markdown]
# By the chain rule:
#
# - E is the sum of (Z - Y)² / 2, so dE/dZ = Z - Y.
# - Z = Wᵀ X + b, so dE/dW = X (dE/dZ)ᵀ. It has the shape of W.
# - b is added to each column, so dE/db is the sum of dE/dZ over the columns.

# %%
dE_dZ = Z.numpy() - Y.numpy()
dE_dW = X.numpy() @ dE_dZ.T
dE_db = dE_dZ.sum(axis=1, keepdims=True)

print("dE/dW by hand:", dE_dW, "dE/dW of the library:", W.grad, sep="\n")
print("dE/db by hand:", dE_db, "dE/db of the library:", b.grad, sep="\n")

# %% [markdown]
# Libraries put the examples into rows, and write X W + b.
# These are the same numbers, transposed.

# %%
Z_in_rows = F.linear(X.T, W, b.reshape(2))

# %%
assert np.abs(W.grad - dE_dW).max() < 1e-12, "dE/dW is not the one by hand"
assert np.abs(b.grad - dE_db).max() < 1e-12, "dE/db is not the one by hand"
assert np.abs(Z_in_rows.numpy().T - Z.numpy()).max() < 1e-12, "rows give another Z"
