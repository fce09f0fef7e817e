{{ config(severity='warn') }}
-- Lines that add up to less or more than their order with tax and shipping could be: off by over half.
select o.order_key, o.amount, sum(i.line_total) as lines_total
from {{ ref('fact_orders') }} as o
join {{ ref('fact_order_items') }} as i on i.order_key = o.order_key
group by o.order_key, o.amount
having abs(sum(i.line_total) - o.amount) > 0.5 * abs(o.amount)
