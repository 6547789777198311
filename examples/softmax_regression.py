# %% [markdown]
# # Softmax regression
#
# The simplest classifier of digits has one layer: 10 sums of the 784 pixels, one for
# each class. The softmax turns the sums into probabilities. Gradient descent learns the
# weights W and b from the cross-entropy of these probabilities.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor, backend, data, no_grad, optim
from gpucnn import functions as F

name = os.environ.get("GPUCNN_DATA", "digits")
assert name in ("digits", "mnist"), f"GPUCNN_DATA is {name!r}: write digits or mnist"
digits = data.load(name, validation=0)

learning_rate = 0.5
batch_size = 128
training_epochs = 10

W = Tensor(np.zeros((784, 10), np.float32), requires_grad=True, name="W")
b = Tensor(np.zeros(10, np.float32), requires_grad=True, name="b")


def scores(images):
    """Images (N, 1, 28, 28) with pixels from 0 to 1 -> the sums (N, 10), called logits."""
    return F.flatten(images) @ W + b


# %% [markdown]
# A step takes a batch of 128 images. An epoch takes every batch once.
# In each step, the weights move against their gradient: W = W - 0.5 dcost/dW.
# `softmax_cross_entropy` takes the sums and computes the softmax itself, which is
# stable.

# %%
loader = data.Loader(digits.train, batch_size, backend.get("cpu"), seed=0)
optimizer = optim.SGD([W, b], learning_rate)
costs = []
for epoch in range(training_epochs):
    avg_cost = 0.0
    for images, labels in loader.epoch(epoch):
        cost = F.softmax_cross_entropy(scores(Tensor(images)), labels)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        avg_cost += cost.item() * len(labels) / len(digits.train)
    costs.append(avg_cost)
    print(f"epoch {epoch + 1:2}: cost {avg_cost:.4f}")

# %%
with no_grad():
    pred = F.softmax(scores(Tensor(digits.test.images / np.float32(255)))).numpy()
accuracy = np.mean(pred.argmax(axis=1) == digits.test.labels)
print(f"test accuracy {accuracy:.2%}")

# %% [markdown]
# The weights of a class are a picture of 28x28 numbers. Ink on an orange pixel is
# evidence for the class, ink on a purple pixel is evidence against it.

# %%
Path("pictures").mkdir(exist_ok=True)
figure, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
limit = np.abs(W.numpy()).max()
for k, axis in enumerate(axes.flat):
    weights = W.numpy()[:, k].reshape(28, 28)
    picture = axis.imshow(weights, cmap="PuOr_r", vmin=-limit, vmax=limit)
    axis.set(title=f"class {k}", xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, label="weight")
plt.savefig("pictures/softmax_regression.png")

least = {"digits": 0.9, "mnist": 0.915}[name]
assert costs[-1] < costs[0] / 1.5, "the cost falls"
assert np.allclose(pred.sum(axis=1), 1, atol=1e-5), "probabilities sum to 1"
assert accuracy >= least, f"the accuracy is {accuracy:.2%}"
