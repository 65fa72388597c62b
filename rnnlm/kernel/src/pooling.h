// The recurrence of the QRNN (Bradbury et al. 2017): element-wise, so threads share the units.
#pragma once
#include "kernels.h"
#include "layer.h"

namespace {

using rnnlm::Pooling;
using rnnlm::PoolingGradient;

void pooling(const Pooling& p, int threads) {
    threads = worthwhile(threads, 4. * p.steps * p.size);
    rnnlm::parallel(threads, [&](int id) {
        const long begin = part_of(p.size, LANES, id, threads), end = part_of(p.size, LANES, id + 1, threads);
        for (long t = 0; t < p.steps; t++) {
            const float* before = t ? p.cells + (t - 1) * p.size : p.before;
            for (long k = begin; k < end; k += LANES) {
                const long at = t * p.size + k, left = end - k;
                store(p.cells + at, load(p.forget + at, left) * load(before + k, left) + load(p.added + at, left), left);
            }
        }
    });
}

void pooling_gradient(const Pooling& p, const PoolingGradient& d, int threads) {
    threads = worthwhile(threads, 4. * p.steps * p.size);
    rnnlm::parallel(threads, [&](int id) {
        const long begin = part_of(p.size, LANES, id, threads), end = part_of(p.size, LANES, id + 1, threads);
        for (long k = begin; k < end; k += LANES) store(d.dbefore + k, Vec{}, end - k);
        for (long t = p.steps - 1; t >= 0; t--) {
            const float* before = t ? p.cells + (t - 1) * p.size : p.before;
            for (long k = begin; k < end; k += LANES) {
                const long at = t * p.size + k, left = end - k;
                Vec dc = load(d.dbefore + k, left) + load(d.dcells + at, left);
                store(d.dadded + at, dc, left);
                store(d.dforget + at, dc * load(before + k, left), left);
                store(d.dbefore + k, dc * load(p.forget + at, left), left);
            }
        }
    });
}

}  // namespace
