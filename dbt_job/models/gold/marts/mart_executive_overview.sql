-- Everything here sums over dates and channels; distinct buyers do not, so they are counted from fact_orders when asked.
select
  o.order_date as date_key, c.channel_key, c.channel, c.channel_group, c.is_paid,
  countif(o.order_type = 'sale') as orders,
  countif(o.order_type = 'credit') as credits,
  sum(o.amount_reporting) as revenue,
  sum(if(o.order_type = 'sale', o.amount_reporting, 0)) as sale_revenue,
  sum(o.net_reporting) as net_revenue,
  sum(o.refund_reporting) as refunds,
  countif(o.contact_order_number = 1) as new_customers,
  countif(o.is_repeat) as repeat_orders,
  sum(if(o.is_repeat, o.amount_reporting, 0)) as repeat_revenue,
  countif(o.is_repeat_flagged) as repeat_orders_flagged,
  sum(if(o.is_repeat_flagged, o.amount_reporting, 0)) as repeat_revenue_flagged,
  countif(o.amount_reporting is null and o.amount is not null) as orders_without_rate
from {{ ref('fact_orders') }} as o
join {{ ref('dim_channel') }} as c on c.channel_key = o.channel_key
group by o.order_date, c.channel_key, c.channel, c.channel_group, c.is_paid
