// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The twin of gpucnn/random.py: the same
// (key, counter) gives the same 128 bits on every device.
#pragma once

struct philox4 {
    unsigned int lane[4];
};

__device__ inline philox4 philox4x32(philox4 counter, unsigned int key0, unsigned int key1) {
    unsigned int *c = counter.lane;
    for (int round = 0; round < 10; ++round) {
        // Each product's upper half goes to the other even lane, its lower half to the other odd.
        const unsigned long long p0 = 0xD2511F53ull * c[0];
        const unsigned long long p1 = 0xCD9E8D57ull * c[2];
        const unsigned int c1 = c[1], c3 = c[3];
        c[0] = static_cast<unsigned int>(p1 >> 32) ^ c1 ^ key0;
        c[1] = static_cast<unsigned int>(p1);
        c[2] = static_cast<unsigned int>(p0 >> 32) ^ c3 ^ key1;
        c[3] = static_cast<unsigned int>(p0);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

// The bits of elements 4 * index to 4 * index + 3 of a stream at one step.
__device__ inline philox4 philox_at(unsigned long long index, unsigned int step, unsigned int key0,
                                    unsigned int key1) {
    const philox4 counter = {
        {static_cast<unsigned int>(index), static_cast<unsigned int>(index >> 32), step, 0u}};
    return philox4x32(counter, key0, key1);
}
