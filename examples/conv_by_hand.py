# %% [markdown]
# # Convolution, pooling and ReLU by hand
#
# A convolution moves a filter over an image. At each place it multiplies the pixels by
# the weights of the filter, and sums the products. Here we compute such numbers by hand
# and compare them with the library.

# %%
import numpy as np

from gpucnn import Tensor, nn
from gpucnn import functions as F

# %% [markdown]
# ## The size of the output
#
# An image W pixels wide, a filter F wide, a padding of P zeros on each side and a
# stride S give (W - F + 2P) / S + 1 pixels, rounded down.

# %%
print("  W   F   P   S   formula  library")
for W, F_, P, S in [(28, 3, 0, 1), (28, 5, 2, 1), (7, 3, 0, 2), (227, 11, 0, 4), (10, 3, 0, 2)]:
    formula = (W - F_ + 2 * P) // S + 1
    image = np.zeros((1, 1, W, W), np.float32)
    library = F.conv2d(image, np.zeros((1, 1, F_, F_), np.float32), stride=S, padding=P).shape[3]
    print(f"{W:3} {F_:3} {P:3} {S:3}   {formula:7}  {library:7}")
    assert formula == library, "the formula gives the size of the output"

# %% [markdown]
# ## An RGB image under a filter
#
# The image has three channels, and so has the filter. Each channel of the filter lies
# on its own channel of the image. The output is the sum over all three, plus the bias:
# one number.

# %%
image = np.array(
    [
        [[3, 1, 2, 0], [1, 2, 0, 1], [2, 0, 1, 2], [0, 1, 3, 0]],  # red
        [[1, 1, 0, 0], [0, 2, 2, 1], [1, 0, 1, 1], [2, 2, 0, 1]],  # green
        [[2, 0, 1, 1], [1, 1, 0, 2], [0, 2, 2, 0], [1, 0, 1, 2]],  # blue
    ],
    np.float32,
)
weight = np.array(
    [
        [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
        [[0, 1, 0], [1, -2, 1], [0, 1, 0]],
        [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    ],
    np.float32,
)
bias = 1.0
by_hand = np.zeros((2, 2))
for i in range(2):
    for j in range(2):
        window = image[:, i : i + 3, j : j + 3]
        red, green, blue = (window * weight).sum(axis=(1, 2))
        by_hand[i, j] = red + green + blue + bias
        sums = f"red {red:2.0f}, green {green:2.0f}, blue {blue:2.0f}, bias {bias:.0f}"
        print(f"output ({i}, {j}): {sums}, sum {by_hand[i, j]:2.0f}")

y = F.conv2d(image[None], weight[None], np.array([bias], np.float32))  # (N, C, H, W)
assert np.array_equal(y.numpy(), by_hand[None, None]), "the convolution is wrong"

# %% [markdown]
# ## Pooling
#
# Pooling keeps one number of each 2x2 window: 26x26x32 becomes 13x13x32. The library
# has the channels first: (N, C, H, W).

# %%
pooled = nn.MaxPool2d(2)(np.zeros((1, 32, 26, 26), np.float32))
print("(1, 32, 26, 26) pooled to", pooled.shape)
assert pooled.shape == (1, 32, 13, 13), "each side is halved, the channels stay"

numbers = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], np.float32)
g = np.array([[10, 20], [30, 40]], np.float32)  # the gradient that arrives at the four outputs


def pool(function):
    """The pooled 4x4, and the gradient of its input when `g` arrives at the output."""
    x = Tensor(numbers[None, None], requires_grad=True)
    y = function(x, 2)
    y.backward(g[None, None])
    print(f"{function.__name__}:\n{y.numpy()[0, 0]}\nits gradient:\n{x.grad[0, 0]}")
    return y.numpy()[0, 0], x.grad[0, 0]


# %% [markdown]
# The gradient of a maximum goes to the largest number of its window. The others get 0.

# %%
y, grad = pool(F.max_pool2d)
assert np.array_equal(y, [[6, 8], [3, 4]]), "the largest number of each window"
to_largest = [[0, 0, 0, 0], [0, 10, 0, 20], [30, 0, 0, 0], [0, 0, 0, 40]]
assert np.array_equal(grad, to_largest), "the gradient goes to the largest numbers"

# %% [markdown]
# The gradient of an average goes to its four numbers in equal parts.

# %%
y, grad = pool(F.avg_pool2d)
assert np.array_equal(y, [[3.25, 5.25], [2, 2]]), "the mean of each window"
assert np.array_equal(grad, np.kron(g / 4, np.ones((2, 2)))), "a quarter to each"

# %% [markdown]
# ## ReLU
#
# ReLU replaces each negative number by 0.

# %%
y = F.relu(Tensor([[-478.0, 494.0], [460.0, -477.0]])).numpy()
print("ReLU of [[-478, 494], [460, -477]]:", y.tolist())
assert np.array_equal(y, [[0, 494], [460, 0]]), "ReLU is wrong"
