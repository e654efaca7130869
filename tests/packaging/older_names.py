"""What people know who come from other tools: every name of the documents that they had, written down by hand."""

from __future__ import annotations

NAMED: dict[str, str] = {
    "notifications of syft-client": """
        GmailAuth setup_auth load_credentials credentials_path token_path gmail.send credentials.json gmail_token.json
        GmailSender credentials use_html notify_new_job do_email job_name submitter timestamp job_url
        notify_job_approved ds_email notify_job_executed duration results_url notify_new_peer_request_to_do peer_url
        notify_peer_request_sent notify_peer_request_granted send_email to_email subject body_text body_html
        TemplateRenderer templates_dir render template_name context emails/new_job.html emails/job_approved.html
        emails/job_executed.html emails/new_peer_request.html emails/peer_granted.html datetime JsonStateManager
        state_file was_notified mark_notified entity_id event_type get_data set_data key default value
        ~/.syft-creds/state.json ~/.syft-creds/config.yaml syftbox_root notify.interval notify.monitor_jobs
        notify.monitor_peers syft-bg_init --email --notify-jobs --notify-peers syft-bg_start syft-bg_status
        syft-bg_logs_notify syft-bg_logs_-f syft-bg_stop GOOGLE_API_TIMEOUT
        """,
    "monitors and services": """
        JobMonitor PeerMonitor DaemonManager login_do from_client gmail_token_path drive_token_path notifications
        from_config config_path sender state config client notify_on_new_job notify_on_approved notify_on_executed
        notify_on_new_peer notify_on_peer_granted check interval duration start stop notify_peer_granted
        approve_peer_request add_peer_as_do client.sync syft_outbox_inbox_ msgv2_ ProposedFileChangesMessage
        app_data/job approved done NotificationSender StateManager ~/.syft-notifications/gmail_token.json
        ~/.syft-creds/token_do.json ~/.syft-creds/daemon.yaml syft-notify.pid syft-notify.log syft-notify.error.log
        restart status logs follow lines SyftboxManager is_alive() gdrive_transport SIGTERM SIGKILL SIGHUP get_pid
        is_running Monitor _check_all_entities syft_client.notifications.base email_format html text both
        syft-bg_start_notify syft_bg/services/registry.py ServiceManager list_services get_all_status start_service
        stop_service DRIVE_SCOPES Credentials.from_authorized_user_file build_drive_service _create_drive_service
        """,
    "scitex-notification": """
        scitex-notification scitex scitex_notification stx.notification desktop email slack webhook audio emacs
        matplotlib playwright twilio send message backend title config slack_webhook email_to email_from smtp_host
        list_backends stx.session notify=True stx.INJECTED CONFIG scitex_notify_send scitex_notify_backends
        scitex_notify_config --slack-webhook alert alert_async level fallback available_backends call call_async
        to_number notify file ID sender_name recipient_email cc attachment_paths verbose send_gmail sender_gmail
        sender_password smtp_server smtp_port sms sms_async SCITEX_NOTIFICATION_DEFAULT_BACKEND
        SCITEX_NOTIFICATION_ENV_SRC SCITEX_NOTIFICATION_TWILIO_TO SCITEX_SCHOLAR_EMAIL_NOREPLY
        SCITEX_SCHOLAR_FROM_EMAIL_ADDRESS SCITEX_EMAIL_NOREPLY SCITEX_EMAIL_AGENT SCITEX_SCHOLAR_EMAIL_PASSWORD
        SCITEX_SCHOLAR_FROM_EMAIL_PASSWORD SCITEX_EMAIL_PASSWORD SCITEX_SCHOLAR_EMAIL_RECIPIENT
        SCITEX_SCHOLAR_TO_EMAIL_ADDRESS FINISHED_SUCCESS
        """,
    "the runner of syft-job": """
        create_runner syftbox_folder_path poll_interval SyftJobRunner SyftJobConfig from_syftbox_folder run
        process_approved_jobs stream_output timeout skip_job_names share_outputs_with_submitter
        share_logs_with_submitter check_for_new_jobs share_job_results share_outputs share_logs user reset_all_jobs
        SYFT_DEFAULT_JOB_TIMEOUT_SECONDS SYFT_IS_IN_JOB run.sh config.yaml submitted_by submitted_at UV_SYSTEM_PYTHON
        stdout.txt stderr.txt returncode.txt outputs/ uv_venv uv_pip_install pyproject.toml uv_sync PYTHONPATH
        Runner_started Monitoring_jobs_for Job_directory Poll_interval No_existing_jobs_found Found_2_job(s)
        Processed_2_job(s) Executing_job completed_successfully Output_written_to NEW_JOB_DETECTED Location
        Script_preview Config RESETTING_ALL_JOBS Deleted_5_jobs
        """,
    "syft-code-queue": """
        syft-code-queue syft_code_queue submit_job target_email code_folder name description tags submit_script
        script_content requirements my_jobs pending_for_me all_jobs_for_me approve reject reason status job.uid
        job.status jobs_for_me jobs_for_others get_job get_job_output get_job_logs wait_for_completion review_job
        job_uid help scq_pending scq_review scq_approve scq_reject scq_list scq_status scq_--help -r --reason
        examples/DataScientist_Tutorial.ipynb examples/DataOwner_Tutorial.ipynb examples/SyftCodeQueue_Tutorial.ipynb
        examples/external_automation_example.py my_analysis/run.sh analyze.py requirements.txt README.md
        pip_install_-r SafeCodeRunner pending approved running completed failed rejected QueueConfig queue_name
        max_concurrent_jobs job_timeout cleanup_completed_after pip_install_-e pytest CONTRIBUTING.md LICENSE
        subprocess.run
        """,
    "newer releases": """
        create_client CodeQueueClient submit_python submit_bash submit_code timeout_seconds cancel_job inspect_job
        list_job_files read_job_file get_job_code_structure list_job_output_files read_job_output_file
        pending_for_others my_pending my_running my_completed approved_by_me JobCollection by_status by_name by_tags
        pending() running() completed() summary refresh approve_all reject_all datasites ping jobs_ui jobs_streamlit
        set_verbose VERBOSE quick_help CodeJob short_id requester_email created_at updated_at started_at completed_at
        is_terminal exit_code error_message deny get_review_data list_files read_file get_logs get_output
        list_output_files output_viewer read_output_file JobStatus timedout get_client JobClient client.jobs
        submit_bash_job submit_python_job scan_inbox JobInfo JobsList job.stdout job.stderr output_paths job.files
        job.rerun job.share_outputs job.share_logs
        """,
}
"""Every name of the documents that people move here from, by document; `_` may stand for a blank."""
