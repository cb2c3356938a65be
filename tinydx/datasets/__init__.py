"""Data to learn from: synthetic phantoms and heart sounds, class folders, MedMNIST files, tables of medical texts.

    study.py       Study: train, validation and test examples with their classes, as `tinydx diagnose` takes them
    folders.py     class folders -> splits, each patient in one split only
    medmnist.py    MedMNIST .npz files, and a table of the published sets
    download.py    fetch such a file, resume after a break, verify it
    tables.py      tables as spreadsheets write them, .csv and .tsv
    terms.py       texts: ICD-10-CM, the Human Phenotype Ontology, summaries, any table of pairs
    phantom.py     synthetic chest X-rays
    heart.py       synthetic heart sounds
    synthetic.py   write a folder of synthetic examples once, marked as synthetic

In flow folders, files and seeds. Out flow arrays with labels, paths with labels, and lists of texts.
"""

from tinydx.datasets.download import data_home, describe_sets, fetch
from tinydx.datasets.folders import open_folders
from tinydx.datasets.heart import heart_sound, make_heart_sounds, make_patient_sounds, write_heart_folders, write_patient_folders
from tinydx.datasets.medmnist import MedMNIST
from tinydx.datasets.phantom import chest_phantom, make_phantoms, write_phantom_folders
from tinydx.datasets.study import Examples, Study

__all__ = [
    "Examples",
    "MedMNIST",
    "Study",
    "chest_phantom",
    "data_home",
    "describe_sets",
    "fetch",
    "heart_sound",
    "make_heart_sounds",
    "make_patient_sounds",
    "make_phantoms",
    "open_folders",
    "write_heart_folders",
    "write_patient_folders",
    "write_phantom_folders",
]
