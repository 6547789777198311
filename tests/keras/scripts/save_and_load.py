"""A model that is saved, loaded, trained further, and whose weights are looked at."""

import keras
import numpy as np
from keras import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train.reshape(-1, 784).astype("float32") / 255.0
x_test = x_test.reshape(-1, 784).astype("float32") / 255.0


def create_model():
    model = keras.Sequential(
        [
            layers.Dense(64, activation="relu", input_shape=(784,)),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer="adam",
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    return model


model = create_model()
model.fit(x_train, y_train, epochs=5, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Trained model, accuracy: {100 * accuracy:5.2f}%")

# The whole model.
model.save("my_model.keras")
new_model = keras.models.load_model("my_model.keras")
new_model.summary()
np.testing.assert_allclose(new_model.predict(x_test), model.predict(x_test), rtol=1e-6)
new_model.fit(x_train, y_train, epochs=2, verbose=0)
print("Trained further:", new_model.evaluate(x_test, y_test, verbose=0)[1])

# The weights alone.
model.save_weights("my_model.weights.h5")
another = create_model()
print("Untrained model:", another.evaluate(x_test, y_test, verbose=0)[1])
another.load_weights("my_model.weights.h5")
loss, restored = another.evaluate(x_test, y_test, verbose=0)
print(f"Restored model, accuracy: {100 * restored:5.2f}%")
assert abs(restored - accuracy) < 1e-6

kernel, bias = model.layers[0].get_weights()
print("First layer:", kernel.shape, bias.shape)
model.layers[0].set_weights([np.zeros_like(kernel), bias])
assert model.evaluate(x_test, y_test, verbose=0)[1] < 0.5
model.set_weights(another.get_weights())
assert abs(model.evaluate(x_test, y_test, verbose=0)[1] - accuracy) < 1e-6
