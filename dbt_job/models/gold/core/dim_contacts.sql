with named as (
  select
    account_id, contact_id,
    {{ email_hash('email') }} as email_hash,
    country, city, lifecycle_stage, email_opt_in, created_at, is_deleted, false as is_inferred
  from {{ ref('slv_crm__contacts') }}
),
inferred as (
  select account_id, contact_id from {{ ref('slv_orders_resolved') }} where contact_match = 'inferred'
  union distinct
  select account_id, contact_id
  from ({{ with_contact(ref('slv_crm__support_tickets'), 'requester_email_hash') }})
  where contact_match = 'inferred' and not is_deleted
),
contacts as (
  select * from named
  union all
  select
    i.account_id, i.contact_id, cast(null as string), cast(null as string), cast(null as string), cast(null as string),
    cast(null as bool), cast(null as timestamp), false, true
  from inferred as i
),
bought as (
  select contact_key, min(order_date) as first_order_date, max(order_date) as last_order_date
  from {{ ref('slv_orders_resolved') }}
  where order_type = 'sale'
  group by contact_key
)
select
  {{ key(['c.account_id', 'c.contact_id']) }} as contact_key,
  c.account_id, c.contact_id, c.email_hash, c.country, c.city, c.lifecycle_stage, c.email_opt_in, c.created_at,
  b.first_order_date, b.last_order_date, cast(date_trunc(b.first_order_date, month) as date) as cohort_month,
  c.is_deleted, c.is_inferred
from contacts as c
left join bought as b on b.contact_key = {{ key(['c.account_id', 'c.contact_id']) }}
{% for member, label in [('-1', '(unknown)'), ('-2', '(not applicable)')] %}
union all select
  '{{ member }}', '{{ label }}', '{{ label }}', null, '{{ label }}', '{{ label }}', '{{ label }}', null, null, null, null, null, false, false
{% endfor %}
