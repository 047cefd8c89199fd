"""The memory updates as the papers tell them: one row after another, one identity after another.

All functions change NumPy arrays in place and count in float64.
"""

import numpy as np

TAU = 1 / 30


def normalise(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def oim_table(table: np.ndarray, x: np.ndarray, pids: np.ndarray, keep: np.ndarray) -> None:
    for row, y, eta in zip(x, pids, keep, strict=True):
        table[y] = normalise(eta * table[y] + (1 - eta) * row)


def fifo(queue: np.ndarray, head: int, x: np.ndarray) -> int:
    for row in x:
        queue[head] = row
        head = (head + 1) % len(queue)
    return head


def hea_table(table: np.ndarray, x: np.ndarray, pids: np.ndarray) -> list[float]:
    """Returns w_old of each row."""
    before = table.copy()
    weights = []
    for row, y in zip(x, pids, strict=True):
        if not table[y].any():
            table[y] = row
            weights.append(0.0)
            continue
        first = x[list(pids).index(y)]
        own = before[y] if before[y].any() else first
        hardest, v_q = -np.inf, np.zeros_like(row)
        for p, candidate in enumerate(before):
            if p != y and candidate.any() and candidate @ own > hardest:
                hardest, v_q = candidate @ own, candidate
        w_old = 1 / (1 + np.exp(-(v_q @ row - table[y] @ row) / TAU))
        mixed = w_old * table[y] + (1 - w_old) * row
        if np.linalg.norm(mixed) > 1e-6:
            table[y] = normalise(mixed)
        weights.append(w_old)
    return weights


class SequentialQueue:
    """SMR by replacing the minimum, one candidate after another."""

    def __init__(self, size: int, dim: int, decay: float, eps: float = 1e-6) -> None:
        self.vectors = np.zeros((size, dim))
        self.importance = np.full(size, -np.inf)
        self.age = np.zeros(size, dtype=int)
        self.decay, self.eps = decay, eps

    def score(self, x: np.ndarray, table: np.ndarray) -> list[float]:
        scores = []
        for row in x:
            known = max(0.0, max(v @ row for v in table))
            held = max(0.0, max(u @ row for u in self.vectors))
            scores.append(known / (held + self.eps))
        return scores

    def omega(self) -> np.ndarray:
        return np.array(
            [w * self.decay**age for w, age in zip(self.importance, self.age, strict=True)]
        )

    def push(self, x: np.ndarray, scores: list[float]) -> int:
        self.age += self.importance > -np.inf
        entered = np.zeros(len(self.age), dtype=bool)
        for row, score in zip(x, scores, strict=True):
            place = int(np.argmin(self.omega()))
            if score > self.omega()[place]:
                self.vectors[place], self.importance[place], self.age[place] = row, score, 0
                entered[place] = True
        return int(entered.sum())
