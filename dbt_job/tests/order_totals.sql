-- Orders and amounts are the same in bronze, silver and gold, but for the deleted ones that silver keeps.
select b.orders as bronze_orders, s.orders as silver_orders, s.deleted_orders, g.orders as gold_orders, b.amount as bronze_amount, s.amount as silver_amount, g.amount as gold_amount
from (select * from {{ ref('aud_order_totals') }} where layer = 'bronze') as b
cross join (select * from {{ ref('aud_order_totals') }} where layer = 'silver') as s
cross join (select * from {{ ref('aud_order_totals') }} where layer = 'gold') as g
where b.orders != s.orders or b.amount != s.amount
  or s.orders - s.deleted_orders != g.orders or s.amount - s.deleted_amount != g.amount
