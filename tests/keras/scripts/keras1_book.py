"""The network of a book's first chapter, in the words of Keras 1: 784, 512, 512, 10 units."""

from keras.datasets import mnist
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential
from keras.optimizers import RMSprop
from keras.utils import np_utils

NB_CLASSES = 10
NB_EPOCH = 4
BATCH_SIZE = 32

(X_train, y_train), (X_test, y_test) = mnist.load_data()
n_pixels = X_train.shape[1] * X_train.shape[2]
X_train = X_train.reshape(X_train.shape[0], n_pixels)
X_test = X_test.reshape(X_test.shape[0], n_pixels)
X_train = X_train.astype("float32")
X_test = X_test.astype("float32")
X_train /= 255
X_test /= 255

Y_train = np_utils.to_categorical(y_train, nb_classes=NB_CLASSES)
Y_test = np_utils.to_categorical(y_test, nb_classes=NB_CLASSES)

model = Sequential()
model.add(Dense(512, input_shape=(n_pixels,)))
model.add(Activation("relu"))
model.add(Dropout(0.2))
model.add(Dense(512))
model.add(Activation("relu"))
model.add(Dropout(0.2))
model.add(Dense(NB_CLASSES))
model.add(Activation("softmax"))
model.summary()

model.compile(
    loss="categorical_crossentropy",
    optimizer=RMSprop(lr=0.001, rho=0.9, epsilon=None, decay=0.0),
    metrics=["accuracy"],
)
model.fit(
    X_train,
    Y_train,
    batch_size=BATCH_SIZE,
    nb_epoch=NB_EPOCH,
    verbose=1,
    validation_data=(X_test, Y_test),
    class_weight=None,
    sample_weight=None,
)
score = model.evaluate(X_test, Y_test, batch_size=BATCH_SIZE, verbose=0, sample_weight=None)
print("Test score:", score[0])
print("Test accuracy:", score[1])
