// Reductions over all but the channel axis of an (N, C, P) array.
//
// The elements of a channel are N runs of P neighbors, C * P apart. A block takes one channel, or
// `lanes` neighboring ones where P is 1 and a run would be a single element:
//
//     lanes = 1     thread t:  worker t of the channel, a pack of four at a time
//     lanes = 32    thread t:  channel t % 32, worker t / 32          a warp reads 32 neighbors
//
// The elements are cut into gridDim.y parts, since a few channels alone would not fill a GPU. The
// workers' results meet in shared memory as a tree, the parts' in a second kernel. The order of all
// sums follows from the shape and the number of parts alone, not from where an array lies.
#pragma once
#include "common.cuh"
#include "pack.cuh"

#ifndef THREADS
#define THREADS 256
#endif

// The places of one worker: every workers-th pack of its part of a channel.
template <int V>
struct channel_walk {
    index_t offset;  // of the pack in the array
    index_t left;    // packs still to visit, this one included

    __device__ channel_walk(int N, int C, index_t P, int channel, int worker, int workers) {
        packs = P / V;
        const index_t total = N * packs, part = (total + gridDim.y - 1) / gridDim.y;
        const index_t begin = part * static_cast<index_t>(blockIdx.y);
        const index_t size = begin < total ? min(part, total - begin) : 0;
        left = size > worker ? (size - worker - 1) / workers + 1 : 0;
        const index_t at = begin + worker, image = at / packs;
        pack_of_run = at - image * packs;
        offset = (image * C + channel) * P + pack_of_run * V;
        const index_t images = workers / packs;
        pack_step = workers - images * packs;
        step = images * C * P + pack_step * V;
        next_run = (C - 1) * P;
    }

    // No division: a step passes the end of a run at most once more than it passes whole runs.
    __device__ void advance() {
        --left;
        offset += step;
        pack_of_run += pack_step;
        if (pack_of_run >= packs) {
            pack_of_run -= packs;
            offset += next_run;
        }
    }

  private:
    index_t packs, pack_of_run, pack_step, step, next_run;
};
