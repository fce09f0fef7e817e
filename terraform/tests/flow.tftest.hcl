# What the protocol needs of the cloud: who is woken by what, and that nothing that waits can vanish.

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
  environment         = "staging"
  accounts            = { crm = [{ id = "default", time_zone = "Europe/London" }, { id = "outlet" }] }
  reporting_currency  = "GBP"
  reporting_time_zone = "Europe/London"
  dbt_image           = "europe-west1-docker.pkg.dev/test-project/pipeline/dbt@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  protected           = false
}

run "subscriptions" {
  command = apply

  assert {
    condition = alltrue([
      for s in concat(values(google_pubsub_subscription.push), [google_pubsub_subscription.dead_letters]) :
      one(s.expiration_policy).ttl == "" && s.message_retention_duration == "604800s" && s.ack_deadline_seconds == 600
    ])
    error_message = "A subscription can expire, forgets too early, or redelivers while a function still works."
  }

  assert {
    condition = alltrue([
      for s in values(google_pubsub_subscription.push) :
      one(s.dead_letter_policy).dead_letter_topic == google_pubsub_topic.dead_letters.id && one(s.dead_letter_policy).max_delivery_attempts == 20
    ])
    error_message = "A push subscription has no dead letter topic."
  }

  assert {
    condition     = length(google_pubsub_subscription.dead_letters.dead_letter_policy) == 0
    error_message = "Dead letters of dead letters would go round in a circle."
  }

  assert {
    condition = alltrue([
      for s in concat(values(google_pubsub_subscription.push), [google_pubsub_subscription.dead_letters]) :
      one(s.retry_policy).minimum_backoff == "10s" && one(s.retry_policy).maximum_backoff == "600s"
    ])
    error_message = "A subscription retries without the back-off of the contract."
  }

  assert {
    condition = alltrue([
      for name, s in google_pubsub_subscription.push :
      s.name == name && one(s.push_config).push_endpoint == module.function[name].uri
      && one(one(s.push_config).oidc_token).service_account_email == google_service_account.push.email
    ])
    error_message = "A subscription does not push to its own function, or not with the push identity."
  }

  assert {
    condition     = endswith(one(google_pubsub_subscription.dead_letters.push_config).push_endpoint, "/dead-letters")
    error_message = "Dead letters are not pushed to control."
  }

  assert {
    condition = alltrue([
      for name in keys(google_pubsub_subscription.push) : length([
        for m in values(google_pubsub_subscription_iam_member.dead_letters) :
        m if m.subscription == google_pubsub_subscription.push[name].id && m.role == "roles/pubsub.subscriber"
      ]) == 1
    ]) && google_pubsub_topic_iam_member.dead_letters.role == "roles/pubsub.publisher"
    error_message = "Pub/Sub's agent may not move messages to the dead letter topic: they would be redelivered for ever."
  }
}

run "notifications" {
  command = apply

  assert {
    condition = (
      google_storage_notification.manifests.object_name_prefix == "manifests/"
      && google_storage_notification.manifests.payload_format == "JSON_API_V1"
      && google_storage_notification.manifests.event_types == toset(["OBJECT_FINALIZE"])
      && endswith(google_storage_notification.manifests.topic, "/topics/manifests")
    )
    error_message = "Only finalized manifests may wake the loader."
  }

  assert {
    condition     = keys(google_storage_notification.landing) == ["crm"] && google_storage_notification.landing["crm"].object_name_prefix == null
    error_message = "Files dropped into landing do not reach the source of files."
  }

  assert {
    condition     = toset(keys(google_pubsub_topic_iam_member.storage)) == toset(["crm", "manifests"])
    error_message = "Cloud Storage's agent may publish to more or fewer topics than it notifies."
  }
}

run "clocks" {
  command = apply

  assert {
    condition     = toset(keys(google_cloud_scheduler_job.ingest)) == toset(keys(local.sources))
    error_message = "A source has no schedule, or a schedule no source."
  }

  assert {
    condition = alltrue([
      for source, job in google_cloud_scheduler_job.ingest :
      job.schedule == local.sources[source].schedule
      && jsondecode(base64decode(one(job.pubsub_target).data)).source == source
      && jsondecode(base64decode(one(job.pubsub_target).data)).kind == "run"
      && endswith(one(job.pubsub_target).topic_name, "/topics/${source}")
    ])
    error_message = "A schedule does not ask its own source for a run."
  }

  assert {
    condition = (
      google_cloud_scheduler_job.control["sweep"].schedule == "* * * * *"
      && one(google_cloud_scheduler_job.control["sweep"].http_target).uri == "${output.control_url}/sweep"
      && one(one(google_cloud_scheduler_job.control["sweep"].http_target).oidc_token).audience == output.control_url
      && !google_cloud_scheduler_job.control["sweep"].paused
    )
    error_message = "The sweeper, the only guarantee of progress, is not called each minute."
  }
}

run "functions_as_in_the_contract" {
  command = apply

  assert {
    condition     = keys(module.function) == keys(local.functions)
    error_message = "Functions of the contract and functions of the cloud differ."
  }

  assert {
    condition     = jsondecode(output.environment.PIPELINE_ACCOUNTS) == { crm = [{ id = "default", time_zone = "Europe/London" }, { id = "outlet" }] }
    error_message = "PIPELINE_ACCOUNTS is not what tfvars say (an account without a time zone must not carry a null)."
  }

  assert {
    condition     = one(one(google_cloud_run_v2_job.dbt.template).template).max_retries == 0
    error_message = "A second try of the dbt job would claim a build of its own."
  }
}

run "schedules_pause_but_the_sweeper_does_not" {
  command = plan

  variables {
    schedules_paused = true
  }

  assert {
    condition     = alltrue([for job in values(google_cloud_scheduler_job.ingest) : job.paused]) && google_cloud_scheduler_job.control["sweep"].paused != true
    error_message = "schedules_paused must stop the sources' clocks and leave the sweeper alone."
  }
}

run "image_by_tag_is_refused" {
  command = plan

  variables {
    dbt_image = "europe-west1-docker.pkg.dev/test-project/pipeline/dbt:latest"
  }

  expect_failures = [var.dbt_image]
}

run "source_without_account_is_named" {
  command = plan

  variables {
    accounts = {}
  }

  expect_failures = [check.every_source_has_an_account]
}

run "warehouse_elsewhere_is_named" {
  command = plan

  variables {
    region = "europe-west2"
  }

  expect_failures = [check.buckets_lie_in_the_warehouse_location]
}
