"""A multilayer perceptron in the words of the first Keras, 2015."""

import numpy as np
from keras.datasets import mnist
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils

np.random.seed(7)

nb_classes = 10
(X_train, y_train), (X_test, y_test) = mnist.load_data()
X_train = X_train.reshape(X_train.shape[0], 784).astype("float32") / 255
X_test = X_test.reshape(X_test.shape[0], 784).astype("float32") / 255
Y_train = np_utils.to_categorical(y_train, nb_classes)
Y_test = np_utils.to_categorical(y_test, nb_classes)

model = Sequential()
model.add(Dense(200, input_dim=784, init="uniform", activation="tanh"))
model.add(Dropout(p=0.1))
model.add(Dense(nb_classes, init="glorot_uniform"))
model.add(Activation("softmax"))

sgd = SGD(lr=0.1, decay=0.0, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd, class_mode="categorical")
hist = model.fit(
    X_train,
    Y_train,
    batch_size=32,
    nb_epoch=10,
    show_accuracy=True,
    verbose=2,
    validation_split=0.1,
)
score = model.evaluate(X_test, Y_test, show_accuracy=True, verbose=0)
print("Test score:", score[0])
print("Test accuracy:", score[1])

classes = model.predict_classes(X_test, batch_size=32)
proba = model.predict_proba(X_test, batch_size=32)
assert np.mean(classes == y_test) == score[1]
assert (proba.argmax(axis=1) == classes).all()
assert len(hist.history["acc"]) == len(hist.history["val_acc"]) == 10
