"""The live state of a run, shared by its parts."""
