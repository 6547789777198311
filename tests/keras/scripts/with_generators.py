"""Batches from a generator and from a Sequence, and single steps."""

import math

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train[..., np.newaxis].astype("float32") / 255
x_test = x_test[..., np.newaxis].astype("float32") / 255
batch_size = 64


def augmented(x, y, batch_size, seed=0):
    """Endless batches of images in a random order, shifted by up to two pixels."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            shift = rng.integers(-2, 3, 2)
            yield np.roll(x[batch], shift, axis=(1, 2)), y[batch]


class Batches(keras.utils.Sequence):
    """Images in batches that are asked for by their number."""

    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


model = keras.Sequential(
    [
        Conv2D(16, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        MaxPooling2D((2, 2)),
        Conv2D(32, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Flatten(),
        Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=3e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)

history = model.fit(
    augmented(x_train, y_train, batch_size),
    steps_per_epoch=len(x_train) // batch_size,
    epochs=8,
    validation_data=Batches(x_test, y_test, batch_size),
)
test = Batches(x_test, y_test, 100)
loss, accuracy = model.evaluate(test, verbose=0)
print("Test accuracy:", accuracy)

predicted = model.predict(test, verbose=0)
assert predicted.shape == (len(x_test), 10)
assert abs((predicted.argmax(axis=1) == y_test).mean() - accuracy) < 1e-6

# One step at a time, with what the optimizer has gathered so far.
for step, (x_batch, y_batch) in enumerate(augmented(x_train, y_train, batch_size, seed=1)):
    loss, accuracy = model.train_on_batch(x_batch, y_batch)
    if step == 10:
        break
print("Loss of the last batch:", loss)
