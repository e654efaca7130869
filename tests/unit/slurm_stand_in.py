"""Commands that answer as those of Slurm do, for clusters that are broken in ways a real one cannot be made to be at will."""

from __future__ import annotations

import os
from pathlib import Path

SBATCH = """#!/bin/sh
echo "sbatch $*" >> {log}
case "$*" in
  *--version*) echo "slurm-wlm 22.05.8"; exit 0;;
  *--test-only*gone*) echo "allocation failure: Invalid partition name specified" >&2; exit 1;;
  *--test-only*) exit 0;;
esac
cat > {folder}/script
set -- $(sed -n 's/^exec //p' {folder}/script)
control=$5
{then}
echo 7
"""
SQUEUE = """#!/bin/sh
echo "squeue $*" >> {log}
for word in "$@"; do case "$word" in --name=*) name=${{word#--name=}};; esac; done
{then}
"""
SCONTROL = """#!/bin/sh
echo "scontrol $*" >> {log}
case "$*" in
  *ping*) echo "Slurmctld(primary) at head is {state}";;
  *config*) printf 'KillWait                = {wait} sec\\nMinJobAge               = {age} sec\\n';;
esac
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> {log}
{then}
"""
REALLY = "sh {folder}/script > $control/slurm.txt 2>&1"
"""What a node does, done at once on this machine."""
ANSWERS = """cat > $control/answer.new <<END
{{"node":"n1","version":"1","python":"3.11.2","at":"$(date -u -d '{when}' +%Y-%m-%dT%H:%M:%S.%3NZ)","uid":{uid}{more}}}
END
mv $control/answer.new $control/answer.json"""


class StandIn:
    """A folder with `sbatch squeue scontrol scancel`, each of which notes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "slurm-bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        self.sbatch(REALLY)
        self.squeue('echo "$name|RUNNING|n1|None"')
        self.scontrol()
        self.scancel("")

    def write(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def sbatch(self, then: str) -> None:
        """`then`: what becomes of the job, in shell; `$control` is its control folder."""
        then = then.replace("{folder}", str(self.bin))
        self.write("sbatch", SBATCH.format(log=self.log, folder=self.bin, then=then))

    def answers(self, when: str = "now", uid: int | None = None, more: str = "") -> None:
        """`when` in words of date(1)."""
        self.sbatch(ANSWERS.format(when=when, uid=os.geteuid() if uid is None else uid, more=more))

    def squeue(self, then: str) -> None:
        """`then`: what it prints, in shell; `$name` is the name that was asked for."""
        self.write("squeue", SQUEUE.format(log=self.log, then=then))

    def scontrol(self, state: str = "UP", age: int = 300, wait: int = 30) -> None:
        self.write("scontrol", SCONTROL.format(log=self.log, state=state, age=age, wait=wait))

    def scancel(self, then: str) -> None:
        self.write("scancel", SCANCEL.format(log=self.log, then=then))

    def hangs(self, name: str) -> None:
        self.write(name, "#!/bin/sh\nexec sleep 60\n")

    def calls(self, name: str) -> list[str]:
        """How a command was called so far, without its own name."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [row.partition(" ")[2] for row in lines if row.startswith(f"{name} ")]
