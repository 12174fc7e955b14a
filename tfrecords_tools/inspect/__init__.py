"""What a set of videos holds and what is wrong with it; see `__main__`."""

if __name__ == "inspect":
    # A command of the folder above was run by its path, as in `python
    # tfrecords_tools/convert.py`. Python then looks for modules there first,
    # and the standard library's inspect was meant.
    import importlib
    import sys

    sys.path.append(sys.path.pop(0))
    del sys.modules["inspect"]
    importlib.import_module("inspect")
