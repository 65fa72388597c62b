"""The ceiling: one large matrix product with TensorFlow, repeated. Prints GFLOP per second.

python -m benchmarks.ceiling TASK
"""

import time

import tensorflow as tf

from benchmarks.rounds import finish, read_task

SIDE = 2048


def main() -> None:
    """Measure the product."""
    task = read_task()
    precision = tf.as_dtype(task.precision)
    left, right = (tf.cast(tf.random.stateless_normal((SIDE, SIDE), (seed, 0)), precision) for seed in (1, 2))
    product = tf.function(tf.matmul, autograph=False)
    for _ in range(task.warmup):
        product(left, right).numpy()
    rates = []
    for _ in range(task.rounds):
        begin = time.perf_counter()
        for _ in range(task.steps):
            last = product(left, right)
        last[0, 0].numpy()
        rates.append(task.steps * 2 * SIDE**3 / (time.perf_counter() - begin) / 1e9)
    finish(rates, None, "tensorflow")


if __name__ == "__main__":
    main()
