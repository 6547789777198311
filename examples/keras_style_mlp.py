# %% [markdown]
# # A multilayer perceptron in Keras's style
#
# `gpucnn.keras` has the names and the verbs of Keras: Sequential, add, compile, fit,
# evaluate. A script of a book runs after its imports are changed.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt

from gpucnn.keras import datasets
from gpucnn.keras.layers import Activation, Dense, Dropout
from gpucnn.keras.models import Sequential
from gpucnn.keras.utils import set_random_seed, to_categorical

name = os.environ.get("GPUCNN_DATA", "digits")
assert name in ("digits", "mnist"), f"GPUCNN_DATA is {name!r}: write digits or mnist"
(X_train, y_train), (X_test, y_test) = getattr(datasets, name).load_data()
print("training images", X_train.shape, "labels", y_train.shape)
print("test images    ", X_test.shape, "labels", y_test.shape)

# %% [markdown]
# `display_digit` shows an image of the training set with its label. The color map gray_r
# draws 0 white and 255 black.

# %%
Path("pictures").mkdir(exist_ok=True)


def display_digit(index):
    plt.figure(figsize=(3.2, 3.2), layout="constrained")
    plt.imshow(X_train[index], cmap=plt.get_cmap("gray_r"))
    plt.title(f"training image {index}, label {y_train[index]}")
    plt.xlabel("column in pixels")
    plt.ylabel("row in pixels")


display_digit(0)
plt.savefig("pictures/keras_style_mlp.png")

# %% [markdown]
# Each image becomes a row of 784 numbers from 0 to 1, each label a one-hot row of 10
# numbers.

# %%
x_train = X_train.reshape(-1, 784).astype("float32") / 255
x_test = X_test.reshape(-1, 784).astype("float32") / 255
t_train, t_test = to_categorical(y_train, 10), to_categorical(y_test, 10)
print("label", y_train[0], "as one-hot:", t_train[0].astype(int))

# %%
set_random_seed(0)
model = Sequential()
model.add(Dense(512, input_shape=(784,)))
model.add(Activation("relu"))
model.add(Dropout(0.2))
model.add(Dense(10))
model.add(Activation("softmax"))
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
model.summary()

# %% [markdown]
# An epoch is a pass over all training images. The digits are few, so their batches are
# small.

# %%
batch_size = {"digits": 16, "mnist": 128}[name]
history = model.fit(
    x_train, t_train, batch_size, epochs=4, verbose=0, validation_data=(x_test, t_test)
).history
print("epoch  loss    accuracy  val_loss  val_accuracy")
for epoch in range(4):
    loss, accuracy, val_loss, val_accuracy = (values[epoch] for values in history.values())
    print(f"{epoch + 1:<6} {loss:.4f}  {accuracy:<8.2%}  {val_loss:.4f}    {val_accuracy:.2%}")
test_loss, test_accuracy = model.evaluate(x_test, t_test)
print(f"test loss {test_loss:.4f}, test accuracy {test_accuracy:.2%}")

# %%
least = {"digits": 0.93, "mnist": 0.975}[name]
assert model.count_params() == 784 * 512 + 512 + 512 * 10 + 10, "weights and biases"
assert len(history["val_accuracy"]) == 4, "one validation after each epoch"
assert test_accuracy == history["val_accuracy"][-1], "both are on the test images"
assert test_accuracy >= least, f"the accuracy is {test_accuracy:.2%}"
