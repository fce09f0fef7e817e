{{ config(
    materialized='incremental', incremental_strategy='insert_overwrite', on_schema_change='fail',
    partition_by={'field': 'created_date', 'data_type': 'date'}, cluster_by=['contact_key'], post_hook="{{ applied() }}") }}
{%- set affected %}
  with changed as (
    select account_id, ticket_id, created_date, is_deleted from {{ ref('slv_crm__support_tickets') }} where _cut > {{ applied_cut() }})
  select created_date as d from changed where not is_deleted
  union distinct select t.created_date from {{ this }} as t join changed as c on c.account_id = t.account_id and c.ticket_id = t.ticket_id
  -- a contact that came, went or took an address re-points the tickets that name it
  union distinct
  select t.created_date
  from {{ this }} as t
  join ({{ with_contact(ref('slv_crm__support_tickets'), 'requester_email_hash') }}) as r
    on r.account_id = t.account_id and r.ticket_id = t.ticket_id
  where r.contact_key != t.contact_key or r.contact_match != t.contact_match
{%- endset %}
{%- set dates = dates_of(affected) %}
/* replace_dates: {{ dates | tojson }} */
select
  {{ key(['t.account_id', 't.ticket_id']) }} as ticket_key, t.account_id, t.ticket_id,
  t.contact_key, t.contact_match,
  {{ key_or_unknown('t.order_id', ['t.account_id', 't.order_id']) }} as order_key,
  {{ key_or_unknown('t.product_id', ['t.account_id', 't.product_id']) }} as product_key,
  t.channel, t.group_name, t.status, t.priority,
  t.created_at, t.created_date, t.first_response_at, t.resolved_at,
  date(t.resolved_at, '{{ var("reporting_time_zone") }}') as resolved_date,
  t.closed_at, date(t.closed_at, '{{ var("reporting_time_zone") }}') as closed_date,
  timestamp_diff(t.first_response_at, t.created_at, minute) as first_response_minutes,
  timestamp_diff(t.resolved_at, t.created_at, minute) as resolution_minutes,
  {{ business_minutes_at('t.first_response_at') }} - {{ business_minutes_at('t.created_at') }} as first_response_business_minutes,
  {{ business_minutes_at('t.resolved_at') }} - {{ business_minutes_at('t.created_at') }} as resolution_business_minutes,
  t.reply_count, t.reopen_count, t.rating,
  t.resolved_at is not null and t.reply_count = 1 and coalesce(t.reopen_count, 0) = 0 as is_one_touch,
  coalesce(t.reopen_count, 0) > 0 as is_reopened,
  t._slice_id,
  (select coalesce(max(build), 0) from {{ ref('slv_slices') }}) as _cut
from ({{ with_contact(ref('slv_crm__support_tickets'), 'requester_email_hash') }}) as t
where not t.is_deleted and {{ only(dates, 't.created_date') }}
