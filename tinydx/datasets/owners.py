"""Whose each file is and where it was recorded, by its path: the columns `patient` and `site` of Examples.

    path --pattern of the user, or the naming schemes of public sets--> patient, site (None where nothing is known)

A file of which the names of its set tell nothing is its own patient. Sites are known of all files or of none: one without a site
could not be left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tinydx.datasets.naming import SITES
from tinydx.datasets.patients import Patients, below, by_pattern
from tinydx.datasets.study import Examples


def owned(part: Examples, root: str, patient: str | None = None, site: str | None = None) -> Examples:
    """Examples from files, with their patients and sites.

    Arguments: part, which is returned as it is where it has no files; root, the data folder; patient, site, regular expressions
    on a file's path below the root, whose only group is the patient or the site (None: by the names that public sets give).
    Raises: ValueError where a pattern is no regular expression with one group, or does not fit every file.

    >>> part = Examples(np.zeros(3), np.zeros(3, int), ["x/ill/a0001.wav", "x/ill/b0001.wav", "x/well/b0002.wav"])
    >>> owned(part, "x").patient is None, owned(part, "x").site.tolist(), owned(part, "x", "(.)[.]wav").patient.tolist()
    (True, ['a', 'b', 'b'], ['1', '1', '2'])
    """
    if part.files is None:
        return part
    owners = Patients(root, patient).owners(part.files)
    keys = [owner.key or file for owner, file in zip(owners, part.files, strict=True)]
    known = any(owner.key for owner in owners)
    sites = _sites(part.files, root, site)
    return part._replace(
        patient=np.array(keys, object) if known else None, site=None if sites is None else np.array(sites, object)
    )


def _sites(files: Sequence[str], root: str, pattern: str | None) -> list[str] | None:
    """The site of each file, by the user's pattern or by the first scheme that fits all files."""
    paths = below(root, files)
    if pattern is not None:
        return by_pattern(pattern, paths, "--site", "site")
    for scheme in SITES:
        found = [re.fullmatch(scheme.pattern, path.stem, re.IGNORECASE) for path in paths]
        if all(found) and found:
            return [match.group(1).lower() for match in found if match]
    return None
