// Shared by the kernels of a convolution: its geometry, and whether a pixel lies in an image.
//
// A kernel takes the geometry by value. The launcher reads this declaration and fills the fields in
// its order; gpucnn/shapes/geometry.py checks the numbers.
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

#define FAR (-(1 << 30))  // a row that no image has, whatever tap is added to it

// Whether 0 <= i < size.
__device__ inline bool is_within(int i, int size) {
    return static_cast<unsigned int>(i) < static_cast<unsigned int>(size);
}
