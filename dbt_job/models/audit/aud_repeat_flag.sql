-- Totals hide it: as many orders may be flagged wrongly as are missed. Order by order; a CRM that never flags says nothing wrong.
select
  order_key, account_id, order_id, contact_key, order_at, contact_order_number,
  is_repeat_flagged, is_repeat,
  case
    when is_repeat_flagged is null then 'not flagged at all'
    when is_repeat then 'repeat order without the flag'
    else 'first order with the flag'
  end as disagreement,
  amount_reporting
from {{ ref('fact_orders') }}
where order_type = 'sale' and contact_key != '-1' and (is_repeat_flagged is null or is_repeat_flagged != is_repeat)
  and account_id in (select account_id from {{ ref('fact_orders') }} where is_repeat_flagged is not null)
