"""The Python API of the user's documents, thin over the verbs: no second implementation of anything."""
