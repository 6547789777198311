// The geometry of a pooling, which its kernels take by value.
//
// The launcher reads this declaration and fills the fields in its order; gpucnn/shapes/geometry.py checks
// the numbers.
#pragma once

struct Pool2dGeometry {
    int H, W;                // x: rows and columns of pixels
    int OH, OW;              // y: rows and columns of pixels
    int KH, KW;              // the window
    int stride_h, stride_w;  // pixels between two windows
    int top, left;           // padding before the first row and column
};
