-- The one place that says how far the data goes; nothing provisional is stored in facts. Each source adds its own range here.
with ranges as (
  select 'crm' as source, account_id, min(order_date) as first_date, max(order_date) as last_date
  from {{ ref('fact_orders') }}
  group by account_id
),
loaded as (
  select source, account_id, max(as_of) as last_as_of, count(*) as slices
  from {{ ref('slv_slices') }}
  group by source, account_id
)
select
  l.source, l.account_id, r.first_date, r.last_date, l.last_as_of, l.slices,
  max(r.first_date) over () as common_from,
  min(r.last_date) over () as common_to
from loaded as l
left join ranges as r on r.source = l.source and r.account_id = l.account_id
