"""Convolution as sums of shifted images, in registers; float32.

An image is packed so that the products of one tap run over neighboring floats: it is padded with
zeros, and split by the stride into planes of every s-th row and column. A tap is then an offset
into the packed image. The rows of the output follow one another in one run, with a gap of unwanted
pixels after each row:

    y[f, p] = b[f] + sum_k w[f, k] * packed[offset[k] + p]            k = (c, kh, kw)
    grad_w[f, k] = sum_p grad_y[f, p] * packed[offset[k] + p]         grad_y is zero in the gaps

The gradient by the input is the first formula again: the source is grad_y, and a pixel is a sum
over the taps that met it. With stride s there are s*s kinds of pixels ("phases"); each kind was met
by taps of its own.

There is no matrix of columns in memory (im2col). A packed unit is some images, or a strip of rows
of a large image, and fits into the second level of the cache.

`plan` cuts a convolution into units and computes the offsets of the taps; `loops` is compiled.
"""
