"""pytest collects doctests from every file under tests/, but make_reference.py needs librosa to be imported."""

collect_ignore = ["make_reference.py"]
