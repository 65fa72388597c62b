#include "pool.h"

#include <cfenv>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <system_error>
#include <thread>
#include <vector>

namespace rnnlm {
namespace {

struct Pool {
    std::mutex one_job, state;
    std::condition_variable wake, done;
    const std::function<void(int)>* work = nullptr;
    fenv_t environment;  // the caller's: whether very small numbers become zero must not depend on the thread
    int parts = 0, job = 0, left = 0, started = 1;

    void start(int count) {
        for (; started < count; started++) std::thread([this, id = started] { serve(id); }).detach();
    }
    void serve(int id) {
        int seen = 0;
        std::unique_lock<std::mutex> lock(state);
        for (;;) {
            wake.wait(lock, [&] { return job != seen; });
            seen = job;
            if (id >= parts) continue;
            const auto* mine = work;
            const fenv_t same = environment;
            lock.unlock();
            fesetenv(&same);
            (*mine)(id);
            lock.lock();
            if (--left == 0) done.notify_all();
        }
    }
    void run(int count, const std::function<void(int)>& f) {
        {
            std::lock_guard<std::mutex> lock(state);
            start(count);
            fegetenv(&environment);
            work = &f, parts = count, left = count - 1, job++;
        }
        wake.notify_all();
        f(0);
        std::unique_lock<std::mutex> lock(state);
        done.wait(lock, [&] { return left == 0; });
    }
};

// Never destroyed: threads sleep in it until the process ends. A child of fork() has none of the threads, so it gets a
// new one; the old one, which another thread may have locked, is left as it is.
Pool* pool = new Pool;
const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });

}  // namespace

int threads() {
    static const int count = [] {
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (int)CPU_COUNT(&set);
        return (int)std::thread::hardware_concurrency();
    }();
    return count > 0 ? count : 1;
}

namespace {
// Whether the pool has done all parts. If not, none is done: it is busy, or no further thread can be started.
bool shared(int parts, const std::function<void(int)>& work) {
    if (parts < 2) return false;
    Pool* mine = pool;
    std::unique_lock<std::mutex> lock(mine->one_job, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    try {
        mine->run(parts, work);
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}
}  // namespace

void parallel(int parts, const std::function<void(int)>& work) {
    if (shared(parts, work)) return;
    for (int id = 0; id < parts; id++) work(id);
}

void together(int parts, const std::function<void(int, int)>& work) {
    if (!shared(parts, [&](int id) { work(id, parts); })) work(0, 1);
}

void Barrier::wait() {
    const int now = round.load(std::memory_order_acquire);
    if (waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == expected.load(std::memory_order_relaxed)) {
        waiting.store(0, std::memory_order_relaxed);
        round.store(now + 1, std::memory_order_release);
        return;
    }
    // A step takes microseconds, so the others are there soon; unless the system has given their core to somebody else.
    for (int turns = 0; round.load(std::memory_order_acquire) == now;) {
        if (turns < 2000) {
            turns++;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        } else {
            sched_yield();
        }
    }
}

struct Block {
    float* data;
    long floats;
};

namespace {
std::vector<Block*>* kept = new std::vector<Block*>;
std::mutex* kept_lock = new std::mutex;
const int registered_too = pthread_atfork(nullptr, nullptr, [] {
    kept = new std::vector<Block*>;
    kept_lock = new std::mutex;
});
}  // namespace

Scratch::Scratch(long floats) {
    floats = room(floats);
    block = nullptr;
    {
        // The smallest that is large enough; otherwise the largest makes room for a larger one.
        std::lock_guard<std::mutex> lock(*kept_lock);
        size_t best = kept->size();
        for (size_t n = 0; n < kept->size(); n++) {
            long size = (*kept)[n]->floats;
            if (best == kept->size()) best = n;
            long other = (*kept)[best]->floats;
            if (size >= floats ? (other < floats || size < other) : (other < floats && size > other)) best = n;
        }
        if (best < kept->size()) {
            block = (*kept)[best];
            kept->erase(kept->begin() + best);
        }
    }
    if (!block) block = new Block{nullptr, 0};
    if (block->floats < floats) {
        free(block->data);
        block->data = (float*)aligned_alloc(64, (floats * 4 + 63) / 64 * 64);
        block->floats = block->data ? floats : 0;
        if (!block->data) {
            delete block;
            throw std::bad_alloc();
        }
    }
}

Scratch::~Scratch() {
    std::lock_guard<std::mutex> lock(*kept_lock);
    kept->push_back(block);
}

float* Scratch::take(long floats) {
    float* p = block->data + used;
    used += room(floats);
    return p;
}

}  // namespace rnnlm
