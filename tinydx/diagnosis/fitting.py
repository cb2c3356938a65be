"""The trainings of a diagnosis: one, or several members, or those that compare networks; each continues from a file of its own.

    diagnosis.unfinished/seed-0.run, seed-1000.run ...      of the model, or of each member
    diagnosis.unfinished/seed-0-image.run ...               of each modality that has a model of its own
    diagnosis.unfinished/choose-0.run, choose-1.run ...     of each network and fold that are compared

`fit` writes such a file after every epoch and, where there is one, continues from it to the same bits: a complete training
is only read. So a run that was interrupted goes through the same trainings again, and loses at most an epoch.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tinydx.callbacks import EarlyStopping
from tinydx.datasets.study import Study
from tinydx.diagnosis import choose, ensemble
from tinydx.diagnosis.kind import Kind, Options, Plan, Training
from tinydx.diagnosis.result import ResultFolder
from tinydx.names import lines

Fitted = tuple[Any, dict[str, Any]]  # a model, and the history of its training


def choose_network(kind: Kind, study: Study, options: Options, seed: int, place: ResultFolder) -> dict[str, Any]:
    """Compare the kind's networks and print the comparison; returns what `choose.choose` found."""
    numbers = itertools.count()

    def train(study: Study, plan: Plan, seed: int) -> Any:
        return train_one(kind, study, plan, seed, place.work / f"choose-{next(numbers)}.run", verbose=0)[0]

    choice = choose.choose(kind, study, options, train, seed)
    print(lines("\n".join(choose.words(choice))), flush=True)
    return choice


def fit(
    kind: Kind, study: Study, plan: Plan, seed: int, place: ResultFolder, members: int = 1, snapshots: bool = False
) -> Fitted:
    """The trained network, or several from different seeds, or snapshots of one, as one model with the history of the first."""
    if snapshots:
        plan = plan._replace(epochs=max(1, plan.epochs // members))

    def train(seed: int, before: Any) -> Fitted:
        if members > 1:
            print(f"{'Snapshot' if snapshots else 'Member'} with seed {seed}:", flush=True)
        return train_one(kind, study, plan, seed, place.work / f"seed-{seed}.run", before=before)

    if members == 1:
        return train(seed, None)
    model, histories = ensemble.fit(train, members, seed, snapshots)
    return model, histories[0]


def train_one(kind: Kind, study: Study, plan: Plan, seed: int, state: Path, verbose: int = 1, before: Any = None) -> Fitted:
    """A network, fitted as planned; or several that become one model, each from a file of its own.

    Arguments: state, the file from which its training continues; before, the model with whose weights it begins, if any.
    """
    if inner := kind.trainings(study, plan):
        return _train_several(kind, study, plan, inner, seed, state, verbose)
    model = kind.build(study, plan)
    if before is not None:
        model.set_weights(before.get_weights())
    best = EarlyStopping("val_loss", patience=plan.epochs, restore_best_weights=True)
    history = model.fit(
        kind.training_batches(study, plan, seed),
        epochs=plan.epochs,
        steps_per_epoch=plan.steps,
        validation_data=kind.plain_batches(study, study.val, plan.batch),
        callbacks=[best] if plan.weights == "best" else [],
        verbose=verbose,
        resume=state,
    )
    return model, history.history


def _train_several(kind: Kind, study: Study, plan: Plan, inner: list[Training], seed: int, state: Path, verbose: int) -> Fitted:
    """The trainings of which one model is made, and their histories one after the other."""
    models: dict[str, Any] = {}
    history: dict[str, Any] = {}
    for training in inner:
        if verbose:
            print(f"Training {training.name}:", flush=True)
        file = state.with_name(f"{state.stem}-{training.name}{state.suffix}")
        model, found = train_one(training.kind, training.study, training.plan, seed, file, verbose)
        models[training.name] = model
        history = {key: [*history.get(key, []), *values] for key, values in found.items()}
    return kind.assemble(study, plan, models), history
