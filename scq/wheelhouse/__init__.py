"""Packages for jobs: the index and the tools, fetching in a box without data, the Pythons of the box, and the store of wheels."""
