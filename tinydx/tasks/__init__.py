"""The document's tasks, worked end to end: each file is a command that prints its figures beside simple baselines.

python -m tinydx.tasks.heart_sounds     a recording of a heart -> normal or abnormal
python -m tinydx.tasks.icd_chapters     a diagnosis's name -> the chapter of ICD-10-CM it belongs to
python -m tinydx.tasks.next_word        a language model of diagnosis names
python -m tinydx.tasks.translation      term -> official diagnosis, lay -> clinical, English -> Spanish, two summaries
python -m tinydx.tasks.word_vectors     words of diagnosis names as vectors, their neighbours and a map
"""
