# %% [markdown]
# # Softmax and cross-entropy
#
# Softmax turns the scores of the classes into probabilities S, which add up to 1.
# The label L is written one-hot: 1 for the right class, 0 for the others.
# Cross-entropy D(S, L) says how far the probabilities are from the label.

# %%
import numpy as np

from gpucnn import Tensor, data
from gpucnn import functions as F

scores = Tensor([2.0, 1.0, 0.1])
print("scores ", scores.numpy())
print("softmax", F.softmax(scores).numpy())

e = np.exp([2.0, 1.0, 0.1])
by_hand = e / e.sum()
print("by hand", by_hand)

# %% [markdown]
# The labels 0, 2 and 1 of three classes as one-hot rows:

# %%
one_hot = data.one_hot([0, 2, 1], classes=3)
print(one_hot)

# %% [markdown]
# D(S, L) is minus the sum of L log(S). L is 0 for all but the right class.
# `softmax_cross_entropy` takes scores. The logarithms of S are such scores,
# because the softmax of log(S) is S.

# %%
S = np.array([0.1, 0.5, 0.4])
L = np.array([0.0, 1.0, 0.0])

D_by_hand = -np.log(0.5)
D = F.softmax_cross_entropy(Tensor(np.log(S)), L).item()
print(f"D(S, L) by hand {D_by_hand:.4f}, by the library {D:.4f}")

# %% [markdown]
# The order matters. D(L, S) takes the logarithm of the label, and log(0) is infinite.

# %%
D_swapped = -(S * F.log(L).numpy()).sum()
print("D(L, S) =", D_swapped)

# %% [markdown]
# The formula of softmax as it stands overflows: exp(1000) is too large for a float.
# The library subtracts the largest score first, which does not change the result.

# %%
large = Tensor([1000.0, 999.0, 0.0])
naive = F.exp(large) / F.exp(large).sum()
stable = F.softmax(large)
loss = F.softmax_cross_entropy(large, np.array([0.0, 0.0, 1.0]))
print("naive ", naive.numpy())
print("stable", stable.numpy())
print("cross-entropy if the last class is right:", loss.item())

# %%
assert np.abs(F.softmax(scores).numpy() - by_hand).max() < 1e-6, "softmax is wrong"
assert np.abs(by_hand - [0.6590011, 0.2424330, 0.0985659]).max() < 1e-6, "softmax by hand is wrong"
assert one_hot.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]], "one-hot is wrong"
assert abs(D - D_by_hand) < 1e-6, "the cross-entropy is not the one by hand"
assert abs(D - 0.6931472) < 1e-6, "the cross-entropy is not log 2"
assert D_swapped == np.inf, "D(L, S) must be infinite, unlike D(S, L)"
assert np.isnan(naive.numpy()[0]), "the naive form should overflow"
assert np.abs(stable.numpy() - [0.7310586, 0.2689414, 0]).max() < 1e-6, "the stable form is wrong"
assert abs(loss.item() - 1000.3133) < 1e-3, "the loss of large scores is wrong"
