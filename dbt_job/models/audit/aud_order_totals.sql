{%- set slices = slices_to_read('crm.orders', since=0) %}
-- Orders and their amounts, counted independently in each layer; bronze straight from the payload. Amounts are summed as
-- delivered, over all currencies: a checksum, not revenue. An amount that gold derived from lines is none of the orders'.
with bronze_versions as (
  select
    b._account_id as account_id, trim(json_value(b.payload, '$.order_id')) as order_id,
    safe_cast(trim(json_value(b.payload, '$.amount')) as numeric) as amount,
    coalesce(safe_cast(nullif(trim(json_value(b.payload, '$.updated_at')), '') as timestamp), s.file_at) as version_at,
    s.file_at, s.slice_id, d.slice_id is not null as is_superseded, coalesce(b._line, b._row) as line_number
  from {{ source('bronze', 'crm__orders') }} as b
  join {{ ref('slv_slices') }} as s on s.slice_id = b._slice_id
  left join {{ ref('slv_set_aside') }} as a on a.slice_id = b._slice_id and a.row_number = b._row and a.stage = 'cast'
  left join (select distinct slice_id from {{ ref('slv_superseded') }}) as d on d.slice_id = b._slice_id
  where {{ among_days('b._date', slices.days) }} and a.slice_id is null
),
bronze_newest as (
  select * from bronze_versions
  where true
  qualify row_number() over (
    partition by account_id, order_id order by is_superseded asc, version_at desc, file_at desc, slice_id desc, line_number desc) = 1
)
select 'bronze' as layer, count(*) as orders, coalesce(sum(amount), 0) as amount, cast(null as int64) as deleted_orders, cast(null as numeric) as deleted_amount
from bronze_newest
union all
select 'silver', count(*), coalesce(sum(amount), 0), countif(is_deleted), coalesce(sum(if(is_deleted, amount, 0)), 0) from {{ ref('slv_crm__orders') }}
union all
select 'gold', count(*), coalesce(sum(if(amount_source = 'order', amount, 0)), 0), 0, 0 from {{ ref('fact_orders') }}
