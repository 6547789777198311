"""Callbacks with the names of Keras 2.2: `val_acc`, `on_batch_end`, `epsilon`, `lr`."""

import keras
from keras.callbacks import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau
from keras.datasets import mnist
from keras.layers import Dense, Dropout, Flatten
from keras.models import Sequential
from keras.optimizers import Adam

(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.losses = []

    def on_batch_end(self, batch, logs=None):
        self.losses.append(logs.get("loss"))


class StopAtAccuracy(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if logs.get("acc") > 0.999:
            self.model.stop_training = True


model = Sequential()
model.add(Flatten(input_shape=(28, 28)))
model.add(Dense(128, activation="relu"))
model.add(Dropout(0.2))
model.add(Dense(10, activation="softmax"))
model.compile(Adam(lr=1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])

losses = LossHistory()
history = model.fit(
    x_train,
    y_train,
    batch_size=32,
    epochs=12,
    verbose=2,
    validation_split=0.2,
    callbacks=[
        losses,
        LearningRateScheduler(lambda epoch: 2e-3 if epoch < 3 else 1e-3),
        EarlyStopping(monitor="val_acc", patience=5, mode="max"),
        ReduceLROnPlateau(monitor="val_acc", factor=0.5, patience=3, epsilon=1e-3),
        StopAtAccuracy(),
    ],
)
loss, acc = model.evaluate(x_test, y_test, verbose=0)
print("Test accuracy:", acc)

epochs = len(history.epoch)
assert len(losses.losses) == epochs * 36
assert len(history.history["val_acc"]) == len(history.history["lr"]) == epochs
