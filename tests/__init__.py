"""The tests of membuf. The model and the worlds are imported as ``tests.model`` and so on."""
