-- The same product at the same price twice in one order may be two sales or one exported twice: counted, and kept.
select
  l.account_id, l.order_id, line.product_id, line.product_name, line.quantity, line.unit_price, line.discount, line.line_total,
  count(*) as copies,
  line.line_total * (count(*) - 1) as repeated_amount,
  l._slice_id as slice_id
from {{ ref('slv_crm__order_lines') }} as l
cross join unnest(l.lines) as line
where not l.is_deleted
group by
  l.account_id, l.order_id, line.product_id, line.product_name, line.quantity, line.unit_price, line.discount, line.line_total, l._slice_id
having count(*) > 1
