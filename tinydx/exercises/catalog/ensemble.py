"""An ensemble: the mean of the members · 集成模型

Several networks give logits for the same patients. The ensemble's answer is the mean of their probabilities. How far
the members disagree about a patient is the standard deviation of their probabilities of the class that the ensemble calls:
the spread. Return both.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def ensemble(logits):
    """logits (M,N,K) of M members, N patients, K classes -> probabilities (N,K), spread (N,)"""
    # solution
    e = np.exp(logits - logits.max(axis=2, keepdims=True))
    p = e / e.sum(axis=2, keepdims=True)
    mean = p.mean(axis=0)
    called = mean.argmax(axis=1)
    return mean, p[:, np.arange(len(called)), called].std(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def one_by_one(logits):
    members, patients, classes = logits.shape
    mean, spread = np.zeros((patients, classes)), np.zeros(patients)
    for n in range(patients):
        tables = [np.exp(logits[m, n]) / np.exp(logits[m, n]).sum() for m in range(members)]
        mean[n] = sum(tables) / members
        own = [table[np.argmax(mean[n])] for table in tables]
        spread[n] = np.sqrt(sum((p - mean[n].max()) ** 2 for p in own) / members)
    return mean, spread


def networks(draw):
    return (2 * draw.array(draw.integer(3, 4), draw.integer(5, 6), draw.choice([3, 4])),)


EXERCISE = Exercise(
    checks=[Values(ensemble, like=one_by_one, samples=networks, names=("probabilities", "spread"))],
    equation=r"p = \frac{1}{M} \sum_{m} \mathrm{softmax}(z_m)",
    shapes="logits (M,N,K) -> probabilities (N,K), spread (N,)",
    source="Lakshminarayanan et al. 2017",
    hints=(
        "First turn each member's logits into probabilities: softmax over the classes. Which axis holds the members?",
        "The mean over axis 0 is the ensemble's answer. Its own class is the largest of each patient's row.",
        "p[:, np.arange(N), called] are the members' probabilities (M,N) of that class; their standard deviation is the spread.",
    ),
    bugs=[
        Bug(
            "mean of the logits",
            "mean = p.mean(axis=0)",
            "z = np.exp(logits.mean(axis=0)); mean = z / z.sum(axis=1, keepdims=True)",
            "A single very sure member outvotes all others in the mean of logits. Take the mean of probabilities.",
        ),
        Bug(
            "softmax over the patients",
            "e.sum(axis=2, keepdims=True)",
            "e.sum(axis=1, keepdims=True)",
            "A patient's probabilities add up to 1 over the classes, the last axis.",
        ),
        Bug(
            "softmax over the members",
            "e.sum(axis=2, keepdims=True)",
            "e.sum(axis=0, keepdims=True)",
            "Each member has probabilities of its own: they add up to 1 over the classes.",
        ),
        Bug(
            "each member's own class",
            "p[:, np.arange(len(called)), called].std(axis=0)",
            "p.max(axis=2).std(axis=0)",
            "Members may call different classes. Compare what all of them give to the ensemble's class.",
        ),
        Bug("variance", ".std(axis=0)", ".var(axis=0)", "The spread is the standard deviation, the root of the variance."),
        Bug(
            "sum of the members", "p.mean(axis=0)", "p.sum(axis=0)", "Divide by the number of members: probabilities add up to 1."
        ),
        Bug(
            "range",
            "p[:, np.arange(len(called)), called].std(axis=0)",
            "np.ptp(p[:, np.arange(len(called)), called], axis=0)",
            "The spread is the standard deviation over the members, not the distance from the smallest to the largest.",
        ),
        Bug(
            "divided by M - 1",
            "p[:, np.arange(len(called)), called].std(axis=0)",
            "p[:, np.arange(len(called)), called].std(axis=0, ddof=1)",
            "Divide the squares by M, the number of members, as np.std does.",
        ),
    ],
)
