"""Data to learn from: synthetic phantoms and heart sounds, MedMNIST files, class folders, and checked downloads."""

from tinydx.datasets.download import data_home, describe_sets, fetch
from tinydx.datasets.folders import open_folders
from tinydx.datasets.heart import heart_sound, make_heart_sounds, write_heart_folders
from tinydx.datasets.medmnist import MedMNIST, load_medmnist
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
    "load_medmnist",
    "make_heart_sounds",
    "make_phantoms",
    "open_folders",
    "write_heart_folders",
    "write_phantom_folders",
]
