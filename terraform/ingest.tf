# Topics, the push subscriptions that call the functions, and the clocks that ask for a run.
#
# Own subscriptions instead of Eventarc triggers: a trigger's subscription is the platform's, and takes neither a dead
# letter policy nor a prefix filter from Terraform.

resource "google_pubsub_topic" "flow" {
  for_each = toset([for f in values(local.pushed) : f.topic])

  name = each.key

  depends_on = [google_project_service.required]
}

resource "google_pubsub_topic" "dead_letters" {
  name = "dead-letters"

  depends_on = [google_project_service.required]
}

# --- delivery --------------------------------------------------------------------------------------------------------

resource "google_service_account" "push" {
  account_id   = "pubsub-push"
  display_name = "Pub/Sub, calling the functions that topics feed"

  depends_on = [google_project_service.required]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.pushed

  name     = module.function[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushed

  name                       = each.key
  topic                      = google_pubsub_topic.flow[each.value.topic].id
  ack_deadline_seconds       = local.push.ack_deadline_seconds
  message_retention_duration = "${local.push.retention_days * 24 * 3600}s"

  push_config {
    push_endpoint = module.function[each.key].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = module.function[each.key].uri
    }
  }

  retry_policy {
    minimum_backoff = "${local.push.minimum_backoff_seconds}s"
    maximum_backoff = "${local.push.maximum_backoff_seconds}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = local.push.max_delivery_attempts
  }

  # By default 31 idle days delete a subscription, with all that waits in it.
  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push, google_pubsub_topic_iam_member.dead_letters]
}

# Pub/Sub moves a message to the dead letter topic by itself: its agent needs to take it from the subscription and to
# publish it there. Without both, the message is redelivered for ever.
resource "google_project_service_identity" "pubsub" {
  provider = google-beta
  service  = "pubsub.googleapis.com"

  depends_on = [google_project_service.required]
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.id
  role   = "roles/pubsub.publisher"
  member = google_project_service_identity.pubsub.member
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = local.pushed

  subscription = google_pubsub_subscription.push[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = google_project_service_identity.pubsub.member
}

# --- who publishes ---------------------------------------------------------------------------------------------------

data "google_storage_project_service_account" "this" {
  depends_on = [google_project_service.required]
}

# Cloud Storage's own finalize notifications.
resource "google_pubsub_topic_iam_member" "storage" {
  for_each = setunion(local.file_sources, ["manifests"])

  topic  = google_pubsub_topic.flow[each.key].id
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.this.member
}

locals {
  # function => topics. An ingest function releases slices to itself, repeats a lost manifest notification and, when it
  # closes a run, asks for the transform. The loader closes runs and releases slices too. control asks for runs and
  # re-sends whatever was lost. (start_dbt publishes nothing.)
  publishes = merge(
    { for source, function in local.ingest_of : function => [source, "manifests", "transform"] if function != null },
    {
      load_bronze = concat(["transform"], keys(local.sources))
      control     = concat(["manifests", "transform"], keys(local.sources))
    },
  )
}

resource "google_pubsub_topic_iam_member" "function" {
  for_each = merge([
    for function, topics in local.publishes : { for topic in topics : "${function}/${topic}" => { function = function, topic = topic } }
  ]...)

  topic  = google_pubsub_topic.flow[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = module.function[each.value.function].member
}

# --- clocks ----------------------------------------------------------------------------------------------------------

resource "google_cloud_scheduler_job" "ingest" {
  for_each = local.sources

  name        = "ingest-${each.key}"
  region      = var.region
  description = "Asks for a run of ${each.key}"
  schedule    = each.value.schedule
  time_zone   = each.value.time_zone
  paused      = var.schedules_paused

  pubsub_target {
    topic_name = google_pubsub_topic.flow[each.key].id
    # The same message as a rerun or a backfill, with nothing named: everything, for the dates that are due.
    data = base64encode(jsonencode({
      v        = 1
      kind     = "run"
      source   = each.key
      streams  = []
      accounts = []
      from     = null
      to       = null
      reason   = "schedule"
      asked_by = "scheduler"
      run_id   = null
      asked_at = null
    }))
  }
}
