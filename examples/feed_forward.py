# %% [markdown]
# # A feed-forward network: is it a 5?
#
# A feed-forward network passes its input from layer to layer, and never back. This one
# has two layers. It is a detector: its output says whether an image shows the digit 5
# (1) or another digit (0).

# %%
import os

import numpy as np

from gpucnn import Tensor, backend, data, nn, no_grad, optim
from gpucnn import functions as F

name = os.environ.get("GPUCNN_DATA", "digits")
assert name in ("digits", "mnist"), f"GPUCNN_DATA is {name!r}: write digits or mnist"
digits = data.load(name, validation=0)

model = nn.Sequential(
    [
        nn.Flatten(),  # 28x28 pixels -> 784 numbers
        nn.Dense(64, activation="relu"),  # the first layer
        nn.Dense(1),  # the second layer: one number, above 0 for "it is a 5"
    ]
).build((1, 28, 28), seed=0)

# %% [markdown]
# The shape after each layer. The first axis counts the images.

# %%
x = Tensor(digits.test.images[:3] / np.float32(255))
print("input  ", x.shape)
for layer in model:
    x = layer(x)
    print(f"{layer.kind:7}", x.shape)
assert x.shape == (3, 1), "one output for each image"

# %% [markdown]
# We train it on the question "is the label 5?". The sigmoid of the output is the
# probability of yes, and the binary cross-entropy is the loss.

# %%
epochs = {"digits": 30, "mnist": 5}[name]
loader = data.Loader(digits.train, batch_size=64, backend=backend.get("cpu"), seed=0)
optimizer = optim.Adam(model, learning_rate=1e-3)
for epoch in range(epochs):
    for images, labels in loader.epoch(epoch):
        target = (labels == 5).astype("float32").reshape(-1, 1)
        loss = F.binary_cross_entropy_with_logits(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"loss of the last batch: {loss.item():.4f}")

# %% [markdown]
# The detector answers 1 if the probability is above 0.5, else 0.
#
# - Accuracy: the share of right answers.
# - Precision: the share of real fives among the images with the answer 1.
# - Recall: the share of the fives that it found.

# %%
with no_grad():
    probability = F.sigmoid(model(digits.test.images / np.float32(255))).numpy()[:, 0]
output = (probability > 0.5).astype(int)  # 1 or 0
is_five = (digits.test.labels == 5).astype(int)
print("labels ", digits.test.labels[:20])
print("outputs", output[:20])

found = np.sum((output == 1) & (is_five == 1))  # true positives
accuracy = np.mean(output == is_five)
precision = found / np.sum(output == 1)
recall = found / np.sum(is_five == 1)
print(f"accuracy {accuracy:.2%}, precision {precision:.2%}, recall {recall:.2%}")

# %% [markdown]
# Accuracy alone is not enough. Nine of ten digits are no 5, so a detector that always
# answers 0 is right for about 90 % of the images, and finds nothing: its recall is 0.

# %%
always_no = np.zeros_like(is_five)
print(f"always 0: accuracy {np.mean(always_no == is_five):.2%}, recall 0.00%")

assert accuracy >= 0.97, f"the accuracy is {accuracy:.2%}"
assert recall >= 0.8, f"the recall is {recall:.2%}"
assert 0.88 < np.mean(always_no == is_five) < 0.93, "about one digit of ten is a 5"
