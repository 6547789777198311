// Gathers the columns of an implicit matrix product: the pixels under the taps of a convolution.
//
//     b[k][column] = image[n, c, h + i*step_h, w + j*step_w],     k = (c*count_h + i)*count_w + j
//
// or 0 where that lies outside the image. A column is a pixel of the result; (h, w) is the corner
// of its window, where tap (0, 0) looks, and may lie outside itself. Steps may be negative.
//
//      k of the tile      columns of the tile
//      warp 0     lanes:  0 1 2 .. 31 | 0 1 2 .. 31 | ..
//      warp 1             0 1 2 .. 31 | 0 1 2 .. 31 | ..
//      ..
//
// A lane keeps its columns and finds their windows once; a warp keeps its rows and splits k once a
// row. An element then costs an addition, a test and a load. Neighboring lanes read neighboring
// pixels: at stride 1 a warp reads 128 adjacent bytes.
//
// KERNEL is the size of a square kernel known at compile time, or 0. Where it is known, k is split
// without a division, and a bit for each tap says whether it lies inside.
#pragma once
#include "conv2d.cuh"
#include "tile.cuh"

#ifndef KERNEL
#define KERNEL 0
#endif

#define ROWS (BK / WARPS)    // rows of the tile that a warp gathers
#define COLUMNS (BN / WARP)  // columns of the tile that a lane gathers
static_assert(KERNEL * KERNEL <= 32, "a tap has a bit");

struct windows_t {
    index_t corner[COLUMNS];       // offset of the corner in the images
    int h[COLUMNS], w[COLUMNS];    // the corner; h is FAR for a column beyond the last
    unsigned int inside[COLUMNS];  // bit i*KERNEL + j: tap (i, j) lies inside
};

struct taps_t {
    int count_h, count_w, step_h, step_w;
};

// Sets column j of the lane: its corner (h, w), in the planes of H x W pixels from `first` on.
__device__ inline void set_window(windows_t &windows, int j, index_t first, int h, int w, int H,
                                  int W, taps_t taps) {
    windows.corner[j] = first + static_cast<index_t>(h == FAR ? 0 : h) * W + w;
    windows.h[j] = h;
    windows.w[j] = w;
    windows.inside[j] = 0;
    for (int i = 0; i < KERNEL; ++i)
        for (int t = 0; t < KERNEL; ++t)
            if (is_within(h + i * taps.step_h, H) && is_within(w + t * taps.step_w, W))
                windows.inside[j] |= 1u << (i * KERNEL + t);
}

// The warp's rows and the lane's columns of the tile from row k0 on; 0 from k = end on.
__device__ inline void load_windows(float (&next)[ROWS][COLUMNS], const float *images,
                                    const windows_t &windows, int k0, int end, int H, int W,
                                    taps_t taps) {
    const int count_w = KERNEL == 0 ? taps.count_w : KERNEL;
    const int count = KERNEL == 0 ? taps.count_h * count_w : KERNEL * KERNEL;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const int k = k0 + static_cast<int>(threadIdx.x) / WARP + WARPS * r;
        const int channel = k / count, tap = k % count;
        const int h = tap / count_w * taps.step_h, w = tap % count_w * taps.step_w;
        const index_t offset = (static_cast<index_t>(channel) * H + h) * W + w;
        const unsigned int bit = k < end ? 1u << (tap % 32) : 0u;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            bool inside = (windows.inside[j] & bit) != 0;
            if (KERNEL == 0)
                inside =
                    k < end && is_within(windows.h[j] + h, H) && is_within(windows.w[j] + w, W);
            next[r][j] = inside ? images[windows.corner[j] + offset] : 0.0f;
        }
    }
}

__device__ inline void store_windows(float (&tile)[BK][BN + PAD],
                                     const float (&next)[ROWS][COLUMNS]) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            tile[threadIdx.x / WARP + WARPS * r][threadIdx.x % WARP + WARP * j] = next[r][j];
}
