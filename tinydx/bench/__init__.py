"""The kernel speed comparison: `tinydx bench OP` for one op of the table, `tinydx bench step` for a whole training step.

`tinydx bench errors` (errors.py) prints how exact each kernel is.

    cases.py -> backends.py, peers.py -> measure.py        what runs, on what, timed in turn
                      |                     |
                      +--> compare.py <-----+              correctness first, then time
                      |
    worker.py <--> step.py                                 one process for each contestant of the race
                      |
                 bench.json                                machine, command, raw seconds: all that was found
                      |
            results.py, plot.py                            table, Markdown and picture, made from the JSON alone

Nothing here is imported by the engine, and no peer is needed: where one is missing, the result says how to install it.
"""
