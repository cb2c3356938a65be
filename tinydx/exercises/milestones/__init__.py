"""Milestones: an engine assembled from the learner's passed exercises trains, and diagnoses.

1_dense.py ...  a milestone each: its exercises, and a training that calls them
milestone.py    what a milestone is, and how they are found
engine.py       whose code runs: tinydx's tape, with the learner's functions in the places of tinydx's
training.py     what the trainings share: batches, optimizers, pictures
assembly.py     checks the exercises, puts one after the other in, and trains; the outcome as text or data
page.py         the outcome as one HTML file in both languages

the learner's files -- check --> those that pass -- Engine --> train --> losses, beside those of tinydx alone
"""
