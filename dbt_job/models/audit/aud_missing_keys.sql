with members as (
  select
    'fact_orders' as fact, 'contact_key' as key_column,
    case when f.contact_key = '-1' then 'unknown' when d.is_inferred then 'inferred' end as member, f.amount_reporting as amount
  from {{ ref('fact_orders') }} as f join {{ ref('dim_contacts') }} as d on d.contact_key = f.contact_key
  union all
  select
    'fact_orders', 'channel_key', case when f.channel_key = '-1' then 'unknown' when d.is_inferred then 'inferred' end, f.amount_reporting
  from {{ ref('fact_orders') }} as f join {{ ref('dim_channel') }} as d on d.channel_key = f.channel_key
  union all
  select
    'fact_orders', 'campaign_key',
    case when f.campaign_key = '-1' then 'unknown' when f.campaign_key = '-2' then 'not applicable' when d.is_inferred then 'inferred' end,
    f.amount_reporting
  from {{ ref('fact_orders') }} as f join {{ ref('dim_campaign') }} as d on d.campaign_key = f.campaign_key
  union all
  select
    'fact_order_items', 'product_key', case when f.product_key = '-1' then 'unknown' when d.is_inferred then 'inferred' end, f.line_total_reporting
  from {{ ref('fact_order_items') }} as f join {{ ref('dim_products') }} as d on d.product_key = f.product_key
  union all
  select
    'fact_order_items', 'order_key', if(o.order_key is null, 'no such order', null), line.line_total
  from {{ ref('slv_crm__order_lines') }} as l
  cross join unnest(l.lines) as line
  left join {{ ref('fact_orders') }} as o on o.account_id = l.account_id and o.order_id = l.order_id
  where not l.is_deleted
  union all
  select
    'fact_support_tickets', 'contact_key', case when f.contact_key = '-1' then 'unknown' when d.is_inferred then 'inferred' end, cast(null as numeric)
  from {{ ref('fact_support_tickets') }} as f join {{ ref('dim_contacts') }} as d on d.contact_key = f.contact_key
  union all
  select
    'fact_support_tickets', 'order_key', if(o.order_key is null, 'no such order', null), cast(null as numeric)
  from {{ ref('fact_support_tickets') }} as f left join {{ ref('fact_orders') }} as o on o.order_key = f.order_key
  where f.order_key != '-1'
)
select fact, key_column, member, count(*) as row_count, sum(amount) as amount
from members
where member is not null
group by fact, key_column, member
