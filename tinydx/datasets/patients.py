"""Whose an example is, by its file's name, or by what a DICOM file says.

Rules, for each file; the first that applies counts:

1. A pattern that the user gives is the patient, and must fit every file.
2. A DICOM file names its patient, or its study. Any other name that fits a row of the table in `naming.py` says what the row
   says: its group is the patient, or something smaller (a slide, a study), or nothing is known.
3. Where the files of every class lie in folders of their own, a folder is a patient if it is called so ("patient 7", "sub-07").
   Files of other numbered folders, or with the same first of several numbers in their names, or with the same beginning, are
   kept together, but nobody knows whether these are patients. Such a guess must make at least LEAST groups in each class, none
   of more than half of it.

Files that cannot be told apart this way are divided one by one, and it is said that patients may be on both sides.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tinydx.datasets.folder_names import split_names
from tinydx.datasets.naming import COMPILED, SCHEMES, WHO
from tinydx.preprocessing.dicom import patient_of

LEAST = 4
DICOM = "DICOM"
FOLDER = re.compile(rf"{WHO}[-_ ]?\d+", re.IGNORECASE)
NUMBERS = re.compile(r"\D*(\d+)\D+\d")  # the first of at least two numbers
BEGINNING = re.compile(r"(.*[^-_ .])[-_ .]+[^-_ .]+")  # what stands before the last part of a name


class Owner(NamedTuple):
    """What a file's name tells: files of one `key` belong together (None: nothing is known).

    `means` is what the key is, as in `naming.Scheme`, or "guess" where that is not known; `how` is the scheme's name.
    """

    key: str | None = None
    means: str = ""
    how: str = ""


class Patients(NamedTuple):
    """How the files of some data tell patients apart: paths below `root` (None: below the folder common to the files).

    >>> [owner.key for owner in Patients().owners(["a/person1_virus_2.png", "b/person1_bacteria_3.png", "b/c.png"])]
    ['person1', 'person1', None]
    >>> [owner.key for owner in Patients(pattern=r"/(\\d+)").owners(["x/a/12 3.png", "x/b/7.png"])]
    ['12', '7']
    """

    root: str | None = None
    pattern: str | None = None

    def owners(self, files: Sequence[str]) -> list[Owner]:
        """Whose each file is.

        Raises: ValueError where the pattern is no regular expression with one group, or does not fit every file.
        """
        paths = below(self.root or os.path.commonpath([os.path.dirname(file) or "." for file in files] or ["."]), files)
        if self.pattern is not None:
            return [Owner(key, "patient", "--patient") for key in by_pattern(self.pattern, paths, "--patient", "patient")]
        owners = [by_file(file) or by_name(str(path)) for file, path in zip(files, paths, strict=True)]
        unknown = [i for i, owner in enumerate(owners) if not owner.how]
        for i, owner in zip(unknown, _guessed([paths[i] for i in unknown]), strict=True):
            owners[i] = owner
        return owners


def below(root: str, files: Sequence[str]) -> list[PurePosixPath]:
    """The paths of files below a folder, with "/" on every system."""
    return [PurePosixPath(Path(os.path.relpath(file, root)).as_posix()) for file in files]


def by_file(file: str) -> Owner | None:
    """What a DICOM file says of its patient, or at least of its study; None for other files."""
    key = patient_of(file)
    return None if key is None else Owner(key, "patient" if key.startswith("patient ") else "study", DICOM)


def by_name(path: str) -> Owner:
    """What the table says about a path.

    >>> by_name("CNV/CNV-1016042-1.jpeg")
    Owner(key='1016042', means='patient', how="Kermany's release on Mendeley")
    >>> by_name("normal/a0001.wav").key, by_name("normal/scan12.png") == Owner()
    (None, True)
    """
    whole = PurePosixPath(path).with_suffix("")
    for scheme, pattern in zip(SCHEMES, COMPILED, strict=True):
        if found := pattern.match(str(whole) if "/" in scheme.pattern else whole.name):
            if scheme.means == "pair":  # image 2n - 1 and 2n
                return Owner(f"pair {(int(found.group(1)) + 1) // 2}", "patient", scheme.name)
            return Owner(found.group(1).lower() if pattern.groups else None, scheme.means, scheme.name)
    return Owner()


def patient(path: str) -> str | None:
    """The patient that a file's name identifies by the table, or None.

    >>> patient("train/pneumonia/person12_bacteria_3.jpeg"), patient("a/NORMAL2-IM-0501-0001.jpeg"), patient("a/b.png")
    ('person12', 'im-0501', None)
    """
    owner = by_name(Path(path).name)
    return owner.key if owner.means == "patient" else None


def by_pattern(pattern: str, paths: Sequence[PurePosixPath], option: str, what: str) -> list[str]:
    """What the only group of the user's pattern finds in each path.

    Raises: ValueError, which names the option, where the pattern is no regular expression with one group, or does not fit a path.

    >>> by_pattern("/([a-z])", [PurePosixPath("ill/b7.wav")], "--site", "site")
    ['b']
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{option} {pattern!r} is no regular expression: {error}") from None
    if compiled.groups != 1:
        raise ValueError(f"{option} {pattern!r} has {compiled.groups} groups: put one pair of parentheses around the {what}")
    found = [match.group(1) if (match := compiled.search(str(path))) else "" for path in paths]
    if missing := [path for path, key in zip(paths, found, strict=True) if not key]:
        raise ValueError(f"{option} {pattern!r} does not fit {len(missing)} of {len(paths)} files, such as {missing[0]}")
    return found


