# A gen2 function with an HTTP door and a service account of its own. It has no rights until its caller grants them.

terraform {
  required_providers {
    google = { source = "hashicorp/google", version = ">= 7.45, < 8.0" }
  }
}

resource "google_service_account" "this" {
  account_id   = var.name
  display_name = "Function ${var.name}"
}

resource "google_cloudfunctions2_function" "this" {
  name        = var.name
  location    = var.region
  description = var.description

  build_config {
    runtime           = var.runtime
    entry_point       = var.entry_point
    service_account   = var.build_account
    docker_repository = var.repository

    source {
      storage_source {
        bucket = var.archive_bucket
        object = var.archive_object
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.this.email
    timeout_seconds                  = var.timeout_seconds
    available_memory                 = "${var.memory_mib}Mi"
    available_cpu                    = "1" # by memory alone it would be a fraction, and concurrency needs a whole one
    max_instance_request_concurrency = var.concurrency
    max_instance_count               = var.max_instances
    min_instance_count               = 0
    # Pub/Sub pushes of the same project count as internal.
    ingress_settings               = var.public_ingress ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision = true
    # The platform adds LOG_EXECUTION_ID by itself; unsaid, every plan would want to remove it.
    environment_variables = merge(var.environment, { LOG_EXECUTION_ID = "true" })
  }
}
