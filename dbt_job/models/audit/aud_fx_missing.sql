select
  coalesce(currency, '(no currency)') as currency, count(*) as orders, sum(amount) as amount,
  min(order_date) as first_order_date, max(order_date) as last_order_date
from {{ ref('fact_orders') }}
where amount_reporting is null and amount is not null
group by currency
