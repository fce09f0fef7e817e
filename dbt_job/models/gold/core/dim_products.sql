with named as (
  select account_id, product_id, product_name, category, price, currency, status, created_at, is_deleted, false as is_inferred
  from {{ ref('slv_crm__products') }}
),
mentioned as (
  select o.account_id, line.product_id, line.product_name from {{ ref('slv_crm__order_lines') }} as o, unnest(o.lines) as line
  where line.product_id is not null and not o.is_deleted
  union all
  select account_id, product_id, cast(null as string) from {{ ref('slv_crm__support_tickets') }}
  where product_id is not null and not is_deleted
),
inferred as (
  select m.account_id, m.product_id, max(m.product_name) as product_name
  from mentioned as m
  left join named as n on n.account_id = m.account_id and n.product_id = m.product_id
  where n.product_id is null
  group by m.account_id, m.product_id
)
select {{ key(['account_id', 'product_id']) }} as product_key, * from named
union all
select
  {{ key(['account_id', 'product_id']) }}, account_id, product_id, product_name, null, null, null, null, null, false, true
from inferred
{% for member, label in [('-1', '(unknown)'), ('-2', '(not applicable)')] %}
union all select
  '{{ member }}', '{{ label }}', '{{ label }}', '{{ label }}', '{{ label }}', null, null, '{{ label }}', null, false, false
{% endfor %}
