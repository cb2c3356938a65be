"""Speed and accuracy: `tinydx bench OP` and `shapes` time ops, `step` and `models` race networks, `flat` looks at tinydx alone.

    cases.py      the shapes and constants to measure, and how much work they are
    backends.py   how NumPy, our kernels and PyTorch (peers.py) run a case; runner.py is what they make of it
    measure.py    timing in turn, and statistics
    compare.py    `tinydx bench OP` and `shapes`: checks each backend against the reference, then times it
    shapes.py     the teaching shapes
    race.py, worker.py   `tinydx bench step` and `models`: the race, and the process of one contestant
    subjects.py   the networks that are raced; torch_model.py and tinygrad_model.py translate them
    flat.py       `tinydx bench flat`: cost per example and memory
    folder.py     the result folder: bench.json with the machine, the command and all samples
    results.py, plot.py   tables, Markdown and picture, made from bench.json alone
    roofs.py, machine.py  what the processor can do at most, and what a figure depends on
    errors.py     `tinydx bench errors`: the accuracy of each kernel
    commands.py   what `tinydx bench` does with its arguments
    gpu.py, gpu_report.py   our CUDA kernels beside cuBLAS and cuDNN

The engine imports nothing from here. No peer is required: where one is missing, the result says how to install it.
"""
