"""Speed and accuracy of the kernels: `tinydx bench OP` times one op, `tinydx bench step` races whole training steps.

    cases.py      the shapes and constants to measure, and how much work they are
    backends.py   how NumPy, our kernels and PyTorch (peers.py) run a case; runner.py is what they make of it
    measure.py    timing in turn, and statistics
    compare.py    `tinydx bench OP`: checks each backend against the reference, then times it
    training_step.py, worker.py   `tinydx bench step`: the race, and the process of one contestant
    folder.py     the result folder: bench.json with the machine, the command and all samples
    results.py, plot.py   tables, Markdown and picture, made from bench.json alone
    roofs.py, machine.py  what the processor can do at most, and what a figure depends on
    errors.py     `tinydx bench errors`: the accuracy of each kernel
    commands.py   what `tinydx bench` does with its arguments
    gpu.py, gpu_report.py   our CUDA kernels beside cuBLAS and cuDNN

The engine imports nothing from here. No peer is required: where one is missing, the result says how to install it.
"""
