-- A campaign's id alone is its key, so that what the CRM and an ad platform know of one campaign is one row.
with named as (
  select
    'crm' as platform, account_id, campaign_id, campaign_name, channel, objective, status, start_date, end_date, budget, currency,
    is_deleted, false as is_inferred
  from {{ ref('slv_crm__campaigns') }}
  where true
  qualify row_number() over (partition by campaign_id order by is_deleted, account_id) = 1
),
inferred as (
  select o.campaign_id, min(o.account_id) as account_id
  from {{ ref('slv_crm__orders') }} as o
  where not o.is_deleted and o.campaign_id is not null and o.campaign_id not in (select campaign_id from named)
  group by o.campaign_id
),
campaigns as (
  select * from named
  union all
  select
    'crm', account_id, campaign_id, cast(null as string), cast(null as string), cast(null as string), cast(null as string),
    cast(null as date), cast(null as date), cast(null as numeric), cast(null as string), false, true
  from inferred
)
select
  {{ key(['c.campaign_id']) }} as campaign_key, c.platform, c.account_id, c.campaign_id, c.campaign_name, c.channel,
  {{ key_or_unknown('c.channel', ['coalesce(m.channel, lower(c.channel))']) }} as channel_key,
  c.objective, c.status, c.start_date, c.end_date, c.budget, c.currency, c.is_deleted, c.is_inferred
from campaigns as c
left join {{ ref('channel_map') }} as m on m.spelling = lower(c.channel)
{% for member, label in [('-1', '(unknown)'), ('-2', '(not applicable)')] %}
union all select
  '{{ member }}', '{{ label }}', '{{ label }}', '{{ label }}', '{{ label }}', '{{ label }}', '{{ member }}', null, null, null, null, null, null,
  false, false
{% endfor %}
