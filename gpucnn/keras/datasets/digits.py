"""The 1,797 handwritten digits that come with gpucnn, 28x28; they need no download."""

from __future__ import annotations

from gpucnn.keras.datasets.reading import Part, loader, read


@loader
def load_data() -> tuple[Part, Part]:
    """((x_train, y_train), (x_test, y_test)): uint8 (1437 and 360, 28, 28) and (N,)."""
    return read("digits")
