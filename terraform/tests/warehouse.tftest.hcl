# Buckets, datasets and tables: their shape, and what protects them.

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
}

run "one_table_per_stream" {
  command = plan

  assert {
    condition = toset(keys(google_bigquery_table.stream)) == toset(flatten([
      for source, s in local.sources : [for stream in keys(s.streams) : "${source}__${stream}"]
    ]))
    error_message = "Streams of the contract and tables of bronze differ."
  }

  assert {
    condition = alltrue([
      for t in concat(values(google_bigquery_table.stream), [google_bigquery_table.set_aside]) :
      t.require_partition_filter && t.clustering == tolist(["_slice_id"])
      && one(t.time_partitioning).field == "_date" && one(t.time_partitioning).type == "DAY"
    ])
    error_message = "A bronze table is not partitioned by _date, clustered by _slice_id, with the filter required."
  }

  assert {
    condition     = length(distinct([for t in values(google_bigquery_table.stream) : t.schema])) == 1
    error_message = "Bronze tables of streams have one shape."
  }

  assert {
    condition     = one(google_bigquery_table.slices.time_partitioning).field == "as_of" && google_bigquery_table.slices.require_partition_filter != true
    error_message = "bronze.slices is partitioned by as_of, and read without a filter."
  }
}

run "protected" {
  command = plan

  assert {
    condition = alltrue([
      for t in concat(values(google_bigquery_table.stream), [
        google_bigquery_table.set_aside, google_bigquery_table.slices, google_bigquery_table.failures, google_bigquery_table.salt
      ]) : t.deletion_protection
    ])
    error_message = "A table of a protected environment could be destroyed."
  }

  assert {
    condition = alltrue([
      for b in [google_storage_bucket.landing, google_storage_bucket.bronze, google_storage_bucket.state] :
      !b.force_destroy && b.deletion_policy == "PREVENT"
    ])
    error_message = "A bucket of a protected environment could be destroyed."
  }

  assert {
    condition = alltrue([
      for d in [
        google_bigquery_dataset.bronze, google_bigquery_dataset.silver, google_bigquery_dataset.silver_pii,
        google_bigquery_dataset.gold, google_bigquery_dataset.audit
      ] : !d.delete_contents_on_destroy && d.deletion_policy == "PREVENT" && d.location == "EU"
    ])
    error_message = "A dataset of a protected environment could be destroyed, or lies elsewhere."
  }

  assert {
    condition     = google_cloud_run_v2_job.dbt.deletion_protection
    error_message = "The dbt job of a protected environment could be destroyed."
  }
}

run "unprotected" {
  command = plan

  variables {
    environment = "dev"
    protected   = false
  }

  assert {
    condition = (
      google_storage_bucket.bronze.force_destroy && google_bigquery_dataset.gold.delete_contents_on_destroy
      && !google_bigquery_table.slices.deletion_protection && !google_cloud_run_v2_job.dbt.deletion_protection
    )
    error_message = "A dev environment must be destroyable in one go."
  }
}

run "buckets_are_private" {
  command = plan

  assert {
    condition = alltrue([
      for b in [google_storage_bucket.landing, google_storage_bucket.bronze, google_storage_bucket.state, google_storage_bucket.source] :
      b.uniform_bucket_level_access && b.public_access_prevention == "enforced" && length(b.retention_policy) == 0
    ])
    error_message = "A bucket could be opened to the public, or keeps what must be erasable."
  }

  assert {
    condition = alltrue([
      for rule in google_storage_bucket.bronze.lifecycle_rule : one(rule.action).type != "Delete"
    ]) && alltrue([for rule in google_storage_bucket.state.lifecycle_rule : one(rule.action).type != "Delete"])
    error_message = "A lifecycle rule deletes dumps or state."
  }
}
