"""Convolution with 3x3 taps by minimal filtering, F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2016).

A tile of 2x2 results depends on 4x4 pixels d[c] of each channel. With * elementwise,

    y[f] = A^T [ sum_c (G w[f, c] G^T) * (B^T d[c] B) ] A

which takes 16 multiplications where the definition takes 36. The three transforms are sums of
neighbors. The sums over c are matrix products, one for each of the 16 places in a tile: channels by
the tiles of a unit, which is some rows of tiles of an image, or some images.

    B^T = 1  0 -1  0        G = 1    0    0         A^T = 1  1  1  0
          0  1  1  0            1/2  1/2  1/2             0  1 -1 -1
          0 -1  1  0            1/2 -1/2  1/2
          0  1  0 -1            0    0    1

A result depends on the same pixels as in the definition, so that a NaN or an infinity reaches no
other result. An infinity may become a NaN, and so may numbers near the largest float32.

`plan` decides where the algorithm pays and cuts the tiles into units; `loops` is compiled.
"""
