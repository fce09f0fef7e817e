# control: the HTTP API and console, the sweeper's route and the end of the dead letter topic.

# A sweep lists what lies in landing; a dry run and a retry read the heads of files, as the planner would.
resource "google_storage_bucket_iam_member" "control_landing" {
  bucket = google_storage_bucket.landing.name
  role   = "roles/storage.objectViewer"
  member = module.function["control"].member
}

resource "google_cloud_run_v2_service_iam_member" "operators" {
  for_each = var.operators

  name     = module.function["control"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.key
}

# --- dead letters ----------------------------------------------------------------------------------------------------
# Pushed, not pulled: control files each as an object at once, so nothing waits in a subscription until it expires.

resource "google_service_account" "dead_letters" {
  account_id   = "dead-letters"
  display_name = "Pub/Sub, handing dead letters to control"

  depends_on = [google_project_service.required]
}

resource "google_cloud_run_v2_service_iam_member" "dead_letters" {
  name     = module.function["control"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.dead_letters.member
}

resource "google_pubsub_subscription" "dead_letters" {
  name                       = "dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = local.push.ack_deadline_seconds
  message_retention_duration = "${local.push.retention_days * 24 * 3600}s"

  push_config {
    push_endpoint = "${local.control_url}/dead-letters"

    oidc_token {
      service_account_email = google_service_account.dead_letters.email
      audience              = local.control_url
    }
  }

  retry_policy {
    minimum_backoff = "${local.push.minimum_backoff_seconds}s"
    maximum_backoff = "${local.push.maximum_backoff_seconds}s"
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service_iam_member.dead_letters]
}

# --- the sweeper -----------------------------------------------------------------------------------------------------

resource "google_service_account" "scheduler" {
  account_id   = "scheduler"
  display_name = "Cloud Scheduler, calling control"

  depends_on = [google_project_service.required]
}

resource "google_cloud_run_v2_service_iam_member" "scheduler" {
  name     = module.function["control"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "control" {
  for_each = local.contract.schedules

  name             = each.key
  region           = var.region
  description      = "Calls control${each.value.http_path}"
  schedule         = each.value.cron
  time_zone        = each.value.time_zone
  attempt_deadline = "${local.functions.control.timeout_seconds}s"

  retry_config {
    retry_count = 0 # the next minute is the retry
  }

  http_target {
    http_method = "POST"
    uri         = "${local.control_url}${each.value.http_path}"

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = local.control_url
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.scheduler]
}
