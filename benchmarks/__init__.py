"""What calls of scq cost, measured against floors of the same machine: `make bench`."""
