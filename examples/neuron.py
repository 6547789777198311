# %% [markdown]
# # A neuron
#
# A neuron multiplies each input by a weight, and adds the products and a bias.
# An activation function turns the sum into the output.
# Here the activation is the sigmoid, which maps every number to one between 0 and 1.

# %%
import math

from gpucnn import Tensor, nn
from gpucnn import functions as F

x = Tensor([1.0, 1.0])  # two inputs
w = Tensor([1.0, 2.0])  # one weight for each input
b = Tensor(0.0)  # the bias

z = w @ x + b  # 1 * 1 + 2 * 1 + 0
y = F.sigmoid(z)

print(f"weighted sum  z = {z.item()}")
print(f"output        y = {y.item():.7f}")

# %% [markdown]
# The same by hand: sigmoid(z) = 1 / (1 + exp(-z)).

# %%
y_by_hand = 1 / (1 + math.exp(-(1 * 1 + 2 * 1 + 0)))
print(f"by hand       y = {y_by_hand:.7f}")

# %% [markdown]
# The bias moves the point at which the neuron begins to fire.

# %%
for bias in [-6.0, -3.0, 0.0]:
    print(f"bias {bias:4}: y = {F.sigmoid(w @ x + bias).item():.4f}")

# %% [markdown]
# A layer is a number of neurons, also called units, that see the same inputs.
# `Dense(1)` is a layer of one neuron. Its input has a row for each example.

# %%
layer = nn.Dense(1, activation="sigmoid").build((2,))
layer.set_weights([w.numpy().reshape(2, 1), b.numpy().reshape(1)])
print("as a layer:", layer(x.reshape(1, 2)))

# %%
assert round(y.item(), 7) == 0.9525741, "the output of the neuron is wrong"
assert abs(y.item() - y_by_hand) < 1e-7, "the output differs from the one by hand"
assert layer(x.reshape(1, 2)).item() == y.item(), "the layer is another neuron"
