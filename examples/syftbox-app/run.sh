#!/usr/bin/env bash
# A SyftBox app that makes one call of everything with an installed scq. Copy this folder into `apps` of your SyftBox folder.
# The client calls it again and again. 75 means that another call is at work, which is no fault of an app.
set -euo pipefail
code=0
"${SCQ:-$HOME/.local/bin/scq}" cycle || code=$?
[ "$code" -eq 75 ] || exit "$code"
