"""A multilayer perceptron with batches of 64 and Adam, in the words of Keras 1."""

import numpy as np
from keras.datasets import mnist
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential
from keras.objectives import categorical_crossentropy
from keras.optimizers import Adam
from keras.utils.np_utils import to_categorical

np.random.seed(1337)
batch_size = 64
nb_classes = 10
nb_epoch = 10

(X_train, y_train), (X_test, y_test) = mnist.load_data()
X_train = X_train.reshape(len(X_train), -1) / 255.0
X_test = X_test.reshape(len(X_test), -1) / 255.0
print(X_train.shape[0], "train samples")
print(X_test.shape[0], "test samples")

model = Sequential(
    [
        Dense(output_dim=256, input_dim=784, init="he_normal", W_regularizer=None, bias=True),
        Activation("relu"),
        Dropout(0.2),
        Dense(nb_classes, init="zero"),
        Activation("softmax"),
    ]
)
optimizer = Adam(lr=0.002, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
model.compile(optimizer, categorical_crossentropy, ["accuracy"], sample_weight_mode=None)

history = model.fit(
    X_train,
    to_categorical(y_train, nb_classes),
    batch_size=batch_size,
    nb_epoch=nb_epoch,
    verbose=2,
    validation_data=(X_test, to_categorical(y_test, nb_classes)),
    shuffle=True,
)
score = model.evaluate(X_test, to_categorical(y_test, nb_classes), verbose=0)
print("Test score:", score[0])
print("Test accuracy:", score[1])

assert model.metrics_names == ["loss", "accuracy"]
assert history.history["val_acc"][-1] == score[1]
assert max(history.history["acc"]) > 0.9
