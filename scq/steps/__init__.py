"""What scheduled verbs do, step by step: `check`, `run-approved`, `notify`, `cleanup` are one step each, `cycle` all of them."""
