# Three alerts on what no retry mends. Failed slices, missing dates and strange numbers are audit's, not an alarm's.

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "Pipeline alerts to ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  depends_on = [google_project_service.required]
}

locals {
  alert_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "Pipeline: a message went to the dead letters"
  combiner              = "OR"
  notification_channels = local.alert_channels

  conditions {
    display_name = "dead letters > 0"

    condition_threshold {
      filter          = "metric.type = \"pubsub.googleapis.com/subscription/dead_letter_message_count\" AND resource.type = \"pubsub_subscription\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.subscription_id"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "A function refused a message ${local.push.max_delivery_attempts} times. It is kept: open the console's dead letters, read the reason, mend, redrive or discard."
  }

  depends_on = [google_project_service.required]
}

resource "google_monitoring_alert_policy" "dbt_failed" {
  display_name          = "Pipeline: the dbt job failed"
  combiner              = "OR"
  notification_channels = local.alert_channels

  conditions {
    display_name = "failed executions > 0"

    condition_threshold {
      filter          = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.label.result = \"failed\" AND resource.type = \"cloud_run_job\" AND resource.label.job_name = \"${google_cloud_run_v2_job.dbt.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Gold stands as it was before. dbt's artifacts are in the state bucket under builds/, its results in audit.dbt_results; the job's log names the model."
  }
}

# Everything that was lost or has to wait is woken by the sweeper; if it stops, the pipeline stops without an error.
resource "google_monitoring_alert_policy" "sweeper_silent" {
  display_name          = "Pipeline: the sweeper does not answer"
  combiner              = "OR"
  notification_channels = local.alert_channels

  conditions {
    display_name = "no successful call of control for 15 minutes"

    condition_absent {
      filter   = "metric.type = \"run.googleapis.com/request_count\" AND metric.label.response_code_class = \"2xx\" AND resource.type = \"cloud_run_revision\" AND resource.label.service_name = \"${module.function["control"].name}\""
      duration = "900s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Look at the scheduler job `sweep` (paused? last status?) and at the log of the function `control`."
  }
}
