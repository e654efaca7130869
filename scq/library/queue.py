"""The functions of the documented Python API: `import scq as q`, then `q.submit_job(…)`, `q.pending_for_me()`, `q.approve(…)`.

They are the methods of one client, which reads `SCQ_HOME`, `SCQ_ROOT`, `SCQ_EMAIL`, `SCQ_CONFIG` and config.yaml at each call, as
the command line does. What fails raises the ScqError of the command line (`scq.errors`); what was wrong but did not stop the
call is a `ProblemWarning`.
"""

from __future__ import annotations

from scq.library.client import QueueClient

_CLIENT = QueueClient()

submit_job = _CLIENT.submit_job
submit_script = _CLIENT.submit_script
submit_python = _CLIENT.submit_python
submit_bash = _CLIENT.submit_bash
my_jobs = _CLIENT.my_jobs
my_pending = _CLIENT.my_pending
my_running = _CLIENT.my_running
my_completed = _CLIENT.my_completed
jobs_for_others = _CLIENT.jobs_for_others
get_job = _CLIENT.get_job
get_job_output = _CLIENT.get_job_output
get_job_logs = _CLIENT.get_job_logs
wait_for_completion = _CLIENT.wait_for_completion
cancel = _CLIENT.cancel
pending_for_me = _CLIENT.pending_for_me
jobs_for_me = _CLIENT.jobs_for_me
all_jobs_for_me = _CLIENT.all_jobs_for_me
approved_by_me = _CLIENT.approved_by_me
review_job = _CLIENT.review_job
inspect_job = _CLIENT.inspect_job
list_job_files = _CLIENT.list_job_files
read_job_file = _CLIENT.read_job_file
diff_job = _CLIENT.diff_job
approve = _CLIENT.approve
reject = _CLIENT.reject
check = _CLIENT.check
run_approved = _CLIENT.run_approved
rerun = _CLIENT.rerun
release = _CLIENT.release
withhold = _CLIENT.withhold
status = _CLIENT.status
help = _CLIENT.help
