"""The main job, `tinydx diagnose`: from examples in classes to a trained model, its test and a report.

    diagnose.py   the one flow for every kind of data: open, build, fit, evaluate, write
    predicting.py a finished model's answers for new inputs: `tinydx predict`; answer_page.py, its page
    personalising.py  a finished model fitted to one patient: `tinydx personalise`
    deciding.py   temperature, threshold and when to refer, from the validation part; referring.py, `predict --refer`
    kind.py       Kind, what differs from kind to kind
    kinds/        the kinds, one file each: image, sound, text
    baselines.py  simple models beside each result
    folds.py      the same by cross-validation, or with a site left out at a time: --folds, --site; folds_report.py, its page
    elsewhere.py  a finished model on other data, and `tinydx evaluate`; inputs.py, what differs there
    starting.py   the weights of a trained network to begin from: --from, --freeze
    ensemble.py   the mean of several models
    choose.py     the smallest network that cannot be told from the best; networks.py, those to choose from
    unlike.py     inputs unlike the training data, of which predict warns
    card.py       the model card; guidelines.tsv, the items of two reporting guidelines
    report.py     the report: one picture page, of the blocks in page.py, and the numbers as JSON and CSV
    sections/     what a diagnosis finds beyond the figures of its test, a file each: findings, words, bands of the page

In flows a path, or nothing (then a program makes synthetic examples). Out flow metrics and a folder with the model, its history,
its metrics and the page. `tinydx.evaluation` computes the metrics.
"""
