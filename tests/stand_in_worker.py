"""The process of a contestant in tests/test_bench_models.py: tinydx plays PyTorch, once as it is and once with a wrong loss."""

import sys

from tinydx.bench import worker


def right(start, dropout=True):
    return worker.tinydx(start, dropout)._replace(label="right")


def wrong(start, dropout=True):
    found = worker.tinydx(start, dropout)
    return found._replace(label="wrong", train=lambda k: 1.01 * found.train(k))


worker.CONTESTANTS |= {"right": right, "wrong": wrong}

if __name__ == "__main__":
    worker.main(*sys.argv[1:])
