# functions/pipeline.yaml is the one list of sources, streams and functions. Everything that repeats is a for_each over it:
# a new source needs no new Terraform.

locals {
  contract = yamldecode(file("${path.module}/../functions/pipeline.yaml"))

  functions = local.contract.functions
  push      = local.contract.push
  sources   = local.contract.sources

  # Functions that a topic feeds, and those called directly.
  pushed = { for name, f in local.functions : name => f if can(f.topic) }
  called = { for name, f in local.functions : name => f if !can(f.topic) }

  # crm => ingest_crm
  ingest_of = { for source in keys(local.sources) : source => one([for name, f in local.pushed : name if f.topic == source]) }

  # crm__orders => {source, stream, grain, …}
  streams = merge([
    for source, s in local.sources : {
      for stream, t in s.streams : "${source}__${stream}" => { source = source, stream = stream, grain = t.grain, window = t.window }
    }
  ]...)

  # Sources that are fed by files: the landing bucket tells their topic.
  file_sources = toset([for s in values(local.streams) : s.source if s.window == "files"])

  # One secret per name, read by the sources that name it. Values are added by hand, never by Terraform.
  secret_readers = merge([for source, s in local.sources : { for name in s.secrets : "${name}/${source}" => { secret = name, source = source } }]...)

  # Names that exist before their resources do, so that functions may know each other without a cycle.
  dbt_job_name = "dbt"
  dbt_job_id   = "projects/${var.project_id}/locations/${var.region}/jobs/${local.dbt_job_name}"
  # Cloud Run's deterministic address. Every caller of control uses it, as address and as audience.
  control_url = "https://control-${data.google_project.this.number}.${var.region}.run.app"
}

check "every_source_has_a_function" {
  assert {
    condition     = alltrue([for function in values(local.ingest_of) : function != null])
    error_message = "A source of functions/pipeline.yaml has no function with its name as topic."
  }
}

check "every_source_has_an_account" {
  assert {
    condition     = alltrue([for source in keys(local.sources) : length(lookup(var.accounts, source, [])) > 0])
    error_message = "accounts names no account for a source of functions/pipeline.yaml: its runs would plan nothing."
  }
}

check "accounts_belong_to_sources" {
  assert {
    condition     = alltrue([for source in keys(var.accounts) : contains(keys(local.sources), source)])
    error_message = "accounts names a source that functions/pipeline.yaml does not have."
  }
}

check "ack_outlives_functions" {
  assert {
    condition     = alltrue([for f in values(local.pushed) : f.timeout_seconds < local.push.ack_deadline_seconds])
    error_message = "A pushed function may run as long as push.ack_deadline_seconds: its message would come twice while it works."
  }
}

check "room_for_slices" {
  assert {
    condition = alltrue([
      for source, function in local.ingest_of :
      local.functions[function].max_instances >= local.sources[source].limits.parallel_slices + 2 if function != null
    ])
    error_message = "A source may release more slices than its function has instances: Pub/Sub would meet 429 and count attempts."
  }
}

check "one_landing" {
  assert {
    condition     = length(local.file_sources) <= 1
    error_message = "Two sources take files, but there is one landing bucket and it notifies without a prefix."
  }
}

check "buckets_lie_in_the_warehouse_location" {
  assert {
    condition = (
      upper(var.bigquery_location) == "EU"
      ? startswith(var.region, "europe-") && !contains(["europe-west2", "europe-west6"], var.region)
      : upper(var.bigquery_location) == "US" ? startswith(var.region, "us-") : lower(var.bigquery_location) == var.region
    )
    error_message = "Region and bigquery_location do not fit (London and Zurich are not inside EU): load jobs would be refused."
  }
}
