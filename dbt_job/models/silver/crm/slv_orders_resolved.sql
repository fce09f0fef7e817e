-- What an order takes from other records, said once: its contact, and its amount where the export gave none.
with orders as (
  select
    o.* except (amount, order_type, is_deleted, deleted_at),
    coalesce(o.amount, l.lines_total) as amount,
    case when o.amount is not null then 'order' when l.lines_total is not null then 'lines' end as amount_source,
    if(coalesce(o.amount, l.lines_total) < 0, 'credit', 'sale') as order_type
  from {{ ref('slv_crm__orders') }} as o
  left join {{ ref('slv_crm__order_lines') }} as l
    on l.account_id = o.account_id and l.order_id = o.order_id and not l.is_deleted
  where not o.is_deleted
)
{{ with_contact('orders', 'contact_email_hash') }}
