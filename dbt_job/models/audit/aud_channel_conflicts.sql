select
  o.order_key, o.account_id, o.order_id, o.order_date, o.crm_campaign_id, o.channel as order_channel, c.channel as campaign_channel,
  o.amount_reporting
from {{ ref('fact_orders') }} as o
join {{ ref('dim_campaign') }} as c on c.campaign_key = o.crm_campaign_key
where o.channel_key != '-1' and c.channel_key not in ('-1', '-2') and o.channel_key != c.channel_key
