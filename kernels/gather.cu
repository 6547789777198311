// A batch of a uint8 data set as floats; and of labels, weights and float images as they are.
//
//     out[b,p] = dataset[indices[b], p] * scale + offset        NaN if indices[b] is not in [0, M)
//     out[b,p] = rows[indices[b], p]                 all bits set if indices[b] is not in [0, M)
//
// Layout:  dataset is uint8 (M, P), indices int32 (B,), out float32 (B, P), all contiguous. rows
//          are (M, P) words of 32 bits, whatever they mean: with all bits set a float is NaN, and
//          an integer -1.
// Owner:   one thread, four neighboring pixels of a row; the last of a row has what is left. Rows:
//          one thread, one word.
// Launch:  one-dimensional, B * ceil(P / 4) threads or more; rows: B * P.
// Traffic: 5 bytes an element: one byte read, one float written. Rows: 8 bytes a word.
// Ladder:  one pixel a thread reads 32 bytes a warp; four read 128 bytes, a whole line, and divide
//          once for all four.
#include "common.cuh"
#include "pack.cuh"

extern "C" __global__ void gather(const unsigned char *__restrict__ dataset,
                                  const int *__restrict__ indices, float *__restrict__ out, int M,
                                  index_t B, index_t P, float scale, float offset) {
    const index_t packs = (P + 3) / 4;
    const index_t thread = thread_index();
    const index_t b = thread / packs;
    if (b >= B) return;
    const index_t first = (thread - b * packs) * 4, count = P - first;
    const bool whole = P % 4 == 0 && aligned<4>(dataset) && aligned<4>(out);
    const int index = indices[b];
    const float nan = static_cast<float>(quiet_nan());
    pack<float, 4> value = {{nan, nan, nan, nan}};
    if (index >= 0 && index < M) {
        const pack<unsigned char, 4> pixels =
            load_some<4>(dataset + index * P + first, count, whole);
#pragma unroll
        for (int i = 0; i < 4; ++i) value.lane[i] = pixels.lane[i] * scale + offset;
    }
    store_some(out + b * P + first, value, count, whole);
}

extern "C" __global__ void gather_rows(const unsigned int *__restrict__ rows,
                                       const int *__restrict__ indices,
                                       unsigned int *__restrict__ out, int M, index_t B,
                                       index_t P) {
    const index_t thread = thread_index();
    if (thread >= B * P) return;
    const index_t b = thread / P, p = thread - b * P;
    const int index = indices[b];
    out[thread] = index >= 0 && index < M ? rows[index * P + p] : 0xffffffffu;
}
