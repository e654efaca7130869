"""Jobs in a notebook: cards and tables whose buttons call the verbs, and plain HTML where widgets are not to be had."""
