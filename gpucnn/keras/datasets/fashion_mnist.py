"""Fashion-MNIST: 60,000 and 10,000 pictures of clothes, 28x28."""

from __future__ import annotations

from gpucnn.keras.datasets.reading import Part, loader, read


@loader
def load_data() -> tuple[Part, Part]:
    """((x_train, y_train), (x_test, y_test)): uint8 (N, 28, 28) and (N,).

    The first call downloads it, or reads it from $GPUCNN_DATA_DIR.
    """
    return read("fashion-mnist")