def _guessed(paths: Sequence[PurePosixPath]) -> list[Owner]:
    """What folders, numbers or beginnings say of files that fit no scheme: CLASS/PATIENT/..., CLASS/12_3.png, CLASS/ann_x.png."""
    inner = [path.parts[-2] if len(path.parts) > 2 else "" for path in paths]
    above = [path.parts[-3] if name else "" for path, name in zip(paths, inner, strict=True)]
    if all(FOLDER.fullmatch(name) for name in inner):
        return [Owner(name.lower(), "patient", "the folders") for name in inner]
    if not split_names(above) and all(re.search(r"\d", name) for name in inner) and _plausible(inner, above):
        return [Owner(name.lower(), "guess", "folder") for name in inner]
    found = [match.group(1) if (match := NUMBERS.match(path.stem)) else None for path in paths]
    here = [str(path.parent) for path in paths]
    if None not in found and _plausible(found, here):
        return [Owner(f"number {key}", "guess", "first number") for key in found]
    found = [match.group(1) if (match := BEGINNING.fullmatch(path.stem)) else None for path in paths]
    if None not in found and _plausible(found, here):
        return [Owner(f"name {key}", "guess", "beginning of the name") for key in found]
    return [Owner()] * len(paths)


def _plausible(keys: Sequence[str | None], classes: Sequence[str]) -> bool:
    """Whether the keys make several groups in each class, none of more than half of it, and not one for each file."""
    for name in set(classes):
        sizes = Counter(key for key, k in zip(keys, classes, strict=True) if k == name)
        if len(sizes) < LEAST or max(sizes.values()) > sizes.total() / 2:
            return False
    return bool(keys) and len(set(zip(keys, classes, strict=True))) < len(keys)


def describe(owners: Sequence[Owner], files: Sequence[str], noun: str) -> str:
    """How files are divided, as the end of a sentence; says so where nobody can tell patients apart."""
    known = [owner for owner in owners if owner.means == "patient"]
    usual = {"--patient": "by --patient", "the folders": "by their folders", "patients by name": "by their names"}
    usual[DICOM] = "by their PatientID"
    sources = sorted({owner.how for owner in known})
    how = [words for name, words in usual.items() if name in sources]
    if sets := [name for name in sources if name not in usual]:
        how.append(f"by names as in {' and '.join(sets[:3])}")
    patients = f"{len({owner.key for owner in known})} patients in {len(known)} {noun}, {' and '.join(how)}"
    if len(known) == len(owners):
        return f"patient by patient ({patients})"
    rest = [(owner, file) for owner, file in zip(owners, files, strict=True) if owner.means != "patient"]
    sets = sorted({owner.how for owner, _ in rest if owner.how and owner.means != "guess"})
    units = sorted({owner.how if owner.means == "guess" else owner.means for owner, _ in rest if owner.key})
    doubt = f"cannot tell patients apart by names such as {os.path.basename(rest[0][1])}"
    doubt += f" (as in {', '.join(sets[:3])})" if sets else ""
    doubt += f"; {noun} of the same {' or '.join(units)} stay together" if units else ""
    doubt += ", so that a patient may be on both sides: --patient PATTERN says whose each file is"
    if known:
        return f"patient by patient where known ({patients}); for the other {len(rest)}, {doubt}"
    one = noun.removesuffix("s")
    return f"{one} by {one}: {doubt}"


def shared(parts: Mapping[str, Mapping[str, Owner]], noun: str) -> list[str]:
    """A note for each two splits that have files of the same patient by their names.

    Arguments: parts, the owner of each file of each split; noun for the files.
    """
    known = {split: {o for o in part.values() if o.key and o.means != "guess"} for split, part in parts.items()}
    return [
        f"{len(both)} {min(both).means}s are in both {a} and {b} by their names, such as {min(both).key}: "
        f"if they are the same, the {noun} of {b} do not show what the model does with new ones"
        for a, b in combinations(known, 2)
        if (both := known[a] & known[b])
    ]


def same_patient(files: Sequence[str], patients: Patients | None = None) -> list[int]:
    """A number for each file, which files of one patient, or of the same bytes, share.

    Arguments: files; patients, how their names tell patients (None: by the table and guesses).

    >>> same_patient(["ill/person1_bacteria_1.jpeg", "ill/person2_virus_9.jpeg", "well/person1_virus_2.jpeg"])
    [0, 1, 0]
    """
    owners = (patients or Patients()).owners(files)
    return joined([(owner.key, content(path)) for owner, path in zip(owners, files, strict=True)])


def joined(keys: Sequence[tuple[str | None, ...]]) -> list[int]:
    """A number for each row, equal where rows share a key of the same column, directly or through others.

    >>> joined([("a", "x"), ("b", "y"), (None, "y"), ("b", None)])
    [0, 1, 1, 1]
    """
    parent = list(range(len(keys)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[int, str], int] = {}
    for i, row in enumerate(keys):
        for column, key in enumerate(row):
            if key is not None:
                parent[top(i)] = top(first.setdefault((column, key), i))
    return [top(i) for i in range(len(keys))]


def content(path: str) -> str | None:
    """A digest of the file's bytes; None if the file does not exist."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
