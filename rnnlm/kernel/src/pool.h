// Threads that sleep between two jobs: TensorFlow's own threads need the cores then.
#pragma once
#include <atomic>
#include <functional>

namespace rnnlm {

// How many threads may work, the caller's among them: the processors that this process may use.
int threads();

// Call work(0) ... work(parts - 1), on as many threads. If the pool is busy with another caller's job, this caller does
// all parts itself: then two callers already keep two cores busy. No result may depend on which thread does a part.
void parallel(int parts, const std::function<void(int)>& work);

// Call work(0, parts) ... work(parts - 1, parts) at the same time, so that they may wait for each other: with as many
// parts as were asked for, or with one alone if the pool is busy.
void together(int parts, const std::function<void(int, int)>& work);

// Where the parts of a job wait until all of them are there.
class Barrier {
  public:
    // How many parts wait here; each says so before it waits for the first time.
    void expect(int parts) { expected.store(parts, std::memory_order_relaxed); }
    void wait();

  private:
    std::atomic<int> expected{1}, waiting{0}, round{0};
};

// Pieces of a job that its threads take one by one. A thread that the system holds up leaves more to the others.
class Pieces {
  public:
    explicit Pieces(long count) : count(count) {}
    // Whether there is another piece, and which.
    bool take(long& piece) { return (piece = next.fetch_add(1, std::memory_order_relaxed)) < count; }

  private:
    std::atomic<long> next{0};
    const long count;
};

// Memory that is kept between calls, so that no call pays for fresh pages. Owned by the caller until `Scratch` ends.
class Scratch {
  public:
    explicit Scratch(long floats);
    ~Scratch();
    float* take(long floats);  // aligned to 64 bytes, with a vector's room behind it

  private:
    struct Block* block;
    long used = 0;
};
// What `take` uses of a scratch for so many floats.
inline long room(long floats) { return (floats + 15) / 16 * 16 + 16; }

}  // namespace rnnlm
