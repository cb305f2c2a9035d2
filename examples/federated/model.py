"""What is learned here: a logistic regression on made-up data, each client having some of it.

The first WEIGHTS numbers of the array are the model. The rest stands for the gigabytes of a real
one: it travels, is averaged, and means nothing.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from update import Floats

FEATURES = 20
WEIGHTS = FEATURES + 1      # and a bias

Data = Tuple[Floats, Floats]    # x: samples by features; y: a 0 or 1 for each


def make_data(seed: int, samples: int) -> Data:
    """Samples of one and the same problem, drawn with a seed of their own."""
    truth = np.random.default_rng(7).normal(size=FEATURES)
    x = np.random.default_rng([11, seed]).normal(size=(samples, FEATURES))
    return x.astype(np.float32), (x @ truth > 0).astype(np.float32)


def train(weights: Floats, data: Data, steps: int = 50, rate: float = 0.5) -> None:
    """Gradient descent on one client's data, in place."""
    x, y = data
    for _ in range(steps):
        wrong = _sigmoid(x @ weights[:FEATURES] + weights[FEATURES]) - y
        weights[:FEATURES] -= rate * (x.T @ wrong) / len(y)
        weights[FEATURES] -= rate * wrong.mean()


def accuracy(weights: Floats, data: Data) -> float:
    """How much of the data the model gets right, 0 to 1."""
    x, y = data
    return float(((x @ weights[:FEATURES] + weights[FEATURES] > 0) == (y > 0.5)).mean())


def _sigmoid(z: Floats) -> Floats:
    return (1 / (1 + np.exp(-z))).astype(np.float32)
