# start_dbt asks for the Cloud Run job; the job builds silver, gold and audit.

resource "google_service_account" "dbt" {
  account_id   = "dbt-job"
  display_name = "The dbt job"

  depends_on = [google_project_service.required]
}

resource "google_cloud_run_v2_job" "dbt" {
  name                = local.dbt_job_name
  location            = var.region
  deletion_protection = var.protected

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = google_service_account.dbt.email
      timeout         = "${local.contract.jobs.dbt.timeout_seconds}s"
      max_retries     = 0 # the sweeper asks again; a blind second try would claim a build of its own

      containers {
        image = var.dbt_image

        resources {
          limits = {
            cpu    = "1"
            memory = "${local.contract.jobs.dbt.memory_mib}Mi"
          }
        }

        dynamic "env" {
          for_each = merge(local.environment, {
            PIPELINE_TIMEOUT_SECONDS     = tostring(local.contract.jobs.dbt.timeout_seconds)
            PIPELINE_DBT_TARGET          = var.environment
            PIPELINE_REPORTING_CURRENCY  = var.reporting_currency
            PIPELINE_REPORTING_TIME_ZONE = var.reporting_time_zone
          })
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }
}

# Execute without overrides: that is all run.invoker on a job allows.
resource "google_cloud_run_v2_job_iam_member" "start_dbt" {
  name     = google_cloud_run_v2_job.dbt.name
  location = var.region
  role     = "roles/run.invoker"
  member   = module.function["start_dbt"].member
}

# A want that came while it built: the job asks for the next build itself.
resource "google_pubsub_topic_iam_member" "dbt" {
  topic  = google_pubsub_topic.flow["transform"].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.dbt.member
}

resource "google_project_iam_member" "dbt_jobs" {
  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.dbt.member
}

# The two bronze tables that the job itself loads, at the start of a build.
resource "google_bigquery_table_iam_member" "dbt_ledgers" {
  for_each = { slices = google_bigquery_table.slices.table_id, failures = google_bigquery_table.failures.table_id }

  dataset_id = google_bigquery_dataset.bronze.dataset_id
  table_id   = each.value
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.dbt.member
}

# --- datasets that dbt fills -----------------------------------------------------------------------------------------

resource "google_bigquery_dataset" "silver" {
  dataset_id                 = "silver"
  location                   = var.bigquery_location
  description                = "One model per stream: renamed, typed, standardised, deduplicated. Persons are hashes."
  delete_contents_on_destroy = !var.protected
  deletion_policy            = var.protected ? "PREVENT" : "DELETE"

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.dbt.email
  }
  dynamic "access" {
    for_each = [google_bigquery_dataset.gold.dataset_id, google_bigquery_dataset.audit.dataset_id]
    content {
      dataset {
        target_types = ["VIEWS"]
        dataset {
          project_id = var.project_id
          dataset_id = access.value
        }
      }
    }
  }

  depends_on = [google_project_service.required]
}

# Restricted: no view of another dataset is authorised here, and nobody but the job and the owners may read.
resource "google_bigquery_dataset" "silver_pii" {
  dataset_id                 = "silver_pii"
  location                   = var.bigquery_location
  description                = "The one restricted dataset that holds personal data."
  delete_contents_on_destroy = !var.protected
  deletion_policy            = var.protected ? "PREVENT" : "DELETE"

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.dbt.email
  }

  depends_on = [google_project_service.required]
}

resource "google_bigquery_table" "salt" {
  dataset_id          = google_bigquery_dataset.silver_pii.dataset_id
  table_id            = "salt"
  description         = "Exactly one row: the secret that hashes of personal data are made with."
  deletion_protection = var.protected
  schema = jsonencode([
    { name = "salt", type = "STRING", mode = "REQUIRED", description = "Random text; whoever reads it can match hashes to people." },
  ])
}

# The warehouse makes the salt itself, once: it stands in no variable, no plan and no state. Should the job be forgotten
# by BigQuery and made again, it finds a row and writes none.
resource "google_bigquery_job" "salt" {
  job_id   = "silver-pii-salt-1"
  location = var.bigquery_location

  query {
    query              = <<-SQL
      insert into `${var.project_id}.${google_bigquery_table.salt.dataset_id}.${google_bigquery_table.salt.table_id}` (salt)
      select to_hex(sha256(concat(generate_uuid(), generate_uuid())))
      from (select count(*) as present from `${var.project_id}.${google_bigquery_table.salt.dataset_id}.${google_bigquery_table.salt.table_id}`)
      where present = 0
    SQL
    use_legacy_sql     = false
    create_disposition = "" # neither disposition is allowed with a DML statement
    write_disposition  = ""
  }
}

resource "google_bigquery_dataset" "gold" {
  dataset_id                 = "gold"
  location                   = var.bigquery_location
  description                = "The star schema and its marts: what Power BI and analysts read."
  delete_contents_on_destroy = !var.protected
  deletion_policy            = var.protected ? "PREVENT" : "DELETE"

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.dbt.email
  }
  dynamic "access" {
    for_each = var.analysts
    content {
      role           = "READER"
      group_by_email = access.value
    }
  }
  access {
    dataset {
      target_types = ["VIEWS"]
      dataset {
        project_id = var.project_id
        dataset_id = google_bigquery_dataset.audit.dataset_id
      }
    }
  }

  depends_on = [google_project_service.required]
}

resource "google_bigquery_dataset" "audit" {
  dataset_id                 = "audit"
  location                   = var.bigquery_location
  description                = "What an analyst asks before trusting a number: completeness, reconciliation, drift, dbt's results."
  delete_contents_on_destroy = !var.protected
  deletion_policy            = var.protected ? "PREVENT" : "DELETE"

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.dbt.email
  }
  dynamic "access" {
    for_each = var.analysts
    content {
      role           = "READER"
      group_by_email = access.value
    }
  }

  depends_on = [google_project_service.required]
}

# A query costs the project: whoever may read gold may also ask.
resource "google_project_iam_member" "analysts" {
  for_each = var.analysts

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = "group:${each.key}"
}
