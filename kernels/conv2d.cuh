// The geometry of a convolution, which each of its kernels takes by value.
//
// The launcher reads this declaration and fills the fields in its order; gpucnn/shapes.py checks
// the numbers.
#pragma once

struct Conv2dGeometry {
    int N, C, H, W;              // x: images, channels, rows and columns of pixels
    int F, KH, KW;               // w: filters, rows and columns of a kernel
    int OH, OW;                  // y: rows and columns of pixels
    int groups;                  // of channels: a filter sees C / groups of them
    int stride_h, stride_w;      // pixels between two windows
    int top, left;               // padding before the first row and column
    int dilation_h, dilation_w;  // pixels between two taps
};
