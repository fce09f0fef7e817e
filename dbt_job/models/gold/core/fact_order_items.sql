{{ config(
    materialized='incremental', incremental_strategy='insert_overwrite', on_schema_change='fail',
    partition_by={'field': 'order_date', 'data_type': 'date'}, cluster_by=['product_key'], post_hook="{{ applied() }}") }}
{#- The order's keys are copied from fact_orders, so its replaced dates are replaced here too. -#}
{%- set affected %}
  with lines as (select account_id, order_id from {{ ref('slv_crm__order_lines') }} where _cut > {{ applied_cut() }}),
  orders as (select account_id, order_id from {{ ref('slv_crm__orders') }} where _cut > {{ applied_cut() }})
  select order_date as d from {{ ref('fact_orders') }} where _cut > {{ applied_cut() }}
  union distinct select f.order_date from {{ ref('fact_orders') }} as f join lines as l on l.account_id = f.account_id and l.order_id = f.order_id
  union distinct select t.order_date from {{ this }} as t join lines as l on l.account_id = t.account_id and l.order_id = t.order_id
  union distinct select t.order_date from {{ this }} as t join orders as o on o.account_id = t.account_id and o.order_id = t.order_id
{%- endset %}
{%- set dates = dates_of(affected) %}
/* replace_dates: {{ dates | tojson }} */
select
  {{ key(['o.account_id', 'o.order_id', 'line.line_number']) }} as order_item_key, o.order_key, o.account_id, o.order_id, line.line_number,
  o.order_at, o.order_date, o.order_type, o.contact_key, o.channel, o.channel_key, o.campaign_key,
  {{ key_or_unknown('line.product_id', ['o.account_id', 'line.product_id']) }} as product_key,
  line.product_name, line.quantity,
  o.currency, o.fx_rate, o.fx_rate_date,
  line.unit_price, {{ reporting('line.unit_price', 'o.fx_rate') }} as unit_price_reporting,
  line.discount, {{ reporting('line.discount', 'o.fx_rate') }} as discount_reporting,
  line.line_total, {{ reporting('line.line_total', 'o.fx_rate') }} as line_total_reporting,
  l._slice_id,
  (select coalesce(max(build), 0) from {{ ref('slv_slices') }}) as _cut
from {{ ref('fact_orders') }} as o
join {{ ref('slv_crm__order_lines') }} as l on l.account_id = o.account_id and l.order_id = o.order_id
cross join unnest(l.lines) as line
where {{ only(dates, 'o.order_date') }} and not l.is_deleted
