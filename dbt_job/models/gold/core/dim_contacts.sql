with named as (
  select
    account_id, contact_id,
    to_hex(sha256(concat((select salt from {{ source('silver_pii', 'salt') }}), email))) as email_hash,
    country, city, lifecycle_stage, email_opt_in, created_at, is_deleted, false as is_inferred
  from {{ ref('slv_crm__contacts') }}
),
inferred as (
  select account_id, contact_id from {{ ref('slv_crm__orders') }} where contact_id is not null
  union distinct select account_id, contact_id from {{ ref('slv_crm__support_tickets') }} where contact_id is not null
),
contacts as (
  select * from named
  union all
  select
    i.account_id, i.contact_id, cast(null as string), cast(null as string), cast(null as string), cast(null as string),
    cast(null as bool), cast(null as timestamp), false, true
  from inferred as i
  left join named as n on n.account_id = i.account_id and n.contact_id = i.contact_id
  where n.contact_id is null
),
bought as (
  select account_id, contact_id, min(order_date) as first_order_date, max(order_date) as last_order_date
  from {{ ref('slv_crm__orders') }}
  where contact_id is not null and order_type = 'sale' and not is_deleted
  group by account_id, contact_id
)
select
  {{ key(['c.account_id', 'c.contact_id']) }} as contact_key,
  c.account_id, c.contact_id, c.email_hash, c.country, c.city, c.lifecycle_stage, c.email_opt_in, c.created_at,
  b.first_order_date, b.last_order_date, cast(date_trunc(b.first_order_date, month) as date) as cohort_month,
  c.is_deleted, c.is_inferred
from contacts as c
left join bought as b on b.account_id = c.account_id and b.contact_id = c.contact_id
{% for member, label in [('-1', '(unknown)'), ('-2', '(not applicable)')] %}
union all select
  '{{ member }}', '{{ label }}', '{{ label }}', null, '{{ label }}', '{{ label }}', '{{ label }}', null, null, null, null, null, false, false
{% endfor %}
