"""A network for images with batch normalization, in the words of Keras 2.0."""

import keras
from keras import backend as K
from keras.datasets import mnist
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from keras.layers.core import Activation
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential

rows, columns = 28, 28
(x_train, y_train), (x_test, y_test) = mnist.load_data()
if K.image_data_format() == "channels_first":
    input_shape, channel_axis = (1, rows, columns), 1
else:
    input_shape, channel_axis = (rows, columns, 1), -1
x_train = x_train.reshape((-1, *input_shape)).astype(K.floatx()) / 255
x_test = x_test.reshape((-1, *input_shape)).astype(K.floatx()) / 255
y_train = keras.utils.to_categorical(y_train, 10)
y_test = keras.utils.to_categorical(y_test, 10)

model = Sequential()
model.add(
    Conv2D(
        8,
        kernel_size=(3, 3),
        kernel_regularizer=None,
        trainable=True,
        data_format=K.image_data_format(),
        input_shape=input_shape,
    )
)
model.add(BatchNormalization(axis=channel_axis, center=True, scale=True))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Conv2D(16, (3, 3), activation="relu", kernel_initializer="he_normal"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(10, activation="softmax"))

model.compile(
    loss=keras.losses.categorical_crossentropy,
    optimizer=keras.optimizers.SGD(lr=0.05, momentum=0.9, decay=0.0, clipnorm=None),
    metrics=["accuracy"],
    loss_weights=None,
    weighted_metrics=None,
    target_tensors=None,
)
model.fit(
    x_train,
    y_train,
    batch_size=32,
    epochs=3,
    verbose=1,
    validation_data=(x_test, y_test),
    workers=1,
    use_multiprocessing=False,
)
score = model.evaluate(x_test, y_test, verbose=0, callbacks=None)
print("Test loss:", score[0])
print("Test accuracy:", score[1])
