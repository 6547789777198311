# %% [markdown]
# # Dead ReLU units
#
# A ReLU gives 0 for a negative sum, and its gradient is 0, too.
# A step that is too large can make the sum of a unit negative for every image.
# The unit then gets no gradient from any image: it is dead and cannot recover.

# %%
import itertools

import numpy as np

from gpucnn import Tensor, backend, data, nn, no_grad, optim
from gpucnn import functions as F

train = data.load("digits").train
images = Tensor(train.images / np.float32(255))  # the whole training set
loader = data.Loader(train, batch_size=128, backend=backend.get("cpu"), seed=0)


def dead_share(model):
    """The share of hidden units whose weights get no gradient from any training image."""
    F.softmax_cross_entropy(model(images), train.labels).backward()
    return (model["dense1"].weight.grad == 0).all(axis=0).mean()


def learn(model, learning_rate, batches):
    """A step of gradient descent for each batch of images."""
    optimizer = optim.SGD(model, learning_rate)
    for x, labels in batches:
        optimizer.zero_grad()
        F.softmax_cross_entropy(model(x), labels).backward()
        optimizer.step()


def run(activation, first_rate):
    """Two steps at the first rate, then 17 epochs, passes over all images, at a rate of 0.1."""
    layers = [nn.Flatten(), nn.Dense(50), activation, nn.Dense(10)]
    model = nn.Sequential(layers).build((1, 28, 28), seed=0)
    dead = [dead_share(model)]
    learn(model, first_rate, itertools.islice(loader.epoch(0), 2))
    dead.append(dead_share(model))
    for epoch in range(1, 18):
        learn(model, 0.1, loader.epoch(epoch))
    dead.append(dead_share(model))
    with no_grad():
        accuracy = (model(images).numpy().argmax(axis=1) == train.labels).mean()
    return np.array(dead), accuracy


# %% [markdown]
# Two cures: a smaller step, and leaky ReLU, whose gradient is never 0.

# %%
results = {
    "ReLU, first rate 20": run(nn.ReLU(), 20.0),
    "leaky ReLU, first rate 20": run(nn.LeakyReLU(0.1), 20.0),
    "ReLU, first rate 0.1": run(nn.ReLU(), 0.1),
}
print("share of dead units         at first  after 2 steps  at the end  accuracy")
for case, (dead, accuracy) in results.items():
    print(f"{case:27} {dead[0]:8.0%} {dead[1]:14.0%} {dead[2]:11.0%} {accuracy:9.1%}")

# %% [markdown]
# The large steps kill most of the units. Dead units stay dead, so little is learned.
# With leaky ReLU no unit is dead, and the network recovers.
# The small steps kill hardly any.

# %%
dead, accuracy = results["ReLU, first rate 20"]
assert dead[1] - dead[0] > 0.2, "the large steps should kill units"
assert dead[2] >= dead[1] > 0, "dead units should stay dead"
leaky, leaky_accuracy = results["leaky ReLU, first rate 20"]
assert (leaky == 0).all(), "leaky units always have a gradient"
assert leaky_accuracy > accuracy + 0.2, "the leaky units should recover"
small, small_accuracy = results["ReLU, first rate 0.1"]
assert small[2] - small[0] < 0.1, "a small step should kill hardly any unit"
assert small_accuracy > 0.85, "the network with a small step should learn"
