# Least privilege, said as what must not be.

# Nobody's token: should the real provider ever run this file, it can read and create nothing.
provider "google" {
  project      = "test-project"
  region       = "europe-west1"
  access_token = "nobody"
}

provider "google-beta" {
  project      = "test-project"
  region       = "europe-west1"
  access_token = "nobody"
}

variables {
  project_id          = "test-project"
  environment         = "prod"
  accounts            = { crm = [{ id = "default" }] }
  reporting_currency  = "GBP"
  reporting_time_zone = "Europe/London"
  dbt_image           = "europe-west1-docker.pkg.dev/test-project/pipeline/dbt@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  protected           = true
  analysts            = ["analysts@example.com"]
  operators           = ["group:operators@example.com"]
  file_senders        = ["serviceAccount:exporter@test-project.iam.gserviceaccount.com"]
}

run "projects" {
  command = plan

  assert {
    condition = alltrue([
      for grant in concat(
        [google_project_iam_member.build_logs, google_project_iam_member.build_staging, google_project_iam_member.load_jobs, google_project_iam_member.dbt_jobs],
        values(google_project_iam_member.analysts),
      ) : contains(["roles/logging.logWriter", "roles/bigquery.jobUser"], grant.role) || length(grant.condition) == 1
    ])
    error_message = "A grant on the whole project is more than running queries or writing logs, and has no condition."
  }

  assert {
    condition     = google_project_iam_member.load_jobs.member == module.function["load_bronze"].member
    error_message = "Only the loader among the functions runs BigQuery jobs."
  }
}

run "buckets" {
  command = plan

  assert {
    condition = alltrue([
      for grant in concat(values(google_storage_bucket_iam_member.bronze_create), values(google_storage_bucket_iam_member.bronze_read)) :
      contains(["roles/storage.objectCreator", "roles/storage.objectViewer"], grant.role)
    ])
    error_message = "Somebody may replace or delete a dump."
  }

  assert {
    condition     = [for grant in values(google_storage_bucket_iam_member.bronze_create) : grant.member] == [module.function["ingest_crm"].member]
    error_message = "Only ingest functions write dumps."
  }

  assert {
    condition = (
      [for grant in values(google_storage_bucket_iam_member.landing_read) : grant.member] == [module.function["ingest_crm"].member]
      && google_storage_bucket_iam_member.control_landing.role == "roles/storage.objectViewer"
      && alltrue([for grant in values(google_storage_bucket_iam_member.landing_send) : grant.role == "roles/storage.objectCreator"])
    )
    error_message = "Landing is read by the source of files and by control, and nobody may change what lies there; senders add."
  }
}

run "datasets" {
  command = plan

  assert {
    condition = toset([
      for a in google_bigquery_dataset.silver_pii.access : coalesce(a.user_by_email, a.special_group)
    ]) == toset([google_service_account.dbt.email, "projectOwners"])
    error_message = "Somebody else than the dbt job and the owners may read personal data."
  }

  assert {
    condition = toset([
      for a in google_bigquery_dataset.bronze.access : "${a.role} ${coalesce(a.user_by_email, a.special_group)}" if a.role != null && a.role != ""
      ]) == toset([
      "OWNER projectOwners", "WRITER ${module.function["load_bronze"].email}", "READER ${google_service_account.dbt.email}"
    ])
    error_message = "bronze is written by the loader and read by the dbt job, and by nobody else."
  }

  assert {
    condition = alltrue([
      for d in [google_bigquery_dataset.gold, google_bigquery_dataset.audit] :
      [for a in d.access : a.role if a.group_by_email == "analysts@example.com"] == ["READER"]
    ])
    error_message = "Analysts read gold and audit."
  }

  assert {
    condition = alltrue([
      for d in [google_bigquery_dataset.bronze, google_bigquery_dataset.silver, google_bigquery_dataset.silver_pii] :
      length([for a in d.access : a if a.group_by_email == "analysts@example.com"]) == 0
    ])
    error_message = "Analysts read below gold."
  }

  assert {
    condition     = toset([for grant in values(google_bigquery_table_iam_member.dbt_ledgers) : grant.table_id]) == toset(["slices", "failures"])
    error_message = "The dbt job writes into bronze only the two ledgers."
  }
}

run "callers" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_run_v2_service_iam_member.push)) == toset(keys(local.pushed)) && !contains(keys(local.pushed), "control")
    error_message = "The push identity invokes the functions that topics feed, and not control."
  }

  assert {
    condition = alltrue([
      for grant in concat(
        values(google_cloud_run_v2_service_iam_member.push), values(google_cloud_run_v2_service_iam_member.operators),
        [google_cloud_run_v2_service_iam_member.dead_letters, google_cloud_run_v2_service_iam_member.scheduler, google_cloud_run_v2_job_iam_member.start_dbt],
      ) : grant.role == "roles/run.invoker" && !contains(["allUsers", "allAuthenticatedUsers"], grant.member)
    ])
    error_message = "A function or the job is open to everybody, or somebody may do more than invoke it."
  }

  assert {
    condition     = google_cloud_run_v2_job_iam_member.start_dbt.member == module.function["start_dbt"].member
    error_message = "Only start_dbt starts the job."
  }

  assert {
    condition     = !contains(keys(local.publishes), "start_dbt")
    error_message = "start_dbt publishes nothing."
  }
}
