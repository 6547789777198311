"""Early stopping, checkpoints, a schedule of the learning rate, and a callback of one's own."""

import os

import keras
from keras import layers
from keras.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0

keras.utils.set_random_seed(42)
model = keras.models.Sequential(
    [
        layers.Input(shape=(28, 28)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)


def schedule(epoch, lr):
    return lr if epoch < 5 else lr * 0.9


class Announce(Callback):
    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch}: {logs['val_accuracy']:.3f} after {len(self.losses)} batches")
        if logs["val_accuracy"] > 0.995:
            self.model.stop_training = True


announce = Announce()
history = model.fit(
    x_train,
    y_train,
    epochs=30,
    batch_size=64,
    validation_split=0.2,
    verbose=2,
    callbacks=[
        announce,
        LearningRateScheduler(schedule),
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_lr=1e-5),
        EarlyStopping(monitor="val_loss", patience=4, restore_best_weights=True, verbose=1),
        ModelCheckpoint("best.keras", monitor="val_accuracy", save_best_only=True, verbose=1),
        CSVLogger("log.csv"),
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print("Test accuracy:", accuracy)

best = keras.models.load_model("best.keras")
print("Accuracy of the checkpoint:", best.evaluate(x_test, y_test, verbose=0)[1])

with open("log.csv") as file:
    assert len(file.readlines()) == len(history.epoch) + 1
assert len(announce.losses) == len(history.epoch) * 18
assert "learning_rate" in history.history
assert os.path.exists("best.keras")
