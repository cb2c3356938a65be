"""How a model is trained, on the CPU or a GPU.

The files in reading order; each imports only those below it:

    trainer.py         compile, fit, evaluate, predict: the methods of every model
    loop.py            fit's loop: epochs of batches, callbacks, resuming a run
    resuming.py        a saved run checked, and taken up as a whole or not at all
    graph.py           the step on a GPU: captured as a CUDA graph, replayed, read in one transfer
    rehearsing.py      a step on zeros by a copy of the model, which tells the kernels to compile
    planned.py         when a model has a plan, for predictions and for steps on the CPU, and when it is forgotten
    plan.py            a plan: the calls of a run for inputs of one shape, decided once and played again
    step.py            one training step: forward, loss, backward, check, update
    lowering.py        layers become fused ops, the last activation joins the loss
    running_means.py   loss and metrics of an epoch so far
    meaning.py         output, loss and metrics that do not fit each other
    inputs.py          an input checked and cast, and warnings about it
    prefetch.py        the next batch sent to the GPU while a step computes
    placement.py       the device on which a model computes
    data.py            arrays, iterators and generators as sources of batches
    weighting.py       the weight of each example, by its class, too
"""
