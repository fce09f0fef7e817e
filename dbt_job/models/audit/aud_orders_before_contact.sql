select
  o.order_key, o.account_id, o.order_id, o.contact_key, o.order_at, c.created_at as contact_created_at,
  timestamp_diff(c.created_at, o.order_at, day) as days_before, o.amount_reporting
from {{ ref('fact_orders') }} as o
join {{ ref('dim_contacts') }} as c on c.contact_key = o.contact_key
where o.order_at < c.created_at
