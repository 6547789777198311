# %% [markdown]
# # An image is an array
#
# A pixel of a grayscale image is one number from 0, black, to 255, white.
# A color image has three numbers a pixel: red, green and blue, its three channels.
# The library stores images as (channels, height, width).

# %%
import os
from pathlib import Path

import numpy as np

from gpucnn import data, plots

small = np.array([[[0, 0, 255], [0, 128, 255], [0, 0, 255]]], dtype=np.uint8)
print("a gray image of 3 x 3 pixels, shape", small.shape)
print(small[0])

# %% [markdown]
# A digit of the data set: one channel, 28 rows of 28 pixels.
# `show` draws it as ink on paper: 0 is white in this picture.

# %%
name = os.environ.get("GPUCNN_DATA", "digits")
digits = data.load(name).train
digit = digits.images[0]
print("digit", digits.labels[0], "shape", digit.shape, digit.dtype)
print("darkest pixel", digit.min(), "brightest pixel", digit.max())

Path("pictures").mkdir(exist_ok=True)
picture = digits.show(0)
picture.savefig("pictures/digit.png")
picture

# %% [markdown]
# Three channels: the digit in orange is all of the red, half of the green and no blue.

# %%
red, green, blue = digit[0], digit[0] // 2, np.zeros_like(digit[0])
orange = np.stack([red, green, blue])
print("color image, shape", orange.shape)
row, column = np.unravel_index(digit[0].argmax(), digit[0].shape)
print("its brightest pixel (red, green, blue) is", orange[:, row, column])

picture = plots.show_image(orange, title="orange")
picture.savefig("pictures/color_image.png")
picture

# %% [markdown]
# The image gradient says how fast the pixels change, in gray levels a pixel:
# dy from row to row, dx from column to column. It is large at edges.
# At a pixel it is half the difference of its two neighbors. A pixel at the border
# has one neighbor only: there it is the difference to this one.

# %%
dy, dx = plots.image_gradient(small[0])
print("dx of the small image:", dx, sep="\n")
print("dy of the small image:", dy, sep="\n")

picture = plots.show_image_gradient(digit)
picture.savefig("pictures/image_gradient.png")
picture

# %%
assert digit.shape == (1, 28, 28), "a gray image has one channel"
assert (digit.dtype, digit.min()) == (np.uint8, 0), "a pixel is from 0 to 255"
assert 200 < digit.max() <= 255, "the brightest pixel is not bright"
assert orange.shape == (3, 28, 28), "a color image has three channels"
assert orange[:, row, column].tolist() == [digit.max(), digit.max() // 2, 0], "not orange"
assert dx.tolist() == [[0, 127.5, 255], [128, 127.5, 127], [0, 127.5, 255]], "dx is wrong"
assert dy.tolist() == [[0, 128, 0], [0, 0, 0], [0, -128, 0]], "dy is wrong"
